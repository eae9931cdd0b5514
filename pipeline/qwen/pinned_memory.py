"""Weights side by side in host memory, pinned for as long as copies from it are to be fast."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import torch

from config.problems import Problem, UserError
from pipeline.qwen.arrival_check import ArrivalCheck
from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream, PinningError
from pipeline.qwen.offload_plan import GIB
from pipeline.qwen.weight_encoding import Encoded, Plain
from pipeline.qwen.weight_files import Extent, UnreadWeight, settle
from pipeline.qwen.weight_loading import (
    AT_ONCE,
    ReadingWay,
    fill,
    read,
)

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
            end = _rounded_up(stop, _ALIGNMENT)
        self.bytes = _rounded_up(end, mmap.PAGESIZE)

    def views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """The weights in `flat`, uint8 of at least `bytes`, as tensors that share its memory."""
        return [
            flat[piece.start : piece.stop].view(piece.dtype).view(piece.shape)
            for piece in self.pieces
        ]


class Pins:
    """What is pinned; from the first that the driver refuses on, nothing more is asked for."""

    def __init__(self, copy_stream: CopyStream) -> None:
        self.refusal: str | None = None
        self.unpinned_bytes = 0
        self._copy_stream = copy_stream
        self._pinned: list[torch.Tensor] = []

    def pin(self, host: torch.Tensor) -> None:
        """Pin, or count what is not."""
        if not host.numel():
            return
        if self.refusal is None:
            try:
                self._copy_stream.pin(host)
            except PinningError as error:
                self.refusal = str(error)
            else:
                self._pinned.append(host)
                return
        self.unpinned_bytes += host.numel()

    def close(self) -> None:
        """Unpin."""
        while self._pinned:
            self._copy_stream.unpin(self._pinned.pop())


class PinnedMemory:
    """Holds units of weights; each parameter becomes a view of its place in the slab.

    One mapping of exactly the size that is needed. Each unit is pinned as soon as its weights
    have been read, while the next are on their way; from the first that the driver refuses on,
    units stay as they are.
    """

    def __init__(
        self,
        units: Sequence[Sequence[torch.nn.Parameter]],
        copy_stream: CopyStream,
        way: ReadingWay = AT_ONCE,
        *,
        check: ArrivalCheck | None = None,
    ) -> None:
        """Each unit crosses once while the next are read, where a `check` looks at what arrives.

        Raises UserError if there is no memory or a weight cannot be read from its file, and
        TransferError if the check finds a fault.
        """
        self.pins = Pins(copy_stream)
        self._units = units
        self.layouts = [Layout(unit) for unit in units]
        self.encoded = _as_they_are(self.layouts)
        self.on_device: Mapping[int, torch.Tensor] = {}
        self.bytes = sum(layout.bytes for layout in self.layouts)
        memory = whole_pages(self.bytes)[: self.bytes]
        self._flats = memory.split([layout.bytes for layout in self.layouts])
        places = [
            layout.views(flat) for layout, flat in zip(self.layouts, self._flats, strict=True)
        ]

        def take(index: int) -> None:
            self.pins.pin(self._flats[index])
            if check is not None:
                check.refuse_what_changes(self._flats[index], f"block {index} of {len(units)}")

        with ExitStack() as undo:
            undo.callback(self.close)
            fill(units, places, take, way)
            undo.pop_all()

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
        self.pins.close()


class StagedMemory:
    """Units that are wanted now and then: one place is pinned, through which they all go.

    They wait in ordinary memory, which can be swapped, or in their files; how they arrive is not
    checked.
    """

    def __init__(
        self,
        units: Sequence[Sequence[torch.nn.Parameter]],
        copy_stream: CopyStream,
        *,
        in_files: bool,
        way: ReadingWay = AT_ONCE,
    ) -> None:
        """`in_files`: they stay in files, if all are in some. Raises as PinnedMemory does."""
        self._copy_stream = copy_stream
        self._way = way
        self._units = units
        self.layouts = [Layout(unit) for unit in units]
        self.encoded = _as_they_are(self.layouts)
        self.on_device: Mapping[int, torch.Tensor] = {}
        stay = in_files and all(isinstance(it, UnreadWeight) for unit in units for it in unit)
        self._extents = [_left_in_files(unit) for unit in units] if stay else []
        self._kept = None if stay else PinnedMemory(units, InlineCopyStream(), way)
        self.bytes = max(layout.bytes for layout in self.layouts)
        self._stage = whole_pages(self.bytes)
        self.pins = Pins(copy_stream)
        self.pins.pin(self._stage)

    def flat(self, index: int) -> torch.Tensor:
        """The bytes of a unit, when no copy of another is under way from their place."""
        self._copy_stream.drain()
        layout = self.layouts[index]
        if self._kept is None:
            read(self._extents[index], layout.views(self._stage), self._way)
        else:
            self._stage[: layout.bytes].copy_(self._kept.flat(index))
        return self._stage[: layout.bytes]

    def bind(self, index: int) -> None:
        """Let the parameters be the weights in memory, or no numbers where those are in files."""
        if self._kept is not None:
            self._kept.bind(index)
            return
        for weight in self._units[index]:
            weight.data = no_numbers(weight)

    def close(self) -> None:
        """Unpin."""
        self.pins.close()


def _as_they_are(layouts: Sequence[Layout]) -> list[Encoded]:
    return [Plain(bytes=layout.bytes) for layout in layouts]


def _left_in_files(unit: Sequence[torch.nn.Parameter]) -> list[Extent]:
    """Where the unit's weights lie; they are parameters without numbers from now on."""
    extents = [weight.extent for weight in unit if isinstance(weight, UnreadWeight)]
    for weight in unit:
        settle(weight, no_numbers(weight))
    return extents


def no_numbers(weight: torch.nn.Parameter) -> torch.Tensor:
    """Of the weight's shape, without memory: whoever computed with it would get nan."""
    return torch.full((), torch.nan, dtype=weight.dtype).expand(weight.shape)


def _rounded_up(size: int, step: int) -> int:
    return -(-size // step) * step


def _no_memory(size: int, error: OSError) -> Problem:
    what = f"the system gives no {size / GIB:.1f} GiB at once for weights ({error.strerror})"
    advice = (
        "raise the limit of address space (ulimit -v, LimitAS= of the service), or with "
        "vm.overcommit_memory=2 vm.overcommit_ratio or the swap space"
    )
    return Problem("main memory (RAM)", what, advice)


def whole_pages(size: int) -> torch.Tensor:
    """A mapping of so many bytes, rounded up to pages: only whole ones can be pinned.

    Raises UserError if the system gives none.
    """
    size = _rounded_up(max(size, 1), mmap.PAGESIZE)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        mapped = mmap.mmap(-1, size, flags=private)
    except OSError as error:
        raise UserError([_no_memory(size, error)]) from error
    with suppress(OSError):  # a kernel without huge pages has small ones that do as well
        mapped.madvise(mmap.MADV_HUGEPAGE)  # quicker to fill and to pin
    return torch.frombuffer(mapped, dtype=torch.uint8)
