"""Writes config/chinese.txt: how often Chinese characters are written, and one after another.

    .venv/bin/python scripts/write_chinese_table.py JIEBA/dict.txt OPENCC/TSCharacters.txt

The first is of jieba 0.42.1 (MIT): words with their counts in newspapers. The second is of OpenCC
1.4.2 (Apache-2.0): the simplified character of a traditional one. To these come words of edits, in
scripts/edit_words_zh.txt, which newspapers have few of.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

_TOP = Path(__file__).resolve().parents[1]
_EDIT_WORDS = _TOP / "scripts" / "edit_words_zh.txt"
_OUT = _TOP / "config" / "chinese.txt"
_OF_EDITS = 0.2  # of all that is counted
_CHARACTERS, _PAIRS = 4500, 24000
_STEP = 0.5  # as config/chinese.py has it
_HEAD = """\
# Written by scripts/write_chinese_table.py: how often Chinese is written how, as ranks, negative
# logarithms in steps of half a nat. Characters by their rank; after each character its followers,
# behind a letter for their rank; simplified characters with their traditional ones.
# The counts are of jieba 0.42.1, dict.txt, the variants of OpenCC 1.4.2, TSCharacters.txt
# (Copyright BYVoid and contributors, Apache License 2.0, as this project).
# jieba: The MIT License (MIT). Copyright (c) 2013 Sun Junyi
# Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
# associated documentation files (the "Software"), to deal in the Software without restriction,
# including without limitation the rights to use, copy, modify, merge, publish, distribute,
# sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
# furnished to do so, subject to the following conditions: The above copyright notice and this
# permission notice shall be included in all copies or substantial portions of the Software.
# THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
# NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
# NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
# DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
# OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


_Shares = defaultdict[str, float]
_Counts = tuple[_Shares, _Shares]


def main() -> int:
    """Read, count, write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", type=Path)
    parser.add_argument("variants", type=Path)
    arguments = parser.parse_args()
    characters, pairs = _mixed(_counted(_words(arguments.words)), _counted(_edit_words()))
    total = sum(characters.values())
    often = sorted(characters, key=lambda it: -characters[it])[:_CHARACTERS]
    common = {it: characters[it] / total for it in often}
    _OUT.write_text(
        "\n".join(
            (
                _HEAD,
                *_lines_of_characters(common),
                "",
                *_lines_of_pairs(common, characters, pairs),
                "",
                *_lines_of_variants(common, arguments.variants),
            )
        )
        + "\n",
        encoding="utf-8",
    )
    return 0


def _words(path: Path) -> Iterator[tuple[str, float]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        word, count, _ = line.split(" ")
        yield word, float(count)


def _edit_words() -> Iterator[tuple[str, float]]:
    for word in _EDIT_WORDS.read_text(encoding="utf-8").split():
        yield word, 1.0


def _counted(words: Iterable[tuple[str, float]]) -> _Counts:
    """How often there is each character, and each pair within a word."""
    characters: _Shares = defaultdict(float)
    pairs: _Shares = defaultdict(float)
    for word, count in words:
        if all("\u4e00" <= it <= "\u9fff" for it in word):
            for it in word:
                characters[it] += count
            for first, second in pairwise(word):
                pairs[first + second] += count
    return characters, pairs


def _mixed(newspapers: _Counts, edits: _Counts) -> _Counts:
    many, few = sum(newspapers[0].values()), sum(edits[0].values())
    weight = _OF_EDITS / (1 - _OF_EDITS) * many / few
    for all_of_it, more in zip(newspapers, edits, strict=True):
        for it, count in more.items():
            all_of_it[it] += count * weight
    return newspapers


def _rank(probability: float) -> int:
    return round(-math.log(probability) / _STEP)


def _lines_of_characters(common: Mapping[str, float]) -> Iterator[str]:
    by_rank = defaultdict(list)
    for it, probability in common.items():
        by_rank[_rank(probability)].append(it)
    return (f"{rank} {''.join(by_rank[rank])}" for rank in sorted(by_rank))


def _lines_of_pairs(
    common: Mapping[str, float], characters: _Shares, pairs: _Shares
) -> Iterator[str]:
    """The pairs that say most more than their characters alone do."""
    worth = []
    for pair, count in pairs.items():
        first, second = pair[0], pair[1]
        if first in common and second in common:
            after, alone = count / characters[first], common[second]
            if after > 2 * alone:
                worth.append((count * math.log(1 + after / alone), first, second, after + alone))
    followers: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for _, first, second, probability in sorted(worth, reverse=True)[:_PAIRS]:
        followers[first][_rank(probability)].append(second)
    for first in sorted(followers):
        ranks = sorted(followers[first].items())
        yield first + "".join(f"{chr(ord('a') + rank)}{''.join(it)}" for rank, it in ranks)


def _lines_of_variants(common: Mapping[str, float], variants: Path) -> Iterator[str]:
    by_simplified = defaultdict(list)
    for line in variants.read_text(encoding="utf-8").splitlines():
        traditional, tab, simplified = line.partition("\t")
        is_one = tab and len(traditional) == 1 and traditional not in common
        if is_one and (best := simplified.split(" ")[0]) in common:
            by_simplified[best].append(traditional)
    return (f"{it}{''.join(by_simplified[it])}" for it in sorted(by_simplified))


if __name__ == "__main__":
    sys.exit(main())
