"""bf16 weights in 12 bits each, every bit of which comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import torch

_ALIGNMENT = 256  # bytes; what CUDA's own allocations keep
_COMMON = 15  # exponents that have a code of their own
_LISTED = 15  # the code of a word that stands in the list
_SIGN_AND_MANTISSA = 0x807F - 0x10000  # the bits of a word besides its exponent, as an int16
# Words that are worked on at a time where plain torch does it: few enough for a processor's
# caches, or for what is free on a GPU; at worst about 30 bytes a word beside the result.
_CHUNK_WORDS = {"cpu": 2**20}
_CHUNK_WORDS_OF_A_GPU = 2**23


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """How a packed unit lies within its bytes.

    Five parts, each from a multiple of 256 bytes on: the 15 commonest exponents, 16 bytes; a byte
    a word, bit 7 its sign and bits 0 to 6 its mantissa; 4 bits a word, which of the exponents it
    has, those of the first half of the words in the low half of each byte; the positions of the
    words with any other exponent, int32; these words themselves.
    """

    words: int
    listed: int  # words with an exponent that is none of the commonest

    @property
    def bytes(self) -> int:
        """The size of the whole."""
        return self._starts[-1] + self._sizes[-1]

    @property
    def _sizes(self) -> tuple[int, ...]:
        return _COMMON + 1, self.words, self.words // 2, 4 * self.listed, 2 * self.listed

    @property
    def _starts(self) -> list[int]:
        rounded = (-(-size // _ALIGNMENT) * _ALIGNMENT for size in self._sizes[:-1])
        return list(accumulate(rounded, initial=0))

    def _parts(self, flat: torch.Tensor) -> _Parts:
        begins_and_sizes = zip(self._starts, self._sizes, strict=True)
        exponents, signs_and_mantissas, codes, positions, listed = (
            flat[start : start + size] for start, size in begins_and_sizes
        )
        return _Parts(
            exponents=exponents,
            signs_and_mantissas=signs_and_mantissas,
            codes=codes,
            positions=positions.view(torch.int32),
            listed=listed.view(torch.int16),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Views of a packed unit's bytes."""

    exponents: torch.Tensor  # (16,) uint8, the last is 0: of the words that are listed
    signs_and_mantissas: torch.Tensor  # (words,) uint8
    codes: torch.Tensor  # (words / 2,) uint8
    positions: torch.Tensor  # (listed,) int32, ascending
    listed: torch.Tensor  # (listed,) int16


def pack(words: torch.Tensor) -> tuple[Packed, torch.Tensor] | None:
    """The words in fewer bits: a description, and flat uint8 on the same device.

    `words` is a view of bf16 as int16, flat, of an even number. The same words give the same
    bytes on every device. None where that would not be smaller than the words themselves.
    """
    assert words.dim() == 1
    assert words.numel() % 2 == 0
    counts = _exponent_counts(words)
    common = sorted(range(256), key=lambda exponent: (-counts[exponent], exponent))[:_COMMON]
    others = words.numel() - sum(counts[exponent] for exponent in common)
    packed = Packed(words=words.numel(), listed=others)
    if packed.bytes >= words.numel() * words.element_size():
        return None
    flat = torch.zeros(packed.bytes, dtype=torch.uint8, device=words.device)
    _fill(packed._parts(flat), words, common)
    return packed, flat


def expand(packed: Packed, flat: torch.Tensor, target: torch.Tensor) -> None:
    """Write every word of `target`, (words,) int16, from `flat`, uint8 of `packed.bytes` or more.

    Both are on one device and contiguous, `flat` from a multiple of 4 bytes on. The host waits
    for nothing, once `kernel_refusal` has been asked of the device.
    """
    assert flat.numel() >= packed.bytes
    assert target.numel() == packed.words
    assert flat.is_contiguous()
    assert target.is_contiguous()
    parts = packed._parts(flat)
    if kernel_refusal(target.device) is None:
        _expand_by_kernel(parts, target)
    else:
        _expand_by_torch(parts, target)


@cache
def kernel_refusal(device: torch.device) -> str | None:
    """Why plain torch expands on this device, in a sentence; None where the kernel does.

    The first time the kernel is compiled and tried, which takes seconds and waits for the device.
    """
    if device.type != "cuda":
        return "the kernel that expands weights is for GPUs only"
    try:
        is_right = all(_kernel_equals_torch(words, device) for words in (2**14, 2**14 + 2))
    except Exception as error:  # noqa: BLE001 - Triton compiles here: whatever fails, torch does it
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return f"the kernel that expands weights does not run ({type(error).__name__}: {reason})"
    return None if is_right else "the kernel that expands weights gives wrong words"


def _exponents(words: torch.Tensor) -> torch.Tensor:
    # The conversion keeps the low 8 bits: the sign falls off.
    return (words >> 7).to(torch.uint8)


def _exponent_counts(words: torch.Tensor) -> list[int]:
    counts = torch.zeros(256, dtype=torch.int64, device=words.device)
    for part in _chunks(words.numel(), words.device):
        counts += torch.bincount(_exponents(words[part]), minlength=256)
    return [int(count) for count in counts.tolist()]


def _chunks(words: int, device: torch.device) -> Iterator[slice]:
    size = _CHUNK_WORDS.get(device.type, _CHUNK_WORDS_OF_A_GPU)
    return (slice(start, min(start + size, words)) for start in range(0, words, size))


def _moved(part: slice, distance: int) -> slice:
    return slice(part.start + distance, part.stop + distance)


def _fill(parts: _Parts, words: torch.Tensor, common: list[int]) -> None:
    """Write all parts, which are zeros before."""
    device, half = words.device, words.numel() // 2
    code_of = torch.full((256,), _LISTED, dtype=torch.uint8)
    code_of[common] = torch.arange(_COMMON, dtype=torch.uint8)
    code_of = code_of.to(device)
    parts.exponents[:_COMMON] = torch.tensor(common, dtype=torch.uint8)
    listed = 0
    for begin, shift in ((0, 0), (half, 4)):
        for part in _chunks(half, device):
            place = _moved(part, begin)
            these = words[place]
            parts.signs_and_mantissas[place] = (these >> 8) & 0x80 | these & 0x7F
            codes = code_of.index_select(0, _exponents(these).int())
            parts.codes[part] |= codes << shift
            found = (codes == _LISTED).nonzero().flatten()
            entries = slice(listed, listed + found.numel())
            parts.positions[entries] = found + place.start
            parts.listed[entries] = these[found]
            listed = entries.stop


def _expand_by_torch(parts: _Parts, target: torch.Tensor) -> None:
    half = parts.codes.numel()
    exponents = parts.exponents.short() << 7
    signed = parts.signs_and_mantissas.view(torch.int8)
    for part in _chunks(half, target.device):
        codes = parts.codes[part]
        for begin, its_codes in ((0, codes & 0xF), (half, codes >> 4)):
            place = _moved(part, begin)
            torch.index_select(exponents, 0, its_codes.int(), out=target[place])
            # As a signed number the byte has its sign in the word's place, too.
            target[place] |= signed[place].short() & _SIGN_AND_MANTISSA
    target.index_put_((parts.positions,), parts.listed)


def _expand_by_kernel(parts: _Parts, target: torch.Tensor) -> None:
    from pipeline.qwen import lossless_kernel  # noqa: PLC0415 - Triton is there with CUDA only

    lossless_kernel.expand_common(parts.exponents, parts.signs_and_mantissas, parts.codes, target)
    lossless_kernel.place_listed(parts.positions, parts.listed, target)


def _kernel_equals_torch(words: int, device: torch.device) -> bool:
    """Whether both expand a unit alike that has all codes, both signs and listed words."""
    numbers = torch.arange(words)
    original = numbers % (_COMMON * 128) - (numbers % 3 == 0) * 2**15
    original[::64] = 200 * 128 + numbers[::64] % 128
    made = pack(original.short().to(device))
    assert made is not None
    parts = made[0]._parts(made[1])
    by_kernel = torch.full((words,), -1, dtype=torch.int16, device=device)
    by_torch = torch.full((words,), -2, dtype=torch.int16, device=device)
    _expand_by_kernel(parts, by_kernel)
    _expand_by_torch(parts, by_torch)
    return bool(torch.equal(by_kernel, by_torch))
