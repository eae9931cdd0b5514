"""Weights that pass through a device arrive whole, in time, and are never overwritten in use."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from rig.copy_streams import EarlyLane, LateLane

from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream
from pipeline.qwen.pinned_memory import PinnedMemory
from pipeline.qwen.weight_streaming import StreamLoader, evenly

CPU = torch.device("cpu")
LANES: list[Callable[[], CopyStream]] = [InlineCopyStream, EarlyLane, LateLane]
UNITS = 5


def _units() -> list[list[torch.nn.Parameter]]:
    """Unit n holds the number n, in two weights of different types."""
    return [
        [
            torch.nn.Parameter(torch.full((3, 5), float(number))),
            torch.nn.Parameter(torch.full((7,), float(number)).bfloat16()),
        ]
        for number in range(UNITS)
    ]


def _loader(units: list[list[torch.nn.Parameter]], copy_stream: CopyStream) -> StreamLoader:
    return StreamLoader(units, PinnedMemory(units, copy_stream), copy_stream, CPU)


def _values(unit: list[torch.nn.Parameter]) -> set[float]:
    return {float(value) for weight in unit for value in weight.detach().float().flatten()}


@pytest.mark.parametrize("resident", range(UNITS + 1))
@pytest.mark.parametrize("copy_stream", LANES)
def test_every_unit_is_itself_while_it_is_acquired(
    copy_stream: Callable[[], CopyStream], resident: int
) -> None:
    units = _units()
    loader = _loader(units, copy_stream())
    loader.begin(resident)
    for number in [*range(UNITS)] * 3:
        loader.acquire(number)
        assert _values(units[number]) == {number}
        loader.release(number)
    loader.close()
    assert [_values(unit) for unit in units] == [{n} for n in range(UNITS)]


@pytest.mark.parametrize("copy_stream", LANES)
def test_a_round_may_break_off_anywhere(copy_stream: Callable[[], CopyStream]) -> None:
    units = _units()
    loader = _loader(units, copy_stream())
    for broken_at in range(UNITS):
        loader.begin(broken_at % 3)
        for number in range(broken_at):
            loader.acquire(number)
            loader.release(number)
        loader.acquire(broken_at)
        loader.end()
    loader.begin(1)
    for number in range(UNITS):
        loader.acquire(number)
        assert _values(units[number]) == {number}
        loader.release(number)
    loader.close()


def test_a_released_unit_is_back_in_host_memory() -> None:
    units = _units()
    loader = _loader(units, InlineCopyStream())
    at_home = [weight.data_ptr() for weight in units[0]]
    loader.begin(0)
    loader.acquire(0)
    assert [weight.data_ptr() for weight in units[0]] != at_home
    loader.release(0)
    assert [weight.data_ptr() for weight in units[0]] == at_home
    loader.close()


def test_resident_units_cross_once_and_the_others_once_a_round() -> None:
    copy_stream = EarlyLane()
    loader = _loader(_units(), copy_stream)
    loader.begin(2)
    for number in [*range(UNITS)] * 4:
        loader.acquire(number)
        loader.release(number)
    loader.end()
    ahead = 2  # of a round that never came
    assert copy_stream.copies == 2 + 4 * (UNITS - 2) + ahead


def test_no_more_than_two_slots_are_taken() -> None:
    copy_stream = EarlyLane()
    loader = _loader(_units(), copy_stream)
    loader.begin(0)
    for number in [*range(UNITS)] * 3:
        loader.acquire(number)
        loader.release(number)
    assert len(copy_stream.targets) == 2
    loader.close()


def test_pinned_memory_is_the_weights_and_a_little_for_alignment() -> None:
    weights = [[torch.nn.Parameter(torch.zeros(1000, 100))] for _ in range(7)]
    memory = PinnedMemory(weights, InlineCopyStream())
    assert 7 * 400_000 <= memory.bytes <= 1.05 * 7 * 400_000
    memory.close()


@pytest.mark.parametrize(("resident", "units"), [(0, 60), (1, 60), (14, 60), (59, 60), (60, 60)])
def test_resident_units_are_spread_evenly(resident: int, units: int) -> None:
    stay = sorted(evenly(resident, units))
    assert len(stay) == resident
    gaps = [later - earlier for earlier, later in pairwise(stay)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
