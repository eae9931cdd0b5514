"""How a unit of weights waits and crosses, and how it becomes what is computed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, assert_never

import torch

from pipeline.qwen import lossless
from pipeline.qwen.lossless import Packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """As it is computed with."""

    bytes: int


Encoded: TypeAlias = Plain | Packed


def encode(unit: torch.Tensor, *, packs: bool) -> tuple[Encoded, torch.Tensor]:
    """The unit as it is to cross: a description, and flat uint8 on the same device.

    `unit` is flat uint8 of an even number, bf16 numbers where it is to be packed; it stays as it
    is where packing makes it no smaller.
    """
    made = lossless.pack(unit.view(torch.int16)) if packs else None
    return (Plain(bytes=unit.numel()), unit) if made is None else made


def expand(encoded: Encoded, flat: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """The unit as it is computed with, uint8; at `place`, of its size, unless it is plain."""
    match encoded:
        case Plain():
            return flat[: encoded.bytes]
        case Packed():
            words = place.view(torch.int16)[: encoded.words]
            lossless.expand(encoded, flat, words)
            return words.view(torch.uint8)
        case _:
            assert_never(encoded)
