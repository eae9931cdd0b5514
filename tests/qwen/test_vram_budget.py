"""How much of a GPU a model may take, and what is said when that is too little."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.problems import UserError
from pipeline import checkpoint
from pipeline.checkpoint import EDIT_PLUS
from pipeline.qwen.offload_plan import (
    GIB,
    ModelSize,
    StackSize,
    TooSmallError,
    plan,
    smallest_bytes,
)
from pipeline.qwen.vram_budget import (
    MARGIN_BYTES,
    allowed_bytes,
    plan_for_usual,
    usual_jobs_together,
    usual_work,
)

LARGE = ModelSize(
    vision=StackSize(blocks=32, block_bytes=GIB // 25),
    text=StackSize(blocks=28, block_bytes=GIB // 2),
    encoder_rest_bytes=GIB,
    transformer=StackSize(blocks=60, block_bytes=4 * GIB // 9),
    modulation=StackSize(blocks=60, block_bytes=2 * GIB // 9),
    transformer_rest_bytes=GIB // 12,
    vae_bytes=GIB // 4,
    vision_width=5120,
    text_width=3584,
    transformer_width=3072,
    head_width=128,
    patch_width=64,
    vae_width=96,
    item_bytes=2,
)


@pytest.mark.parametrize(
    ("free_gib", "vram_gib", "allowed_gib"),
    [(16, None, 16 - MARGIN_BYTES / GIB), (0.5, None, 0), (16, 12.5, 12.5), (16, 24, 16)],
)
def test_the_settings_allow_what_is_free_and_auto_leaves_a_margin(
    free_gib: float, vram_gib: float | None, allowed_gib: float
) -> None:
    assert allowed_bytes(int(free_gib * GIB), vram_gib) == int(allowed_gib * GIB)


def test_several_usual_jobs_have_more_sequences_of_the_same_length(
    tiny_models: dict[str, Path],
) -> None:
    source = checkpoint.read(tiny_models[EDIT_PLUS])
    one, four = usual_work(source), usual_work(source, 4)
    assert (one.sequences, four.sequences) == (2, 8)
    assert (one.tokens, one.pixels) == (four.tokens, source.working_pixels)
    assert (4 * one.kept_patches, 4 * one.kept_text_tokens) == (
        four.kept_patches,
        four.kept_text_tokens,
    )


def test_as_many_usual_jobs_go_together_as_the_budget_holds(tiny_models: dict[str, Path]) -> None:
    source = checkpoint.read(tiny_models[EDIT_PLUS])
    budget_bytes = smallest_bytes(LARGE, usual_work(source)) + GIB
    jobs = usual_jobs_together(LARGE, source, 64, budget_bytes)
    assert 1 < jobs < 64
    assert plan(LARGE, usual_work(source, jobs), budget_bytes).together >= 1
    with pytest.raises(TooSmallError):
        plan(LARGE, usual_work(source, jobs + 1), budget_bytes)
    assert usual_jobs_together(LARGE, source, 4, budget_bytes) == 4


def test_a_figure_that_is_said_to_be_needed_is_enough(tiny_models: dict[str, Path]) -> None:
    usual = usual_work(checkpoint.read(tiny_models[EDIT_PLUS]))
    with pytest.raises(
        UserError, match=r"2\.0 GiB are allowed or free; raise it if it is set"
    ) as raised:
        plan_for_usual(LARGE, usual, 2 * GIB)
    needed_gib = re.search(r"needs at least ([\d.]+) GiB of GPU memory", str(raised.value))
    assert needed_gib
    assert plan_for_usual(LARGE, usual, int(float(needed_gib[1]) * GIB)).together >= 1
