"""A written document as a tree of scalars, lists and mappings that know their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import assert_never

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_DECIMAL = re.compile("[-+]?[0-9]+")
_OCTAL = re.compile("0o[0-7]+")
_HEXADECIMAL = re.compile("0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOST_DIGITS = 400  # beyond the largest float; Python reads no decimal of more than 4300


@dataclass(frozen=True, slots=True)
class Scalar:
    """A word, a number or a text; `plain` where it was written without quotes."""

    text: str
    plain: bool
    line: int
    cut_off: str = ""  # "#ff0000" behind it on its line: to YAML a comment, to people perhaps not

    def value(self) -> CoreValue:
        """Give what the scalar means: quoted it is a text, plain it may be a number or null."""
        return core_value(self.text) if self.plain else self.text


@dataclass(frozen=True, slots=True)
class Listing:
    """A list; its line is that of its first item or bracket."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values; the line of a key is where the key stands, not its value."""

    entries: dict[str, Node]
    lines: dict[str, int]
    line: int


Node = Scalar | Listing | Mapping


def plain(node: Node) -> JsonValue:
    """Give a tree as the values that JSON can write."""
    match node:
        case Scalar():
            return node.value()
        case Listing():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(value) for key, value in node.entries.items()}
        case _:
            assert_never(node)


CoreValue = str | int | float | bool | None


def core_value(word: str) -> CoreValue:
    """Give the number, truth value, null or text that a plain scalar stands for.

    `no`, `on`, `12:30:45` and `1_000` are texts, `0123` is 123, `1e3` is a float.
    """
    if word in _NULL:
        return None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    number = _number(word) if word[0] in "+-.0123456789" else None
    return word if number is None else number


def _number(word: str) -> int | float | None:
    if _DECIMAL.fullmatch(word) and len(word) < _MOST_DIGITS:
        return int(word)
    if _OCTAL.fullmatch(word):
        return int(word, 8)
    if _HEXADECIMAL.fullmatch(word):
        return int(word, 16)
    if _FLOAT.fullmatch(word):
        return float(word)
    if _NOT_FINITE.fullmatch(word):
        return float(word.replace(".", ""))
    return None
