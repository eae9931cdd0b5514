"""Tables of positions are a job's own: until it ends they are in the plan, then they are gone."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensor

from pipeline.editor import EditRequest, Event, Step
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.offload_plan import Work, kept_bytes

ASPECTS = [(32 * across, 32 * down) for across in range(1, 4) for down in range(1, 3)]
_PATCH_PIXELS = 16 * 16


def _held_bytes() -> int:
    """Of all tables of positions in this process: nothing else of these models is complex."""
    gc.collect()
    found = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    tensors = [one for one in found if not isinstance(one, FakeTensor)]  # of the compiler's
    storages = [one.untyped_storage() for one in tensors if one.dtype == torch.complex64]
    return sum({one.data_ptr(): one.nbytes() for one in storages}.values())


def _planned_bytes(editor: QwenEditor, patches: int) -> int:
    """For the positions of so many patches alone."""
    work = Work(
        sequences=1,
        tokens=0,
        text_tokens=0,
        pixels=0,
        timesteps=1,
        kept_patches=patches,
        kept_text_tokens=0,
    )
    return kept_bytes(replace(editor._parts.size, patch_width=0), work)


def test_pictures_of_many_aspects_leave_no_tables_and_hold_what_is_planned(
    open_editor: Callable[..., QwenEditor],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    editor = open_editor()
    pictures = [(canvas(size), canvas(size[::-1])) for size in ASPECTS]
    requests = [request_of(images=both, steps=1) for both in pictures]
    before_bytes = _held_bytes()
    held_bytes: list[int] = []

    def listen(event: Event) -> frozenset[str]:
        if isinstance(event, Step) and event.request_id == requests[-1].request_id:
            held_bytes.append(_held_bytes() - before_bytes)
        return frozenset()

    editor.edit(requests, listen)
    patches = sum(3 * width * height // _PATCH_PIXELS for width, height in ASPECTS)
    assert held_bytes == [_planned_bytes(editor, patches)]
    assert _held_bytes() == before_bytes
