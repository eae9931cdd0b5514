"""The way of weights to the device, beside its computing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Protocol, TypeAlias

import torch

# A copy cannot be interrupted: what the model's forward itself sends waits for one of these.
_PIECE_BYTES = 32 * 2**20

# A point in the device's work: of a type that only the copy stream which made it looks into.
Mark: TypeAlias = Any


class PinningError(Exception):
    """The driver does not lock this memory; copies from it are right all the same, but slow."""


class CopyStream(Protocol):
    """Copies in the order that it is asked to; makes the caller wait only for unpinned memory."""

    def pin(self, host: torch.Tensor) -> None:
        """Make the copies from this memory fast; to be undone before the memory is given back.

        Raises PinningError, and nothing is to be undone, if the driver refuses.
        """
        ...

    def unpin(self, host: torch.Tensor) -> None:
        """Undo `pin`."""
        ...

    def mark(self) -> Mark:
        """The end of all computing that has been asked for so far."""
        ...

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy `source` to `target` once `after` is reached; the mark returned is the arrival."""
        ...

    def wait(self, arrival: Mark) -> None:
        """Let whatever is computed from now on come after the arrival."""
        ...

    def drain(self) -> None:
        """Return when no copy is under way."""
        ...

    def aside(self) -> AbstractContextManager[object]:
        """Within this context computing is asked for beside all other, by this thread."""
        ...


class InlineCopyStream:
    """Copies at once, for a device that is the host itself."""

    def pin(self, host: torch.Tensor) -> None:
        """Nothing to do."""

    def unpin(self, host: torch.Tensor) -> None:
        """Nothing to undo."""

    def mark(self) -> Mark:
        """All computing has ended before anything else begins."""

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy now."""
        del after
        target.copy_(source)

    def wait(self, arrival: Mark) -> None:
        """It has arrived."""

    def drain(self) -> None:
        """Nothing is under way."""

    def aside(self) -> AbstractContextManager[object]:
        """There is nothing beside."""
        return nullcontext()


def lock_pages(host: torch.Tensor, cudart: Any) -> None:
    """Register whole pages with CUDA's runtime; raises PinningError if it refuses.

    It does where a limit is reached: "Pinned system memory … availability for applications is
    limited" (NVIDIA's CUDA on WSL User Guide), and so it is in some containers.
    """
    answer = cudart.cudaHostRegister(host.data_ptr(), host.numel(), 0)
    if answer != cudart.cudaError.success:
        raise PinningError(cudart.cudaGetErrorString(answer))


class CudaCopyStream:
    """A stream of its own; streams wait for each other by events, the host for none."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._aside = torch.cuda.Stream(device)

    def pin(self, host: torch.Tensor) -> None:
        """Lock the memory's pages; torch's own pinned memory comes in powers of two only."""
        try:
            lock_pages(host, torch.cuda.cudart())
        except PinningError:
            # The runtime tells whatever is launched next of the refusal, too, and then is quiet.
            with suppress(RuntimeError):
                torch.empty(1, device=self._device).fill_(0)
            raise

    def unpin(self, host: torch.Tensor) -> None:
        """Unlock the memory's pages."""
        torch.cuda.check_error(torch.cuda.cudart().cudaHostUnregister(host.data_ptr()))

    def mark(self) -> Mark:
        """An event on the stream that computes."""
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self._device))
        return event

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy on the stream of the copy stream."""
        self._stream.wait_event(after)
        with torch.cuda.stream(self._stream):
            for start in range(0, source.numel(), _PIECE_BYTES):
                piece = slice(start, start + _PIECE_BYTES)
                target[piece].copy_(source[piece], non_blocking=True)
        arrival = torch.cuda.Event()
        arrival.record(self._stream)
        return arrival

    def wait(self, arrival: Mark) -> None:
        """Let the computing stream wait for the event."""
        torch.cuda.current_stream(self._device).wait_event(arrival)

    def drain(self) -> None:
        """Wait for the stream of the copy stream."""
        self._stream.synchronize()

    def aside(self) -> AbstractContextManager[object]:
        """A second stream that computes."""
        beside: AbstractContextManager[object] = torch.cuda.stream(self._aside)
        return beside
