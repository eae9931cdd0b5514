"""Weights side by side in one piece of host memory."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from pipeline.qwen.lane import Lane

_ALIGNMENT = 256  # bytes; what CUDA's own allocations keep, and kernels are chosen by


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    start: int
    stop: int
    dtype: torch.dtype
    shape: torch.Size


class Layout:
    """Where each weight of a unit lies within the unit's bytes."""

    def __init__(self, unit: Sequence[torch.nn.Parameter]) -> None:
        self.pieces: list[_Piece] = []
        end = 0
        for weight in unit:
            stop = end + weight.numel() * weight.element_size()
            piece = _Piece(start=end, stop=stop, dtype=weight.dtype, shape=weight.shape)
            self.pieces.append(piece)
            end = -(-stop // _ALIGNMENT) * _ALIGNMENT
        self.bytes = end

    def views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """The weights in `flat`, uint8 of at least `bytes`, as tensors that share its memory."""
        return [
            flat[piece.start : piece.stop].view(piece.dtype).view(piece.shape)
            for piece in self.pieces
        ]


class Slab:
    """Holds units of weights; each parameter becomes a view of its place in the slab.

    One mapping of exactly the size that is needed, pinned as a whole.
    """

    def __init__(self, units: Sequence[Sequence[torch.nn.Parameter]], lane: Lane) -> None:
        self._lane = lane
        self._units = units
        self.layouts = [Layout(unit) for unit in units]
        self.bytes = sum(layout.bytes for layout in self.layouts)
        self._memory = _memory(self.bytes)
        self._flats = self._memory.split([layout.bytes for layout in self.layouts])
        for unit, layout, flat in zip(units, self.layouts, self._flats, strict=True):
            _move(unit, layout.views(flat))
        lane.pin(self._memory)

    def flat(self, index: int) -> torch.Tensor:
        """The bytes of a unit, uint8."""
        return self._flats[index]

    def bind(self, index: int) -> None:
        """Let the unit's parameters be the weights in the slab."""
        views = self.layouts[index].views(self._flats[index])
        for weight, view in zip(self._units[index], views, strict=True):
            weight.data = view

    def close(self) -> None:
        """Unpin; the memory goes when the last parameter goes."""
        self._lane.unpin(self._memory)


def _memory(size: int) -> torch.Tensor:
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    mapped = mmap.mmap(-1, max(size, mmap.PAGESIZE), flags=private)
    with suppress(OSError):  # a kernel without huge pages has small ones that do as well
        mapped.madvise(mmap.MADV_HUGEPAGE)  # quicker to fill and to pin
    return torch.frombuffer(mapped, dtype=torch.uint8)[:size]


def _move(unit: Sequence[torch.nn.Parameter], views: Sequence[torch.Tensor]) -> None:
    """Weight by weight, so that never two copies of the model are in memory."""
    for weight, view in zip(unit, views, strict=True):
        view.copy_(weight.data)
        weight.data = view
