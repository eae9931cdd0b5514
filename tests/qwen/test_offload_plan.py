"""What stays on the GPU follows from sizes and a budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.sizes import GUIDED, REAL, work_of

from pipeline.qwen.offload_plan import (
    GIB,
    TooSmallError,
    Work,
    after_out_of_memory,
    describe,
    plan,
    smallest_bytes,
)


def test_a_large_card_keeps_everything() -> None:
    found = plan(REAL, GUIDED, 80 * GIB)
    assert found.keeps_all
    assert found.transformer_resident == 60
    assert "stays on the GPU" in describe(found, REAL, 80 * GIB)


@pytest.mark.parametrize("budget_gib", [6, 8, 12, 16, 24])
def test_a_small_card_takes_a_guided_job_with_both_sequences_together(budget_gib: int) -> None:
    found = plan(REAL, GUIDED, budget_gib * GIB)
    assert not found.keeps_all
    assert 0 <= found.transformer_resident < 60
    assert (found.together, found.tile_side) == (2, None)


@pytest.mark.parametrize(
    ("megapixels", "references", "resident"),
    [(1, 0, 30), (1.75, 0, 28), (4, 0, 22), (4, 2, 19)],  # at the model's own area, these
)
def test_16_gib_hold_a_guided_job_of_several_megapixels(
    megapixels: float, references: int, resident: int
) -> None:
    found = plan(REAL, _guided(megapixels, references), 16 * GIB)
    assert (found.together, found.tile_side) == (2, None)
    assert found.transformer_resident == resident


def test_8_gib_hold_four_megapixels_and_6_gib_do_not_and_say_what_would() -> None:
    found = plan(REAL, _guided(4, 0), 8 * GIB)
    assert found.together == 2
    assert found.tile_side is not None
    with pytest.raises(TooSmallError, match=r"denoising needs 6\.2 GiB of GPU memory"):
        plan(REAL, _guided(4, 0), 6 * GIB)


def _guided(megapixels: float, references: int) -> Work:
    """A job with guidance whose canvas has so many times 1024x1024 pixels."""
    pixels = int(megapixels * 2**20)
    patches = (2 * pixels + references * 2**20) // 256
    return replace(work_of(2, patches + 1500, 1500, pixels), kept_patches=2 * patches)


def test_a_card_that_holds_the_transformer_alone_keeps_all_its_blocks_while_denoising() -> None:
    found = plan(REAL, GUIDED, 48 * GIB)
    assert (found.keeps_all, found.transformer_resident) == (False, 60)
    assert "all 60 transformer blocks stay on the GPU" in describe(found, REAL, 48 * GIB)


@given(st.floats(5, 100), st.integers(1, 16), st.integers(1, 30_000), st.integers(1, 64))
def test_more_memory_never_makes_a_plan_smaller(
    budget_gib: float, sequences: int, tokens: int, megapixels: int
) -> None:
    work = work_of(sequences, tokens, 700, megapixels * 2**20)
    try:
        smaller = plan(REAL, work, int(budget_gib * GIB))
    except TooSmallError:
        return
    larger = plan(REAL, work, int(budget_gib * 1.5 * GIB))
    assert larger.keeps_all >= smaller.keeps_all
    assert larger.together >= smaller.together
    if larger.together == smaller.together:
        assert larger.transformer_resident >= smaller.transformer_resident


def test_many_sequences_give_blocks_their_room_first_and_then_fly_in_turns() -> None:
    many = replace(GUIDED, sequences=16, tokens=30_000)
    assert plan(REAL, many, 24 * GIB).together == 16
    assert 1 <= plan(REAL, many, 10 * GIB).together < 16
    assert plan(REAL, many, 10 * GIB).transformer_resident == 0


def test_many_prompts_are_read_together_as_far_as_there_is_room() -> None:
    many = work_of(128, 9700, 1500, 2**20)
    assert plan(REAL, many, 24 * GIB).read_together == 128
    tight = plan(REAL, many, 7 * GIB)
    assert 1 < tight.read_together < 128
    assert tight.text_resident == 0


def test_prompts_that_stay_embedded_count_in_every_stage() -> None:
    few, many = (work_of(count, 9700, 1500, 64 * 2**20) for count in (2, 128))
    more_bytes = smallest_bytes(REAL, many) - smallest_bytes(REAL, few)
    embeddings_bytes = 126 * 1500 * REAL.text_width * REAL.item_bytes
    assert embeddings_bytes <= more_bytes <= 2 * embeddings_bytes
    side, beside_few = (plan(REAL, work, 16 * GIB).tile_side for work in (many, few))
    assert side is not None
    assert beside_few is not None
    assert side < beside_few


def test_a_large_picture_is_tiled_and_its_tiles_are_large() -> None:
    large = replace(GUIDED, pixels=64 * 2**20)
    side = plan(REAL, large, 16 * GIB).tile_side
    assert side is not None
    assert 640 <= side < 8192


def test_a_budget_that_is_too_small_is_told_with_what_is_needed() -> None:
    with pytest.raises(TooSmallError) as raised:
        plan(REAL, GUIDED, 2 * GIB)
    assert raised.value.needed_bytes > 2 * GIB
    assert f"{raised.value.needed_bytes / GIB:.1f} GiB" in str(raised.value)


@given(
    st.integers(1, 8),
    st.integers(1, 30_000),
    st.integers(1, 5_000),
    st.integers(2**10, 64 * 2**20),
    st.booleans(),
)
def test_the_smallest_budget_holds_a_plan_and_one_byte_less_holds_none(
    sequences: int,
    tokens: int,
    text_tokens: int,
    pixels: int,
    is_shallow: bool,
) -> None:
    size = replace(REAL, transformer=replace(REAL.transformer, blocks=1)) if is_shallow else REAL
    work = work_of(sequences, tokens, text_tokens, pixels)
    smallest = smallest_bytes(size, work)
    assert plan(size, work, smallest).together >= 1
    with pytest.raises(TooSmallError):
        plan(size, work, smallest - 1)


def test_after_an_out_of_memory_the_plan_is_smaller() -> None:
    before = plan(REAL, GUIDED, 16 * GIB)
    after = plan(REAL, GUIDED, after_out_of_memory(16 * GIB))
    assert after.transformer_resident < before.transformer_resident


def test_the_description_names_what_stays_and_what_passes() -> None:
    said = describe(plan(REAL, GUIDED, 16 * GIB), REAL, 16 * GIB)
    assert said.startswith("16.0 GiB of GPU memory allowed: while it reads prompts, ")
    assert "of 28 text encoder layers stay on the GPU" in said
    assert "while it denoises 2 sequences together, " in said
    assert "of 60 transformer blocks stay on the GPU, the others (" in said
    assert said.endswith("; pictures pass the VAE whole")


def test_the_description_names_turns_and_tiles() -> None:
    many = replace(GUIDED, tokens=80_000, pixels=16 * 2**20)
    said = describe(plan(REAL, many, 12 * GIB), REAL, 12 * GIB)
    assert "while it denoises one sequence at a time, 0 of 60" in said
    assert "pictures pass the VAE in tiles of " in said
