"""Every bit of a packed weight comes back, and the bytes between are those that are promised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pipeline.qwen import lossless
from pipeline.qwen.lossless import Packed, expand, kernel_refusal, pack

CPU = torch.device("cpu")
ALL_WORDS = torch.arange(2**16).to(torch.int16)


def _weights(count: int, seed: int = 0) -> torch.Tensor:
    """Words as a model has them."""
    numbers = torch.randn(count, generator=torch.Generator().manual_seed(seed)) * 0.02
    return numbers.bfloat16().view(torch.int16)


def _with(words: torch.Tensor, others: torch.Tensor, every: int) -> torch.Tensor:
    """The same, and others in the place of every so many."""
    mixed = words.clone()
    mixed[::every] = others.repeat(len(words) // len(others) + 1)[: len(mixed[::every])]
    return mixed


def _all_words() -> torch.Tensor:
    """Every pattern of 16 bits, among so many weights that it is worth packing."""
    return torch.cat([ALL_WORDS[:12_345], _weights(2**20), ALL_WORDS[12_345:], _weights(1)])[1:]


def _outliers() -> torch.Tensor:
    numbers = torch.tensor([0.0, -0.0, 1e-40, -3e38, torch.inf, -torch.inf, torch.nan, 1e9])
    return _with(_weights(10_000), numbers.bfloat16().view(torch.int16), every=101)


def _one_exponent_more() -> torch.Tensor:
    """Sixteen exponents, all alike often but the last: the least that has a list."""
    exponents = (torch.arange(16 * 300) % 15 + 100).int()
    exponents[-1] = 115
    return (exponents << 7 | 5).to(torch.int16)


UNITS: dict[str, Callable[[], torch.Tensor]] = {
    "all 65536 words": _all_words,
    "weights": lambda: _weights(100_002),
    "weights with outliers": _outliers,
    "all equal": lambda: torch.full((5_000,), -17, dtype=torch.int16),
    "as many listed as is worth it": lambda: _with(_weights(60_000), ALL_WORDS, every=14),
    "one listed": _one_exponent_more,
    "the last pair is the list's": lambda: torch.cat([_weights(9_998), ALL_WORDS[-2:]]),
}


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest) -> torch.Tensor:
    return UNITS[request.param]()


def _expanded(packed: Packed, flat: torch.Tensor, poison: int = -1) -> torch.Tensor:
    target = torch.full((packed.words,), poison, dtype=torch.int16)
    expand(packed, flat, target)
    return target


def _packed(words: torch.Tensor) -> tuple[Packed, torch.Tensor]:
    made = pack(words)
    assert made is not None
    return made


def test_every_word_comes_back(unit: torch.Tensor) -> None:
    packed, flat = _packed(unit)
    for poison in (-1, 0x2A55):
        assert torch.equal(_expanded(packed, flat, poison), unit)


def test_the_size_is_as_described_and_smaller(unit: torch.Tensor) -> None:
    packed, flat = _packed(unit)
    assert flat.dtype is torch.uint8
    assert flat.shape == (packed.bytes,)
    assert packed.bytes < unit.numel() * 2
    assert packed.words == unit.numel()


def test_what_follows_the_bytes_is_not_read(unit: torch.Tensor) -> None:
    packed, flat = _packed(unit)
    longer = torch.cat([flat, torch.full((1_000,), 0xFF, dtype=torch.uint8)])
    assert torch.equal(_expanded(packed, longer), unit)


def test_chunks_change_no_byte(unit: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _packed(unit)
    for size in (unit.numel() // 2, unit.numel() // 2 - 1, 4_097):
        monkeypatch.setitem(lossless._CHUNK_WORDS, "cpu", size)
        packed, flat = _packed(unit)
        assert packed == whole[0]
        assert torch.equal(flat, whole[1])
        assert torch.equal(_expanded(packed, flat), unit)


def test_parts_lie_as_the_description_says() -> None:
    words = torch.full((2_000,), 0x3F85, dtype=torch.int16)  # exponent 127
    words[1_000:] = 0xBF85 - 2**16  # the same with the sign
    words[4:17] = torch.arange(128, 141).short() << 7  # once each
    words[1_003] = 0x0001  # exponent 0, once
    words[1_999] = 0x7FC1  # exponent 255, once: the largest of those, and one too many
    packed, flat = _packed(words)
    assert packed == Packed(words=2_000, listed=1)
    assert packed.bytes == 256 + 2_048 + 1_024 + 256 + 2
    assert flat[:16].tolist() == [127, 0, *range(128, 141), 0]
    signs_and_mantissas = flat[256 : 256 + 2_000].tolist()
    assert [signs_and_mantissas[n] for n in (0, 5, 1_000, 1_003)] == [0x05, 0x00, 0x85, 0x01]
    codes = flat[2_304 : 2_304 + 1_000].tolist()
    assert [codes[n] for n in (0, 3, 4, 16, 999)] == [0x00, 0x10, 0x02, 0x0E, 0xF0]
    assert flat[3_328:3_332].view(torch.int32).tolist() == [1_999]
    assert flat[3_584:].view(torch.int16).tolist() == [0x7FC1]


def test_two_words_are_expanded() -> None:
    packed = Packed(words=2, listed=1)
    flat = torch.zeros(packed.bytes, dtype=torch.uint8)
    flat[:2] = torch.tensor([127, 128])
    flat[256:258] = torch.tensor([0x85, 0x00])
    flat[512] = 0xF1
    flat[768] = 1
    flat[1_024:] = torch.tensor([0x34, 0x12])
    assert _expanded(packed, flat).tolist() == [0xC005 - 2**16, 0x1234]


def test_exponents_that_are_alike_often_are_taken_by_their_number() -> None:
    exponents = torch.arange(40, 8, -2).repeat(500)
    packed, flat = _packed((exponents << 7).to(torch.int16))
    assert flat[:15].tolist() == [*range(10, 40, 2)]
    assert packed.listed == 500


def test_gaps_are_zeros() -> None:
    packed, flat = _packed(_weights(100_002))
    assert not flat[16:256].any()
    assert not flat[256 + 100_002 : 256 + 100_096].any()
    assert packed.listed


@pytest.mark.parametrize(
    "words",
    [
        ALL_WORDS,
        torch.randint(-(2**15), 2**15, (100_000,)).to(torch.int16),
        torch.zeros(0, dtype=torch.int16),
        torch.zeros(2, dtype=torch.int16),
        torch.zeros(768, dtype=torch.int16),
        _with(_weights(60_000), ALL_WORDS, every=10),
    ],
    ids=["all words", "any bits", "none", "two", "too few", "too many listed"],
)
def test_what_would_not_be_smaller_is_not_packed(words: torch.Tensor) -> None:
    assert pack(words) is None


def test_three_quarters_of_the_size_and_few_listed_words_are_a_models() -> None:
    packed, flat = _packed(_weights(2**22))
    assert packed.listed / packed.words == pytest.approx(0.00015, rel=0.1)
    assert flat.numel() / (packed.words * 2) == pytest.approx(0.7505, abs=0.0005)


def test_the_kernel_is_for_gpus() -> None:
    assert kernel_refusal(CPU) == "the kernel that expands weights is for GPUs only"


def test_a_kernel_that_fails_is_no_failure() -> None:
    refusal = kernel_refusal(torch.device("cuda:100"))
    assert refusal is not None
    assert refusal.startswith("the kernel that expands weights does not run (")
    assert "\n" not in refusal
