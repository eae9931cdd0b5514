"""Prompts are read without asking the device for a value; pictures are looked at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import checkpoint
from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import EditError, EditRequest
from pipeline.qwen import encode, load
from pipeline.qwen.block_pass import BlockStack
from pipeline.qwen.precision import Precision
from pipeline.qwen.read_prompt import read_prompts
from pipeline.qwen.stages import whole
from pipeline.qwen.weight_streaming import ResidentLoader
from pipeline.tiny_model import CONDITION_PIXELS

CPU = torch.device("cpu")


def _prepared(pipe: Any, request: EditRequest) -> encode.Prepared:
    return encode.prepare(pipe, request, condition_pixels=CONDITION_PIXELS, multiple=32)


class _Counted(ResidentLoader):
    """Counts the passages of a stack's first block."""

    def __init__(self) -> None:
        self.passages = 0

    def acquire(self, index: int) -> None:
        self.passages += index == 0


@pytest.mark.parametrize(("edit_class", "further"), [(EDIT, 0), (EDIT_PLUS, 0), (EDIT_PLUS, 2)])
def test_no_value_is_asked_back_from_the_device(
    edit_class: str,
    further: int,
    tiny_models: dict[str, Path],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    pipe = load.load(checkpoint.read(tiny_models[edit_class]), Precision.BF16)
    encoder = pipe.text_encoder.to("meta")  # a device that has no values to give
    loaders = _Counted(), _Counted()
    stacks = (
        BlockStack(encoder.model.visual, "blocks", loaders[0]),
        BlockStack(encoder.model.language_model, "layers", loaders[1]),
    )
    images = tuple(canvas(size) for size in [(96, 128), (160, 64), (64, 96)][: 1 + further])
    prepared = _prepared(pipe, request_of(images=images, cfg=4.0))
    with torch.no_grad():
        found = whole(read_prompts(pipe, stacks, prepared.prompts, torch.device("meta")))
    assert [one.device.type for one in found] == ["meta", "meta"]
    lengths = [inputs["input_ids"].shape[1] for inputs in prepared.prompts]
    dropped = pipe.prompt_template_encode_start_idx
    assert [one.shape[1] for one in found] == [length - dropped for length in lengths]
    assert [loader.passages for loader in loaders] == [1, 1]


def test_the_pictures_of_a_prompt_and_of_its_opposite_are_looked_at_once(
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    editor = open_editor(EDIT_PLUS)
    pipe, stacks = editor._pipe, editor._parts.encoder.stacks
    requests = [request_of(images=(canvas(s),), cfg=4.0) for s in [(96, 128), (160, 64)]]
    prompts = [one for request in requests for one in _prepared(pipe, request).prompts]
    seen: list[torch.Tensor] = []
    blocks = pipe.text_encoder.model.visual.blocks
    hook = blocks[0].register_forward_pre_hook(lambda _block, given: seen.append(given[0]))
    with torch.no_grad():
        together = whole(read_prompts(pipe, stacks, prompts, CPU))
        assert len(seen) == len(requests)
        alone = [whole(read_prompts(pipe, stacks, [one], CPU))[0] for one in prompts]
    hook.remove()
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


def test_pictures_that_cannot_be_looked_at_fail_their_own_prompts_alone(
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    editor = open_editor(EDIT_PLUS)
    pipe, stacks = editor._pipe, editor._parts.encoder.stacks
    good = _prepared(pipe, request_of(images=(canvas((96, 128)),), cfg=4.0))
    bad = _prepared(pipe, request_of(images=(canvas((96, 128)),), cfg=4.0))
    for inputs in bad.prompts:
        inputs["pixel_values"] = inputs["pixel_values"][:, :-1]
    with torch.no_grad():
        found = read_prompts(pipe, stacks, [*bad.prompts, *good.prompts], CPU)
        alone = whole(read_prompts(pipe, stacks, good.prompts, CPU))
    assert all(isinstance(one, EditError) for one in found[:2])
    assert all(torch.equal(a, b) for a, b in zip(whole(found[2:]), alone, strict=True))
