"""Packed weights, and weights on the device alone, are exactly those that were read."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rig.batches import run
from rig.copy_streams import BrokenLane, CrampedLane, EarlyLane, LateLane, StingyLane
from rig.stage_memory import decide, passing_through, place

from config.problems import UserError
from config.settings import ModelSettings
from pipeline.checkpoint import EDIT, EDIT_PLUS, WeightFile
from pipeline.editor import EditRequest
from pipeline.qwen.arrival_check import TransferError
from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream, Mark
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.host_plan import HostPlan
from pipeline.qwen.packed_memory import PackedMemory
from pipeline.qwen.weight_encoding import Plain, expand
from pipeline.qwen.weight_files import Extent, UnreadWeight
from pipeline.qwen.weight_streaming import StreamLoader

CPU = torch.device("cpu")
LANES: list[Callable[[], CopyStream]] = [InlineCopyStream, EarlyLane, LateLane]
BLOCKS = 4
UNITS = 5
PLANS = {
    "packed": HostPlan(packs=True),
    "packed, two blocks on the device alone": HostPlan(packs=True, blocks_on_gpu=2),
    "all blocks on the device alone": HostPlan(blocks_on_gpu=BLOCKS),
    "one block on the device alone": HostPlan(blocks_on_gpu=1, drops_page_cache=True),
    "the least": HostPlan(
        packs=True, keeps_modulation=False, keeps_encoder=False, blocks_on_gpu=3
    ),
}


def units() -> list[list[torch.nn.Parameter]]:
    """Random weights in bf16, two a unit."""
    chance = torch.Generator().manual_seed(3)
    return [
        [
            torch.nn.Parameter(torch.randn(shape, generator=chance).bfloat16())
            for shape in ((61, 67), (129,))
        ]
        for _ in range(UNITS)
    ]


def values(unit: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in unit]


def same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("on_device", [(), (0,), (0, 2, 4), range(UNITS)])
@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("copy_stream", LANES)
def test_every_unit_is_itself_while_it_is_acquired(
    copy_stream: Callable[[], CopyStream], packs: bool, on_device: range | tuple[int, ...]
) -> None:
    weights = units()
    expected = [values(unit) for unit in weights]
    lane = copy_stream()
    memory = PackedMemory(weights, lane, CPU, packs=packs, on_device=on_device)
    assert all(isinstance(one, Plain) is not packs for one in memory.encoded)
    loader = StreamLoader(weights, memory, lane, CPU)
    for resident in (0, 3, UNITS):
        loader.begin(resident)
        for number in [*range(UNITS)] * 3:
            loader.acquire(number)
            assert same(values(weights[number]), expected[number])
            loader.release(number)
            if packs:
                assert weights[number][0].isnan().all()  # whoever computed with it would notice
        loader.end()
    loader.close()


@pytest.mark.parametrize("copy_stream", LANES)
def test_a_unit_that_is_alone_is_expanded_once_and_stays(
    copy_stream: Callable[[], CopyStream],
) -> None:
    weights = units()[:1]
    expected = values(weights[0])
    lane = copy_stream()
    loader = StreamLoader(weights, PackedMemory(weights, lane, CPU, packs=True), lane, CPU)
    for _ in range(2):
        loader.begin(1)
        for _ in range(2):
            loader.acquire(0)
            assert same(values(weights[0]), expected)
        loader.end()
        assert weights[0][0].isnan().all()
    loader.close()


def large_tensors() -> int:
    """How many are as large as a packed unit: places of units, not slices with their weights."""
    every = [it for it in gc.get_objects() if type(it) is torch.Tensor]
    return sum(it.dtype is torch.uint8 and it.numel() >= 6_000 for it in every)


@pytest.mark.parametrize("packs", [True, False])
def test_no_place_is_taken_beyond_those_of_the_plan_and_all_are_given_back(packs: bool) -> None:
    weights = units()
    lane = InlineCopyStream()
    loader = StreamLoader(weights, PackedMemory(weights, lane, CPU, packs=packs), lane, CPU)
    before = large_tensors()
    for resident in range(UNITS + 1):
        loader.begin(resident)
        for number in [*range(UNITS)] * 2:
            loader.acquire(number)
            loader.release(number)
        passing = min(2, UNITS - resident)
        assert large_tensors() - before == resident + passing + packs
        loader.end()
        assert large_tensors() == before
    loader.close()


def test_a_unit_that_is_alone_gives_back_what_it_was_expanded_from() -> None:
    weights = units()[:1]
    lane = InlineCopyStream()
    loader = StreamLoader(weights, PackedMemory(weights, lane, CPU, packs=True), lane, CPU)
    before = large_tensors()
    loader.begin(1)
    loader.acquire(0)
    assert large_tensors() - before == 1
    loader.close()


class OrderedLane(InlineCopyStream):
    """Numbers the marks, and asks each copy whether it waits for what was said to be the last."""

    def __init__(self) -> None:
        self.marks = 0
        self.place_of: dict[int, int] = {}  # of what lies at an address
        self.used_at: dict[int, int] = {}  # places, and how many marks there were then

    def mark(self) -> Mark:
        """The next number."""
        self.marks += 1
        return self.marks

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy to a place whose last use was before the mark."""
        place = target.data_ptr()
        assert after > self.used_at.get(place, 0), "the place may be in use"
        self.place_of[source.data_ptr()] = place
        super().fetch(target, source, after=after)


@pytest.mark.parametrize("packs", [True, False])
def test_a_place_is_written_again_when_the_last_use_of_it_has_ended(packs: bool) -> None:
    """Expanding is the last use of a packed unit's place; else it is what the unit computes."""
    weights = units()
    lane = OrderedLane()
    memory = PackedMemory(weights, lane, CPU, packs=packs)
    loader = StreamLoader(weights, memory, lane, CPU)
    loader.begin(1)
    for number in [*range(UNITS)] * 3:
        if packs:
            lane.used_at[lane.place_of[memory.flat(number).data_ptr()]] = lane.marks
        loader.acquire(number)
        if not packs:
            lane.used_at[lane.place_of[memory.flat(number).data_ptr()]] = lane.marks
        loader.release(number)
    loader.close()


@pytest.mark.parametrize("packs", [True, False])
def test_no_copy_is_under_way_to_a_place_that_is_given_back(packs: bool) -> None:
    weights = units()
    lane = LateLane()
    loader = StreamLoader(weights, PackedMemory(weights, lane, CPU, packs=packs), lane, CPU)
    loader.begin(1)
    loader.acquire(0)
    assert lane.under_way
    loader.end()
    assert not lane.under_way
    loader.close()


@pytest.mark.parametrize("packs", [True, False])
def test_units_from_a_file_are_themselves_though_they_are_read_into_two_places(
    tmp_path: Path, packs: bool
) -> None:
    """So many that one which is read over another would be met."""
    path = tmp_path / "weights"
    numbers = torch.randn(100, 20_000, generator=torch.Generator().manual_seed(5)).bfloat16()
    path.write_bytes(numbers.view(torch.uint8).numpy().tobytes())
    file = WeightFile(path=path, header=b"", tensors={}, size_bytes=path.stat().st_size)
    extents = [
        Extent(file=file, start_byte=start, dtype=torch.bfloat16, shape=numbers[0].shape)
        for start in range(0, file.size_bytes, 40_000)
    ]
    weights = [[UnreadWeight(extent, torch.bfloat16)] for extent in extents]
    memory = PackedMemory(weights, InlineCopyStream(), CPU, packs=packs)
    for index, expected in enumerate(numbers):
        place = torch.empty(memory.layouts[index].bytes, dtype=torch.uint8)
        found = expand(memory.encoded[index], memory.flat(index), place)
        assert torch.equal(memory.layouts[index].views(found)[0], expected)
    memory.close()


@pytest.mark.parametrize("packs", [True, False])
def test_all_that_is_held_is_pinned_and_nothing_else(packs: bool) -> None:
    lane = StingyLane(2**20)
    memory = PackedMemory(units(), lane, CPU, packs=packs, on_device=(1,))
    assert 2**20 - lane.left_bytes == memory.bytes
    assert (memory.pins.unpinned_bytes, memory.pins.refusal) == (0, None)
    memory.close()
    assert lane.left_bytes == 2**20
    assert not memory.on_device


def test_what_the_driver_does_not_pin_is_counted() -> None:
    weights = units()
    lane = StingyLane(4 * 2**14)
    memory = PackedMemory(weights, lane, CPU, packs=True)
    assert 0 < memory.pins.unpinned_bytes < memory.bytes
    assert memory.pins.unpinned_bytes == memory.bytes - (4 * 2**14 - lane.left_bytes)
    assert memory.pins.refusal == "out of memory"
    memory.close()


def test_packed_units_take_three_quarters_and_those_on_the_device_nothing() -> None:
    weights = [[torch.nn.Parameter(torch.randn(2**18).bfloat16())] for _ in range(4)]
    memory = PackedMemory(weights, InlineCopyStream(), CPU, packs=True, on_device=(1, 2))
    assert 0.75 <= memory.bytes / (2 * 2**19) <= 0.76
    assert memory.on_device.keys() == {1, 2}
    memory.close()


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("copy", [3, 4])  # the first and the second crossing of the second unit
def test_a_byte_that_changes_before_it_is_packed_is_found(copy: int, packs: bool) -> None:
    lane = CountingBrokenLane(copy)
    with pytest.raises(TransferError, match=r"block 1 of 5 is not what was read"):
        PackedMemory(units(), lane, CPU, packs=packs)
    assert lane.pinned == 0


class CountingBrokenLane(BrokenLane):
    """Knows how many places are pinned."""

    pinned = 0

    def pin(self, host: torch.Tensor) -> None:
        """Count."""
        self.pinned += 1

    def unpin(self, host: torch.Tensor) -> None:
        """Count."""
        self.pinned -= 1


@pytest.fixture(params=PLANS)
def planned(
    request: pytest.FixtureRequest, tiny_models: dict[str, Path]
) -> Iterator[Callable[[str], QwenEditor]]:
    """planned(edit_class) -> an editor in bf16 whose weights wait by the plan."""
    opened: list[QwenEditor] = []

    def open_it(edit_class: str) -> QwenEditor:
        at = replace(place(EarlyLane()), host_plan=PLANS[request.param])
        settings = ModelSettings(path=tiny_models[edit_class], batch=8)
        opened.append(opening(settings, {"DTYPE": "bf16"}, at=at))
        assert opened[-1].describe().pack == ("lossless" if at.host_plan.packs else "none")
        return opened[-1]

    yield open_it
    for editor in opened:
        editor.close()


@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_pictures_are_the_same_bytes_wherever_weights_wait(
    planned: Callable[[str], QwenEditor],
    edit_class: str,
    open_editor: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    canvas: Callable[..., Path],
) -> None:
    requests = [request_of(cfg=4.0), request_of(images=(canvas((64, 96)),), steps=3, seed=1)]
    expected = run(open_editor(edit_class, "bf16"), *requests)
    editor = planned(edit_class)
    for resident in (BLOCKS, 3):
        decide(editor, passing_through(resident))
        for _ in range(2):
            found = run(editor, *requests)
            assert all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("plan", [HostPlan(), HostPlan(packs=True, blocks_on_gpu=2)])
def test_a_gpu_that_is_full_while_the_model_is_loaded_is_told_of(
    tiny_models: dict[str, Path], plan: HostPlan
) -> None:
    lane = CrampedLane()
    lane.failing = 1
    with pytest.raises(UserError, match=r"the GPU: its memory ran out while the model was loaded"):
        opening(
            ModelSettings(path=tiny_models[EDIT_PLUS]),
            {"DTYPE": "bf16"},
            at=replace(place(lane), host_plan=plan),
        )


class Cramped(StreamLoader):
    """Has no memory for one of what it allocates, counted from 1."""

    left = 0

    def _allocate(self, size_bytes: int) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError
        return super()._allocate(size_bytes)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("missing", range(1, 5))
def test_a_loader_that_has_no_memory_to_begin_gives_back_what_it_has_and_begins_again(
    packs: bool, missing: int
) -> None:
    weights, lane = units(), EarlyLane()
    expected = [values(unit) for unit in weights]
    loader = Cramped(weights, PackedMemory(weights, lane, CPU, packs=packs), lane, CPU)
    loader.left = missing
    with pytest.raises(torch.OutOfMemoryError):
        loader.begin(3)
    loader.end()
    loader.begin(1)
    for number in range(UNITS):
        loader.acquire(number)
        assert same(values(weights[number]), expected[number])
        loader.release(number)
    loader.close()
