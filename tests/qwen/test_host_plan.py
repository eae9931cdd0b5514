"""Where weights wait follows from their sizes and from what is free."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.sizes import GUIDED, MIB, REAL

from config.problems import UserError
from config.settings import Pack
from pipeline.qwen.host_plan import (
    SPARE_BYTES,
    HostLimits,
    HostPlan,
    choose,
    describe,
    most_bytes,
    needed_bytes,
    sized,
    weights_bytes,
)
from pipeline.qwen.offload_plan import GIB, plan, smallest_bytes

AMPLE = HostLimits(
    available_bytes=512 * GIB,
    ram_gib=None,
    pack=Pack.AUTO,
    can_pack=True,
    budget_bytes=15 * GIB,
    usual=GUIDED,
)
PLAIN = HostPlan()
IN_FILES = HostPlan(keeps_modulation=False)
PACKED = HostPlan(packs=True)
PACKED_IN_FILES = HostPlan(packs=True, keeps_modulation=False)
ALL_IN_FILES = replace(PACKED_IN_FILES, keeps_encoder=False)
ONE_BYTE = 1 / GIB  # in GiB; floats keep it exactly


def chosen(gib: float, **limits: object) -> HostPlan:
    given_limits = replace(AMPLE, available_bytes=int(gib * GIB), **limits)  # type: ignore[arg-type] # by name
    return choose(REAL, given_limits, where="/models/it")


def but_for_files(found: HostPlan) -> HostPlan:
    return replace(found, drops_page_cache=False)


@pytest.mark.parametrize(
    ("expected", "plain_mib", "packed_mib"),
    [
        (PLAIN, 25_920 + 1_480 + 12_960 + 108 + 1_280 + 13_048, 0),
        (IN_FILES, 25_920 + 1_480 + 108 + 1_280 + 13_048, 0),
        (PACKED, 12_960 + 108, 25_920 + 1_480 + 1_280 + 13_048),
        (PACKED_IN_FILES, 108, 25_920 + 1_480 + 1_280 + 13_048),
        (ALL_IN_FILES, 108 + 40 + 466, 25_920 + 1_480),
        (replace(ALL_IN_FILES, blocks_on_gpu=7), 108 + 40 + 466, 53 * 432 + 1_480),
    ],
)
def test_weights_take_what_their_parts_do(
    expected: HostPlan, plain_mib: int, packed_mib: int
) -> None:
    """Blocks of the transformer, what is of no block, modulation and the place it goes through."""
    sums = plain_mib * MIB + packed_mib * MIB * 0.751
    assert 0 <= weights_bytes(REAL, expected) - sums < 200  # a packed part begins a byte


@pytest.mark.parametrize("expected", [PLAIN, PACKED, IN_FILES, PACKED_IN_FILES])
def test_each_plan_is_taken_from_what_it_needs_on(expected: HostPlan) -> None:
    needed_gib = needed_bytes(REAL, expected) / GIB
    assert but_for_files(chosen(needed_gib)) == expected
    assert but_for_files(chosen(needed_gib - ONE_BYTE)) != expected


def test_the_quicker_plans_need_more() -> None:
    needs = [needed_bytes(REAL, one) for one in (PLAIN, PACKED, IN_FILES, PACKED_IN_FILES)]
    assert needs == sorted(needs, reverse=True)
    assert weights_bytes(REAL, PACKED_IN_FILES) < 0.76 * weights_bytes(REAL, IN_FILES)


def test_where_no_such_plan_fits_no_more_blocks_than_need_be_are_on_the_gpu_alone() -> None:
    least = needed_bytes(REAL, PACKED_IN_FILES) / GIB
    one = chosen(least - 0.2)
    assert but_for_files(one) == replace(PACKED_IN_FILES, blocks_on_gpu=1)
    many = chosen(28)
    assert many.keeps_encoder
    fewer = replace(many, blocks_on_gpu=many.blocks_on_gpu - 1)
    assert needed_bytes(REAL, many) <= 28 * GIB < needed_bytes(REAL, fewer)


@pytest.mark.parametrize("blocks", [0, 1, 2, 9])
def test_a_block_more_is_on_the_gpu_alone_where_a_byte_is_missing(blocks: int) -> None:
    needed_gib = needed_bytes(REAL, replace(PACKED_IN_FILES, blocks_on_gpu=blocks)) / GIB
    assert chosen(needed_gib).blocks_on_gpu == blocks
    assert chosen(needed_gib - ONE_BYTE).blocks_on_gpu == blocks + 1


def test_so_many_blocks_are_on_the_gpu_alone_as_have_room_beside_usual_jobs() -> None:
    expected = replace(PACKED_IN_FILES, blocks_on_gpu=9)
    needed_gib = needed_bytes(REAL, expected) / GIB
    size = sized(REAL, PACKED_IN_FILES)
    room_bytes = smallest_bytes(size, GUIDED) + 9 * size.transformer.crossing_bytes
    assert but_for_files(chosen(needed_gib, budget_bytes=room_bytes)) == expected
    assert not chosen(needed_gib, budget_bytes=room_bytes - 1).keeps_encoder


def test_with_less_than_the_least_plan_needs_there_is_none() -> None:
    """The GPU is too small for blocks of its own, so that they all wait in main memory."""
    needed_gib = needed_bytes(REAL, ALL_IN_FILES) / GIB
    assert but_for_files(chosen(needed_gib, budget_bytes=0)) == ALL_IN_FILES
    with pytest.raises(UserError, match=r"the model needs 2\d\.\d GiB of main memory"):
        chosen(needed_gib - ONE_BYTE, budget_bytes=0)


MORE = "close other programs or add memory"


@pytest.mark.parametrize(
    ("gib", "limits", "expected"),
    [
        (20, {}, f"needs 22.7 GiB of main memory (RAM), and 20.0 GiB are available; {MORE}"),
        (64, {"ram_gib": 10}, "12.0 GiB are available; raise model.ram_gib (62.0 are free"),
        (20, {"ram_gib": 18}, f"20.0 GiB are available; {MORE}"),
        (25, {"pack": Pack.NONE}, f"leave model.pack out: packed it needs 22.7 GiB or {MORE}"),
        (22, {"pack": Pack.NONE}, f"22.0 GiB are available; {MORE}"),
        (25, {"pack": Pack.NONE, "can_pack": False}, f"25.0 GiB are available; {MORE}"),
    ],
)
def test_what_would_help_is_said_where_nothing_fits(
    gib: float, limits: dict[str, object], expected: str
) -> None:
    with pytest.raises(UserError) as caught:
        chosen(gib, budget_bytes=0, **limits)
    assert expected in str(caught.value)


def test_numbers_of_two_bytes_are_named_where_they_would_fit() -> None:
    """Sizes that are taken for those of numbers of four bytes, which cannot be packed."""
    least = weights_bytes(REAL, replace(IN_FILES, keeps_encoder=False))
    limits = replace(AMPLE, can_pack=False, budget_bytes=0)
    for missing, is_named in ((0, True), (1, False)):
        available = least // 2 + SPARE_BYTES - missing
        with pytest.raises(UserError) as caught:
            choose(
                replace(REAL, item_bytes=4), replace(limits, available_bytes=available), where=""
            )
        named = "leave DTYPE out: in bf16 it needs 15.7 GiB or close"
        assert (named in str(caught.value)) is is_named


def test_what_waits_in_files_crosses_as_it_is() -> None:
    kept, in_files = sized(REAL, PACKED_IN_FILES), sized(REAL, ALL_IN_FILES)
    assert kept.text.crossing_bytes < in_files.text.crossing_bytes == REAL.text.block_bytes
    assert kept.vision.crossing_bytes < in_files.vision.crossing_bytes == REAL.vision.block_bytes
    assert kept.transformer == in_files.transformer != REAL.transformer


def test_the_size_knows_of_blocks_on_the_gpu_alone() -> None:
    for packs in (False, True):
        assert sized(REAL, HostPlan(packs=packs, blocks_on_gpu=7)).blocks_on_gpu == 7


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (PLAIN, "the weights take 53.5 GiB of main memory, as they are computed with"),
        (
            replace(ALL_IN_FILES, blocks_on_gpu=9),
            "the weights take 17.8 GiB of main memory, packed in 12 bits each, without loss; "
            "on the GPU alone 9 of 60 transformer blocks (2.9 GiB); "
            "the text encoder (14.0 GiB) is read from its files for each batch; "
            "modulation (12.7 GiB) is read from its files again "
            "for each new size of picture or number of steps",
        ),
    ],
)
def test_a_plan_is_told_with_all_that_is_particular_to_it(found: HostPlan, told: str) -> None:
    assert describe(REAL, found) == told


def test_the_text_encoder_stays_in_its_files_where_the_gpu_has_no_room_for_more_blocks() -> None:
    found = chosen(18)
    assert not found.keeps_encoder
    assert needed_bytes(REAL, found) <= 18 * GIB
    told = describe(REAL, found)
    assert "is read from its files for each batch" in told


@given(st.floats(10, 60), st.floats(6, 40), st.sampled_from(Pack))
def test_a_chosen_plan_keeps_its_limits_and_leaves_room_for_usual_jobs(
    gib: float, budget_gib: float, pack: Pack
) -> None:
    limits = replace(
        AMPLE,
        available_bytes=int(gib * GIB),
        budget_bytes=int(budget_gib * GIB),
        pack=pack,
    )
    try:
        found = choose(REAL, limits, where="/models/it")
    except UserError:
        return
    assert needed_bytes(REAL, found) <= limits.available_bytes
    if pack is not Pack.AUTO:
        assert found.packs is (pack is Pack.LOSSLESS)
    if found.blocks_on_gpu:
        size = sized(REAL, found)
        assert smallest_bytes(size, GUIDED) <= budget_gib * GIB
        resident = plan(size, GUIDED, int(budget_gib * GIB)).transformer_resident
        assert found.blocks_on_gpu <= resident <= 60


@given(
    st.floats(10, 70), st.floats(0, 1), st.floats(6, 40), st.sampled_from(Pack), st.floats(8, 60)
)
def test_no_later_start_takes_more_than_the_most(
    total_gib: float, free: float, budget_gib: float, pack: Pack, ram_gib: float
) -> None:
    for ram in (None, ram_gib):
        there = replace(AMPLE, available_bytes=int(total_gib * GIB), pack=pack, ram_gib=ram)
        least = replace(there, budget_bytes=0)  # nothing is known of the GPU beforehand
        try:
            found = chosen(
                total_gib * free, pack=pack, ram_gib=ram, budget_bytes=int(budget_gib * GIB)
            )
        except UserError:
            continue
        assert needed_bytes(REAL, found) <= most_bytes(REAL, least) <= there.available_bytes


def test_the_most_is_what_the_plan_takes_and_not_the_machine() -> None:
    packed, ample = needed_bytes(REAL, PACKED), replace(AMPLE, available_bytes=48 * GIB)
    assert most_bytes(REAL, AMPLE) == needed_bytes(REAL, PLAIN)
    assert most_bytes(REAL, ample) == packed
    assert most_bytes(REAL, replace(AMPLE, ram_gib=20)) == 20 * GIB + SPARE_BYTES
    on_cpu = replace(ample, budget_bytes=None)
    assert most_bytes(REAL, on_cpu) == 48 * GIB


def test_a_limit_of_ones_own_is_of_the_weights_alone() -> None:
    gib = weights_bytes(REAL, PACKED) / GIB
    assert but_for_files(chosen(512, ram_gib=gib)) == PACKED
    assert but_for_files(chosen(512, ram_gib=gib - ONE_BYTE)) == IN_FILES


def test_a_limit_of_ones_own_gives_no_memory_that_is_not_available() -> None:
    needed_gib = needed_bytes(REAL, PACKED) / GIB
    assert but_for_files(chosen(needed_gib, ram_gib=512)) == PACKED
    assert but_for_files(chosen(needed_gib - ONE_BYTE, ram_gib=512)) == IN_FILES


@pytest.mark.parametrize("pack", Pack)
def test_nothing_but_bf16_is_packed(pack: Pack) -> None:
    if pack is Pack.LOSSLESS:
        with pytest.raises(UserError, match=r"model\.pack: only weights in bf16 can be packed"):
            chosen(512, pack=pack, can_pack=False)
        return
    needed_gib = needed_bytes(REAL, PACKED) / GIB
    assert but_for_files(chosen(needed_gib, pack=pack, can_pack=False)) == IN_FILES


def test_without_a_gpu_all_weights_are_in_main_memory() -> None:
    needed_gib = needed_bytes(REAL, PLAIN) / GIB
    assert but_for_files(chosen(needed_gib, budget_bytes=None)) == PLAIN
    with pytest.raises(
        UserError, match=r"/models/it: the model needs 5\d\.\d+ GiB of main memory"
    ):
        chosen(needed_gib - ONE_BYTE, budget_bytes=None)


def test_the_page_cache_is_left_alone_where_it_can_hold_half_of_the_files() -> None:
    needed_gib = (needed_bytes(REAL, PLAIN) + REAL.all_bytes // 2) / GIB
    assert not chosen(needed_gib).drops_page_cache
    assert chosen(needed_gib - ONE_BYTE).drops_page_cache


def test_what_is_spared_is_not_the_weights() -> None:
    assert needed_bytes(REAL, PACKED) - weights_bytes(REAL, PACKED) == SPARE_BYTES
