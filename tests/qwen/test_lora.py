"""A LoRA changes what it should, for the request that names it and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file

from config.settings import Lora, ModelSettings
from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import EditRequest, Event, Failed, Failure, Step
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.lora import LIGHTNING_SCHEDULE, schedule_for

LAYER = "transformer_blocks.1.attn.to_q"
SIZE = 96
RANK = 4


def _factors() -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(5)
    down = torch.randn(RANK, SIZE, generator=chance)
    return down, torch.randn(SIZE, RANK, generator=chance)


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lora]:
    folder = tmp_path_factory.mktemp("loras")
    down, up = _factors()
    plain = {f"transformer.{LAYER}.lora_A.weight": down, f"transformer.{LAYER}.lora_B.weight": up}
    kohya = {
        f"{LAYER}.lora_down.weight": down,
        f"{LAYER}.lora_up.weight": up,
        f"{LAYER}.alpha": torch.tensor(RANK / 2),
    }
    foreign = {key.replace("to_q", "to_x"): value for key, value in plain.items()}
    wide = {f"transformer.{LAYER}.lora_A.weight": torch.zeros(RANK, SIZE + 1)}
    wide[f"transformer.{LAYER}.lora_B.weight"] = up
    a, b = plain
    flat = plain | {b: torch.zeros(SIZE)}
    kinds = {
        "plain": plain,
        "kohya": kohya,
        "foreign": foreign,
        "wide": wide,
        "empty": {},
        "flat": flat,
        "half": {a: down},
        "other half": {b: up},
        "half of kohya": {f"{LAYER}.lora_down.weight": down, f"{LAYER}.alpha": torch.tensor(1.0)},
        "two alphas": kohya | {f"{LAYER}.alpha": torch.tensor([1.0, 2.0])},
        "dora": plain | {f"transformer.{LAYER}.lora_magnitude.dora_scale": torch.ones(SIZE)},
        "bias": plain | {f"transformer.{LAYER}.lora_B.bias": torch.zeros(SIZE)},
        "integers": {key: value.to(torch.int8) for key, value in plain.items()},
    }
    for name, tensors in kinds.items():
        save_file(tensors, folder / f"{name}.safetensors")
    (folder / "broken.safetensors").write_bytes(b"broken")
    names = [*kinds, "broken", "gone"]
    found = {n: Lora(path=folder / f"{n}.safetensors", steps=4, cfg=4.0) for n in names}
    lightning = Lora(path=folder / "plain.safetensors", steps=4, cfg=1.0)
    return {**found, "lightning": lightning}


@pytest.fixture(scope="module")
def editor(tiny_models: dict[str, Path], loras: dict[str, Lora]) -> Iterator[QwenEditor]:
    opened = opening(ModelSettings(path=tiny_models[EDIT_PLUS], loras=loras), {"DTYPE": "fp32"})
    yield opened
    opened.close()


@pytest.mark.parametrize(("name", "scale"), [("plain", 1.0), ("kohya", 0.5)])
def test_a_lora_acts_as_if_it_were_part_of_the_weights(
    name: str,
    scale: float,
    editor: QwenEditor,
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    worn = picture_of(editor, request_of(lora=name)).astype(int)
    plain = picture_of(editor, request_of()).astype(int)
    layer = editor._pipe.transformer.get_submodule(LAYER)
    own = layer.weight.data
    down, up = _factors()
    layer.weight.data = own + scale * (up @ down)
    merged = picture_of(editor, request_of()).astype(int)
    layer.weight.data = own
    assert abs(worn - merged).max() <= 1
    assert abs(worn - plain).max() > 5


def test_a_lora_leaves_no_trace(
    editor: QwenEditor,
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    open_editor: Callable[..., Any],
) -> None:
    picture_of(editor, request_of(lora="plain"))

    def hang_up(event: Event) -> frozenset[str]:
        if isinstance(event, Step):
            raise BrokenPipeError
        return frozenset()

    with pytest.raises(BrokenPipeError):
        editor.edit([request_of(lora="plain")], hang_up)
    fresh = picture_of(open_editor(EDIT_PLUS, "fp32"), request_of())
    assert np.array_equal(picture_of(editor, request_of()), fresh)


def test_a_lora_for_no_guidance_brings_the_schedule_it_was_distilled_on(
    loras: dict[str, Lora],
) -> None:
    own = {"shift_terminal": 0.02}
    assert schedule_for(None, own) is own
    assert schedule_for(loras["plain"], own) is own
    assert schedule_for(loras["lightning"], own) is LIGHTNING_SCHEDULE


def test_the_distilled_schedule_is_the_published_one() -> None:
    from pipeline.qwen.denoise import _timesteps

    scheduler = FlowMatchEulerDiscreteScheduler.from_config(LIGHTNING_SCHEDULE)
    found = _timesteps(scheduler, 4, 4096, torch.device("cpu")) / 1000
    assert found.tolist() == pytest.approx([1, 0.9, 0.75, 0.5], abs=1e-4)


def test_a_lightning_lora_edits(
    editor: QwenEditor, request_of: Callable[..., EditRequest], picture_of: Callable[..., Any]
) -> None:
    lightning = picture_of(editor, request_of(lora="lightning", steps=4))
    assert not np.array_equal(lightning, picture_of(editor, request_of(lora="plain", steps=4)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nameless", "know no LoRA 'nameless'"),
        ("gone", "no such file"),
        ("broken", "cannot be read"),
        ("empty", "no layer"),
        ("foreign", "to_x is none of this model's"),
        ("wide", "to_q is none of this model's"),
        ("flat", "to_q is none of this model's"),
        ("half", "has no transformer.transformer_blocks.1.attn.to_q.lora_B.weight"),
        ("other half", "has no transformer.transformer_blocks.1.attn.to_q.lora_A.weight"),
        ("half of kohya", "cannot be read (KeyError"),
        ("two alphas", "cannot be read (RuntimeError"),
        ("dora", "is a DoRA"),
        ("bias", "lora_B.bias is nothing that is understood"),
        ("integers", "torch.int8 without a scale"),
    ],
)
def test_a_lora_that_cannot_be_worn_fails_its_job_for_good(
    name: str,
    said: str,
    editor: QwenEditor,
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    ending = edit(editor, request_of(lora=name))
    assert isinstance(ending, Failed)
    assert ending.error.failure is Failure.PERMANENT
    assert said in ending.error.cause
