"""Lanes to devices that are as quick, as slow or as broken as devices can be."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pipeline.qwen.copy_stream import InlineCopyStream, Mark, PinningError


class EarlyLane(InlineCopyStream):
    """Copies the moment that it is asked to: what is still in use would be overwritten."""

    def __init__(self) -> None:
        self.copies = 0
        self.targets: set[int] = set()

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy and count."""
        self.copies += 1
        self.targets.add(target.data_ptr())
        super().fetch(target, source, after=after)


class LateLane(InlineCopyStream):
    """Copies only when somebody waits: what is used unawaited would be another's."""

    def __init__(self) -> None:
        self.copies = 0
        self._asked: list[Callable[[], object]] = []
        self._ended = 0  # of those

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Leave rubbish in the target till somebody waits."""
        del after
        self.copies += 1
        target.fill_(0x55)
        self._asked.append(lambda: target.copy_(source))
        return len(self._asked)

    def wait(self, arrival: Mark) -> None:
        """Copy in order, up to what is waited for, and nothing beyond."""
        for number in range(self._ended, arrival):
            self._asked[number]()
            self._asked[number] = lambda: None
        self._ended = max(self._ended, arrival)

    def drain(self) -> None:
        """Copy the rest."""
        self.wait(len(self._asked))

    @property
    def under_way(self) -> int:
        """Copies that nobody has waited for."""
        return len(self._asked) - self._ended


class BrokenLane(InlineCopyStream):
    """Flips a bit of one copy, counted from 1."""

    def __init__(self, at: int = 4) -> None:
        self._copies = 0
        self._at = at

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy, wrongly once."""
        super().fetch(target, source, after=after)
        self._copies += 1
        if self._copies == self._at:
            target[11] ^= 4


class StingyLane(EarlyLane):
    """Locks memory as long as it is no more than so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.left_bytes = most_bytes
        self.refused = 0  # how often

    def pin(self, host: torch.Tensor) -> None:
        """Count what is locked."""
        if host.numel() > self.left_bytes:
            self.refused += 1
            message = "out of memory"
            raise PinningError(message)
        self.left_bytes -= host.numel()

    def unpin(self, host: torch.Tensor) -> None:
        """Count back."""
        self.left_bytes += host.numel()


class CrampedLane(InlineCopyStream):
    """Runs out of memory at the next copies, as many as it is told."""

    def __init__(self) -> None:
        self.copies = 0
        self.failing = 0  # of the next copies

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy, or fail as an allocation would."""
        if self.failing:
            self.failing -= 1
            message = "CUDA out of memory."
            raise torch.OutOfMemoryError(message)
        self.copies += 1
        super().fetch(target, source, after=after)
