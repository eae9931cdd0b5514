"""Weights as they cross the bus, packed where that is asked for, each unit in exact memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace

import torch

from pipeline.qwen.arrival_check import TransferError
from pipeline.qwen.copy_stream import CopyStream
from pipeline.qwen.pinned_memory import Layout, Pins, no_numbers, whole_pages
from pipeline.qwen.weight_encoding import Encoded, encode, expand
from pipeline.qwen.weight_loading import AT_ONCE, ReadingWay, fill

_STAGES = 2  # places of a unit: one is being read into, one is being packed


class PackedMemory:
    """Holds units of weights as they cross, packed where that is asked for, each in exact memory.

    Some may be held on the device alone. Each is read into one of two places, packed by the
    device, compared with what was read, and goes to where it is held.
    """

    def __init__(
        self,
        units: Sequence[Sequence[torch.nn.Parameter]],
        copy_stream: CopyStream,
        device: torch.device,
        *,
        packs: bool,
        on_device: Collection[int] = (),
        way: ReadingWay = AT_ONCE,
    ) -> None:
        """`on_device` numbers the units that are held there. Raises as PinnedMemory does.

        Raises TransferError where a unit that was packed is not what was read.
        """
        self.layouts = [Layout(unit) for unit in units]
        self.encoded: list[Encoded] = []
        self.on_device: dict[int, torch.Tensor] = {}
        self._units, self._device, self._packs = units, device, packs
        self._copy_stream = copy_stream
        self._no_numbers = [[no_numbers(weight) for weight in unit] for unit in units]
        self._held: dict[int, torch.Tensor] = {}
        self.pins = Pins(copy_stream)
        stages = Pins(copy_stream)
        with ExitStack() as undo:
            undo.callback(self.close)
            with ExitStack() as reading:
                reading.callback(stages.close)
                self._read(stages, frozenset(on_device), way)
            undo.pop_all()

    @property
    def bytes(self) -> int:
        """What is held in main memory."""
        return sum(held.numel() for held in self._held.values())

    def flat(self, index: int) -> torch.Tensor:
        """The bytes of a unit as they cross, uint8; not of one that is on the device alone."""
        return self._held[index][: self.encoded[index].bytes]

    def bind(self, index: int) -> None:
        """Let the unit's parameters be without numbers."""
        for weight, nothing in zip(self._units[index], self._no_numbers[index], strict=True):
            weight.data = nothing

    def close(self) -> None:
        """Unpin, and give back what is on the device."""
        self.pins.close()
        self.on_device.clear()

    def _read(self, stages: Pins, on_device: frozenset[int], way: ReadingWay) -> None:
        most = max(layout.bytes for layout in self.layouts)
        places = [whole_pages(most) for _ in range(min(_STAGES, len(self._units)))]
        for place in places:
            stages.pin(place)
        there = [
            layout.views(places[index % _STAGES]) for index, layout in enumerate(self.layouts)
        ]

        def hold(index: int) -> None:
            self._hold(index, places[index % _STAGES], is_on_device=index in on_device)

        fill(self._units, there, hold, replace(way, units_ahead=_STAGES - 1))

    def _hold(self, index: int, place: torch.Tensor, *, is_on_device: bool) -> None:
        source = place[: self.layouts[index].bytes]
        encoded, flat = self._encoded(index, source)
        self.encoded.append(encoded)
        if is_on_device:
            self.on_device[index] = flat
        else:
            held = self._held[index] = whole_pages(encoded.bytes)
            self.pins.pin(held)
            held[: encoded.bytes].copy_(flat)
        self.bind(index)

    def _encoded(self, index: int, source: torch.Tensor) -> tuple[Encoded, torch.Tensor]:
        """Described, and on the device; raises TransferError if it is not what was read."""
        encoded, flat = encode(self._brought(source), packs=self._packs)
        expanded = expand(encoded, flat, torch.empty_like(source, device=self._device))
        # It crosses twice: neither the bus nor the packing has changed it.
        if not torch.equal(expanded, self._brought(source)):
            message = f"block {index} of {len(self._units)} is not what was read"
            raise TransferError(message)
        return encoded, flat

    def _brought(self, source: torch.Tensor) -> torch.Tensor:
        target = torch.empty_like(source, device=self._device)
        lane = self._copy_stream
        lane.wait(lane.fetch(target, source, after=lane.mark()))
        return target
