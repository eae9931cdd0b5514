"""A byte that changes on its way to the device is found before anything is computed with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from rig.copy_streams import BrokenLane, EarlyLane, LateLane

from pipeline.qwen.arrival_check import ArrivalCheck, TransferError
from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream

CPU = torch.device("cpu")
PIECES = 3


@pytest.fixture(scope="module")
def weights() -> torch.Tensor:
    """Of two whole pieces and a bit."""
    return torch.arange((PIECES - 1) * 2**22 + 7).view(torch.uint8)


@pytest.mark.parametrize("copy_stream", [InlineCopyStream, EarlyLane, LateLane])
def test_an_honest_lane_is_not_complained_of(
    weights: torch.Tensor, copy_stream: Callable[[], CopyStream]
) -> None:
    ArrivalCheck(copy_stream(), CPU).refuse_what_changes(weights, "block 3")


@pytest.mark.parametrize("at", range(1, 2 * PIECES + 1))
def test_a_lane_that_changes_a_byte_once_is_found(weights: torch.Tensor, at: int) -> None:
    with pytest.raises(TransferError, match="block 3"):
        ArrivalCheck(BrokenLane(at), CPU).refuse_what_changes(weights, "block 3")
