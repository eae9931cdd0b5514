"""Weights that are still in their files."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.checkpoint import WeightFile

# Those whose numbers mean themselves, as the safetensors format names them.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The numbers of one weight as they lie in a file, one after the other."""

    file: WeightFile
    start_byte: int  # counted from the beginning of the file
    dtype: torch.dtype
    shape: torch.Size


class UnreadWeight(torch.nn.Parameter):  # type: ignore[misc] # torch is untyped here
    """A weight whose numbers are in a file yet; every other parameter holds its own.

    It has the shape, and the dtype in which it is computed with, but takes no memory.
    """

    extent: Extent

    def __new__(cls, extent: Extent, dtype: torch.dtype) -> UnreadWeight:
        """A parameter that can be asked for its shape and dtype only."""
        blank = torch.empty(extent.shape, dtype=dtype, device="meta")
        weight: UnreadWeight = super().__new__(cls, blank)
        weight.extent = extent
        return weight


def settle(weight: torch.nn.Parameter, place: torch.Tensor) -> None:
    """Let the weight be an ordinary parameter whose numbers are those at `place`.

    Whoever holds the weight holds the same object afterwards. `place` has its shape and dtype.
    """
    match weight:
        case UnreadWeight():
            # Neither its class nor its device can be changed by setting `data`.
            torch.utils.swap_tensors(weight, torch.nn.Parameter(place))
        case _:
            weight.data = place
