"""What an unquoted word of a document means, by the core schema of YAML 1.2 (section 10.3.2)."""

from __future__ import annotations

import re

CoreValue = str | int | float | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_DECIMAL = re.compile("[-+]?[0-9]+")
_OCTAL = re.compile("0o[0-7]+")
_HEXADECIMAL = re.compile("0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOST_DIGITS = 400  # beyond the largest float; Python reads no decimal of more than 4300


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
