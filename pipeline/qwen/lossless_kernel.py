"""The packed words of `lossless` expanded at the speed of a GPU's memory; needs Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_PAIRS = tl.constexpr(4096)  # of words, that one program writes
_WARPS = 8
_LISTED = tl.constexpr(1024)  # words that one program places


def expand_common(
    exponents: torch.Tensor,
    signs_and_mantissas: torch.Tensor,
    codes: torch.Tensor,
    target: torch.Tensor,
) -> None:
    """Write every word of `target`, those that are listed without their exponent.

    (16,) uint8, (words,) uint8, (words / 2,) uint8, (words,) int16, all contiguous.
    """
    half = codes.numel()
    with torch.cuda.device_of(target):
        _expand[(triton.cdiv(half, _PAIRS.value),)](
            exponents,
            signs_and_mantissas.view(torch.int8),
            codes,
            target,
            half,
            num_warps=_WARPS,
        )


def place_listed(positions: torch.Tensor, listed: torch.Tensor, target: torch.Tensor) -> None:
    """Write the listed words: (listed,) int32 says where in `target` each of int16 belongs."""
    count = positions.numel()
    if count:
        with torch.cuda.device_of(target):
            _place[(triton.cdiv(count, _LISTED.value),)](positions, listed, target, count)


@triton.jit  # type: ignore[untyped-decorator]
def _word(signed: tl.tensor, exponent: tl.tensor) -> tl.tensor:
    # As a signed number the byte has its sign in the word's place, too.
    return (signed.to(tl.int16) & -0x7F81) | (exponent.to(tl.int16) << 7)


@triton.jit  # type: ignore[untyped-decorator]
def _expand(
    exponents: tl.tensor, signed: tl.tensor, codes: tl.tensor, target: tl.tensor, half: tl.tensor
) -> None:
    place = tl.program_id(0) * _PAIRS + tl.arange(0, _PAIRS)
    inside = place < half
    pair = tl.load(codes + place, inside).to(tl.int32)
    first = tl.load(signed + place, inside)
    second = tl.load(signed + half + place, inside)
    first = _word(first, tl.load(exponents + (pair & 15), inside))
    second = _word(second, tl.load(exponents + (pair >> 4), inside))
    tl.store(target + place, first, inside)
    tl.store(target + half + place, second, inside)


# Compiled once for all numbers of listed words, and not in the middle of a step.
@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator]
def _place(positions: tl.tensor, listed: tl.tensor, target: tl.tensor, count: tl.tensor) -> None:
    entry = tl.program_id(0) * _LISTED + tl.arange(0, _LISTED)
    inside = entry < count
    position = tl.load(positions + entry, inside)
    tl.store(target + position, tl.load(listed + entry, inside), inside)
