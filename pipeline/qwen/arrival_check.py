"""Whether weights arrive on the device as they were sent."""

from __future__ import annotations

import torch

from pipeline.qwen.copy_stream import CopyStream

_PIECE_BYTES = 32 * 2**20


class TransferError(Exception):
    """Weights arrived on the device other than they were sent."""


class ArrivalCheck:
    """Lets weights cross twice, and compares what came; takes 64 MiB of the device."""

    def __init__(self, copy_stream: CopyStream, device: torch.device) -> None:
        self._copy_stream = copy_stream
        self._targets = torch.empty((2, _PIECE_BYTES), dtype=torch.uint8, device=device)

    def refuse_what_changes(self, host: torch.Tensor, what: str) -> None:
        """Raise TransferError, which names `what`, unless these bytes arrive as they are sent."""
        lane = self._copy_stream
        with lane.aside():
            for piece in host.split(_PIECE_BYTES):
                first, second = (target[: piece.numel()] for target in self._targets)
                for target in (first, second):
                    lane.wait(lane.fetch(target, piece, after=lane.mark()))
                if not torch.equal(first, second):
                    raise TransferError(what)
