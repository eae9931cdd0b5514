"""Whether a text that was read as GB18030 reads as Chinese, by its characters and their pairs.

Almost any two bytes above 0x80 are a character in GB18030, so text of other encodings can be read
by it, and gives rare characters in an order that nobody writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LATIN = "A-Za-z\u00c0-\u024f"
_RUN = re.compile(f"[{_HAN}]+")
# Of Japanese, Greek, Russian, phonetic and private writing, of frames and of accented letters.
_FOREIGN = re.compile(
    "[\u3040-\u30ff\u0370-\u03ff\u0400-\u04ff\u3100-\u312f\ue000-\uf8ff\u2500-\u259f"
    "\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\U000f0000-\U0010ffff]"
)
_LONE = re.compile(f"(?<=[{_LATIN}])[{_HAN}](?![{_HAN}])|(?<![{_HAN}])[{_HAN}](?=[{_LATIN}])")
# All in nats, the natural logarithm of a probability. Chosen by benchmarks/encodings.py.
_OTHERWISE = 8.0  # against a character: any of 3,000 that another encoding's bytes might give
_RARE = -13.0  # a character that is in no table
_TRADITIONAL = -0.7  # on top, for one of the two ways of writing
_STRANGE = -6.0
_ENOUGH = 6.0  # what a text must have altogether
_FEWEST = 3  # characters: two of them may be a word in Chinese and in Japanese
_STEP = 0.5  # the tables are that coarse


def reads_as_chinese(text: str) -> bool:
    """Whether it is Chinese rather than a text of another encoding; what is unsure is not."""
    if any(map(_is_accent, _LONE.findall(text))):
        return False
    scores = [score for run in _RUN.findall(text) for score in _scores(run)]
    strange = len(_FOREIGN.findall(text)) * _STRANGE
    is_likely = sum(scores) + len(scores) * _OTHERWISE + strange > _ENOUGH
    return is_likely and len(scores) >= _FEWEST


def _is_accent(character: str) -> bool:
    """Whether its bytes are an accented letter and an English one, as in "café" of Latin-1."""
    written = character.encode("gb18030")
    return len(written) == len(b"e'") and written[1:].isalpha()


def _scores(run: str) -> Iterator[float]:
    """How probable each character is after the one before it."""
    tables, before = _tables(), ""
    for character in run:
        simplified = tables.simplified.get(character, character)
        pair = _rank(tables.pairs.get(before, ""), simplified)
        alone = tables.characters.get(simplified)
        rank = alone if pair is None else pair
        yield (_RARE if rank is None else -_STEP * rank) + (
            _TRADITIONAL if simplified != character else 0.0
        )
        before = simplified


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """How often is written what, as ranks: the negative logarithm in steps of `_STEP`."""

    characters: Mapping[str, int]
    pairs: Mapping[str, str]  # by the first: "a国b央间", the rank of what follows as a letter
    simplified: Mapping[str, str]  # by the traditional


@cache
def _tables() -> _Tables:
    written = resources.files("config").joinpath("chinese.txt").read_text(encoding="utf-8")
    _, characters, pairs, simplified = written.split("\n\n")
    return _Tables(
        characters={
            character: int(rank)
            for rank, all_of_it in (line.split(" ") for line in characters.splitlines())
            for character in all_of_it
        },
        pairs={line[0]: line[1:] for line in pairs.splitlines()},
        simplified={
            character: line[0] for line in simplified.splitlines() for character in line[1:]
        },
    )


def _rank(followers: str, character: str) -> int | None:
    """The rank of a character in "a国b央间"."""
    found = followers.find(character)
    if found < 0:
        return None
    return next(ord(it) - ord("a") for it in reversed(followers[:found]) if it.isascii())
