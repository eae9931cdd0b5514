"""Weights that pass through the device's memory just in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from pipeline.qwen.copy_stream import CopyStream, Mark
from pipeline.qwen.offload_plan import SLOTS
from pipeline.qwen.pinned_memory import Layout, Pins
from pipeline.qwen.weight_encoding import Encoded, Plain, expand


class Loader(Protocol):
    """Brings units of weights, asked for in order and round and round."""

    def begin(self, resident: int) -> None:
        """Take the device's memory; `resident` units stay there from their first use on."""
        ...

    def end(self) -> None:
        """Give the device's memory back."""
        ...

    def acquire(self, index: int) -> None:
        """Let the unit's parameters be on the device for what is computed from now on."""
        ...

    def release(self, index: int) -> None:
        """What has been asked to be computed so far is all that needed the unit."""
        ...


class HostMemory(Protocol):
    """Where units wait until they are brought."""

    @property
    def layouts(self) -> Sequence[Layout]:
        """How the weights of each unit lie within its bytes."""
        ...

    @property
    def encoded(self) -> Sequence[Encoded]:
        """How each unit waits and crosses."""
        ...

    @property
    def on_device(self) -> Mapping[int, torch.Tensor]:
        """The units that are on the device for good, uint8, as they would have crossed."""
        ...

    @property
    def bytes(self) -> int:
        """How much there is that is to be pinned."""
        ...

    @property
    def pins(self) -> Pins:
        """What of it is pinned, and why not all."""
        ...

    def flat(self, index: int) -> torch.Tensor:
        """The bytes of a unit as they cross, uint8, pinned; for the next copy only.

        Not of one that is on the device for good.
        """
        ...

    def bind(self, index: int) -> None:
        """Let the unit's parameters be what waits in host memory, or have no numbers."""
        ...

    def close(self) -> None:
        """Give back what is pinned."""
        ...


class ResidentLoader:
    """A loader of weights that are where they are used."""

    def begin(self, resident: int) -> None:
        """Nothing to take."""

    def end(self) -> None:
        """Nothing to give back."""

    def acquire(self, index: int) -> None:
        """It is there."""

    def release(self, index: int) -> None:
        """It stays there."""


def evenly(resident: int, units: int) -> frozenset[int]:
    """Which units stay, spread so that the bus gets its rests regularly."""
    return frozenset(number * units // resident for number in range(resident))


class StreamLoader:
    """Units wait in host memory; the next is on its way while one is at work.

    What is packed is expanded by the device, each time before it is at work, at one place for
    all. The host waits for its own memory alone: it asks for copies and computing in order, and
    the marks of the copy stream keep the device from computing with what has not arrived and from
    copying over what is in use.
    """

    def __init__(
        self,
        units: Sequence[Sequence[torch.nn.Parameter]],
        memory: HostMemory,
        copy_stream: CopyStream,
        device: torch.device,
    ) -> None:
        """`memory` holds the units, and is the loader's from now on."""
        self._units = units
        self._copy_stream = copy_stream
        self._device = device
        self.host = memory
        self._unit_bytes = max(one.bytes for one in memory.encoded)  # as it crosses
        self._begun_with: int | None = None
        # Of units that are there or on their way, as they cross.
        self._places: dict[int, torch.Tensor] = {}
        self._arrivals: dict[int, Mark] = {}
        self._bound: set[int] = set()  # whose parameters are on the device
        self._free: deque[torch.Tensor] = deque()
        self._expanded: torch.Tensor | None = None  # where packed units become what they were

    @property
    def packed_bytes(self) -> int | None:
        """What the largest unit takes as it crosses, if any is packed."""
        is_plain = all(isinstance(one, Plain) for one in self.host.encoded)
        return None if is_plain else self._unit_bytes

    def begin(self, resident: int) -> None:
        """Take memory for the resident units and the slots, and start the first copies.

        Those that are on the device for good are counted among the resident ones.
        """
        if self._begun_with == resident:
            return
        self.end()
        self._begun_with = resident
        self._stay = self._staying(resident)
        self._places.update(self.host.on_device)
        slots = min(SLOTS, len(self._units) - len(self._stay))
        self._free.extend(self._allocate(self._unit_bytes) for _ in range(slots))
        # The memory may have been another tensor's, and computing with that may not have ended.
        usable = self._copy_stream.mark()
        self._usable = dict.fromkeys((slot.data_ptr() for slot in self._free), usable)
        self._expanded = self._place_to_expand()
        self._next = self._following(len(self._units) - 1)
        self._fetch_ahead()

    def end(self) -> None:
        """Give the memory back, at whatever point of a round."""
        if self._begun_with is None:
            return
        self._begun_with = None
        self._copy_stream.drain()
        for index in self._bound:
            self.host.bind(index)
        self._bound.clear()
        self._places.clear()
        self._arrivals.clear()
        self._free.clear()
        self._expanded = None

    def acquire(self, index: int) -> None:
        """See Loader."""
        if index in self._bound:
            return
        self._arrive(index)
        layout, encoded = self.host.layouts[index], self.host.encoded[index]
        place = self._places[index]
        flat = place if self._expanded is None else expand(encoded, place, self._expanded)
        for weight, view in zip(self._units[index], layout.views(flat), strict=True):
            weight.data = view
        self._bound.add(index)
        if not isinstance(encoded, Plain):
            self._leave_place(index)

    def release(self, index: int) -> None:
        """See Loader."""
        is_plain = isinstance(self.host.encoded[index], Plain)
        if is_plain and index in self._stay:
            return
        # Whoever used the unit now would be told, and not compute with another's weights.
        self.host.bind(index)
        self._bound.discard(index)
        if is_plain:
            self._leave_place(index)

    def close(self) -> None:
        """Give all memory back; the parameters remain readable as long as they live."""
        self.end()
        self.host.close()

    def _staying(self, resident: int) -> frozenset[int]:
        """Those that are on the device for good, and others where there is room for more."""
        for_good = self.host.on_device.keys()
        others = [index for index in range(len(self._units)) if index not in for_good]
        chosen = evenly(max(0, resident - len(for_good)), len(others))
        return frozenset(for_good) | {others[number] for number in chosen}

    def _place_to_expand(self) -> torch.Tensor | None:
        """The place of one unit as it is computed with, if any unit is packed."""
        if self.packed_bytes is None:
            return None
        return self._allocate(max(layout.bytes for layout in self.host.layouts))

    def _allocate(self, size_bytes: int) -> torch.Tensor:
        return torch.empty(size_bytes, dtype=torch.uint8, device=self._device)

    def _arrive(self, index: int) -> None:
        """Let all that is computed from now on find the unit at its place."""
        assert index in self._places, "units are asked for in order"
        if index in self._arrivals:
            self._copy_stream.wait(self._arrivals.pop(index))

    def _leave_place(self, index: int) -> None:
        """Give its place to another; what needs the unit there has been asked for."""
        if index in self._stay:
            if len(self._units) == 1:
                del self._places[index]  # alone, it stays expanded
            return
        place = self._places.pop(index)
        self._usable[place.data_ptr()] = self._copy_stream.mark()
        self._free.append(place)
        self._fetch_ahead()

    def _fetch_ahead(self) -> None:
        while (index := self._next) not in self._places:
            if index in self._stay:
                place = self._allocate(self.host.encoded[index].bytes)
                usable = self._copy_stream.mark()
            elif self._free:
                place = self._free.popleft()
                usable = self._usable[place.data_ptr()]
            else:
                return
            source = self.host.flat(index)
            self._places[index] = place
            self._arrivals[index] = self._copy_stream.fetch(
                place[: source.numel()], source, after=usable
            )
            self._next = self._following(index)

    def _following(self, index: int) -> int:
        """The unit that is needed next and is not there for good."""
        for ahead in range(1, len(self._units) + 1):
            following = (index + ahead) % len(self._units)
            if following not in self._stay or following not in self._places:
                return following
        return index
