"""Tables that a model's forward makes from lists and sizes, made once a job and gone with it."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_Key = tuple[bytes, tuple[int, ...], torch.dtype]


class DeviceTables(TorchFunctionMode):  # type: ignore[misc] # torch is untyped here
    """Within this context the transformer makes and sends no table that is there already.

    In each forward it would make modulate_index anew (torch.tensor(list, device=gpu), with
    zero_cond_t). On its way that would wait for the block that is crossing the bus, and the
    computing would wait with it. The positions of patches (QwenEmbedRope) it keeps on the device
    itself, up to 128 tables of 2 MiB a megapixel, for good: here they are the job's own. The
    tables must not be written to.
    """

    def __init__(self, positions: torch.nn.Module) -> None:
        """`positions` is the transformer's pos_embed."""
        super().__init__()
        self._sent: dict[_Key, torch.Tensor] = {}
        self._of_patches: dict[tuple[object, ...], torch.Tensor] = {}
        self._positions = positions

    def __enter__(self) -> DeviceTables:
        self._positions._compute_video_freqs = self._patch_positions
        super().__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        del self._positions._compute_video_freqs  # the class has the method

    def _patch_positions(self, *size_and_place: object) -> torch.Tensor:
        if size_and_place not in self._of_patches:
            uncached = type(self._positions)._compute_video_freqs.__wrapped__
            self._of_patches[size_and_place] = uncached(self._positions, *size_and_place)
        return self._of_patches[size_and_place]

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
