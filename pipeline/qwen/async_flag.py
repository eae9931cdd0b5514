"""A yes or no that the device is still working out, read without waiting for what comes after."""

from __future__ import annotations

from collections.abc import Callable

import torch


class AsyncFlag:
    """Whether all values of a tensor are finite, as of when it was asked."""

    def __init__(self, values: torch.Tensor) -> None:
        answer = torch.isfinite(values).all()
        self._arrived: Callable[[], object] = lambda: None
        self._answer = answer
        if answer.is_cuda:
            # Reading the device's own copy would wait for all work asked for since.
            self._answer = torch.empty((), dtype=torch.bool, pin_memory=True)
            self._answer.copy_(answer, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self._arrived = event.synchronize

    def read(self) -> bool:
        """Wait for the answer, and for nothing else."""
        self._arrived()
        return bool(self._answer)
