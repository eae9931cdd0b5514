"""How much memory tensors take, counted as they come and go."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tally(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Counts the memory of all tensors that are made within its context, views once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak_bytes = 0
        self.largest_bytes = 0
        self._bytes = 0
        self._tensors: dict[int, int] = {}  # how many share a piece of memory, by its address

    def __torch_dispatch__(
        self,
        operation: Any,
        _types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._came(leaf)
        return made

    def _came(self, tensor: torch.Tensor) -> None:
        memory = tensor.untyped_storage()
        address, size = memory.data_ptr(), memory.nbytes()
        if address not in self._tensors:
            self._bytes += size
            self.peak_bytes = max(self.peak_bytes, self._bytes)
            self.largest_bytes = max(self.largest_bytes, size)
        self._tensors[address] = self._tensors.get(address, 0) + 1
        weakref.finalize(tensor, self._went, address, size)

    def _went(self, address: int, size: int) -> None:
        self._tensors[address] -= 1
        if not self._tensors[address]:
            del self._tensors[address]
            self._bytes -= size
