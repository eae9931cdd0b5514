"""Tables that a model's forward makes from lists, sent to the device once."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_Key = tuple[bytes, tuple[int, ...], torch.dtype]


class DeviceTables(TorchFunctionMode):  # type: ignore[misc] # torch is untyped here
    """Within this context torch.tensor(list, device=gpu) sends what it has not sent before.

    The transformer makes such a table in each forward (modulate_index, with zero_cond_t). On its
    way it would wait for the block that is crossing the bus, and the computing would wait with it.
    The tables must not be written to.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sent: dict[_Key, torch.Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The tensor, from the device if it is there."""
        named = kwargs or {}
        if func is not torch.tensor or named.get("device") is None:
            return func(*args, **named)
        table = func(*args, **{**named, "device": "cpu"})
        key = (table.numpy().tobytes(), tuple(table.shape), table.dtype)
        if key not in self._sent:
            self._sent[key] = table.to(named["device"])
        return self._sent[key]
