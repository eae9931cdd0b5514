"""How values read in a sentence, in a log line and on a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

from config.problems import Problem

# Overrides of the writing direction let a name show as another name.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BARE = re.compile(r"[^\s\"'=]+")


def plain(text: str) -> str:
    """One line for any stream: controls, line ends and bytes that are no UTF-8 as escapes."""
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def duration(seconds: float) -> str:
    """Seconds as a person says them: `0.4 s`, `41 s`, `1 min 12 s`, `2 h 3 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def roughly(seconds: float) -> str:
    """Seconds that nobody knows exactly: `8 s`, `4 min`, `2 h 5 min`; never less than a second."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def ordinal(number: int) -> str:
    """A place in a row: `1st`, `2nd`, `13th`."""
    is_teen = number % 100 in (11, 12, 13)
    ending = "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def field(value: object) -> str:
    """A value as one line for a log field."""
    match value:
        case float():
            return f"{value:.2f}"
        case PurePath() | Problem() | str():
            return plain(str(value))
        case tuple():
            return " | ".join(map(field, value))
        case _:
            return str(value)


def logfmt(fields: Iterable[tuple[str, str]]) -> str:
    """Fields as `key=value` on one line; a value is quoted where it is not one bare word."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in fields)


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value) and "\\" not in value:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, joined emoji as one."""
    if text.isascii():
        return len(text)  # ten thousand rows are laid out in a moment
    follows_joiner = (before == "\u200d" for before in f"\0{text}")
    pairs = zip(text, follows_joiner, strict=False)
    return sum(_columns(character) for character, joined in pairs if not joined)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte of a file name, as surrogateescape kept it
    if character in _DIRECTION or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character
