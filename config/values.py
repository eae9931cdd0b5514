"""One value as somebody wrote it, read as what its key needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from config.hours import Hours
from config.hours import parse as parse_hours
from config.yaml_mistakes import quoted, shortened
from config.yaml_nodes import Listing, Mapping, Node, Scalar

_SIZE = re.compile(r"([0-9]{1,6})\s*[xX\u00d7]\s*([0-9]{1,6})")
_LARGEST_SIDE = 16384


class Keep(StrEnum):
    """How pixels outside the edit return from the original."""

    AUTO = "auto"
    MASK = "mask"
    NONE = "none"


class Off(StrEnum):
    """The word for a limit that does not hold."""

    OFF = "off"


Limit = float | Off


class MinConfidence(StrEnum):
    """How sure a result's fidelity has to be."""

    OFF = "off"
    HIGH = "high"


class Format(StrEnum):
    """The file format of a result; SAME is the format of the input's content."""

    SAME = "same"
    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels of the upright original."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class OriginalSize:
    """The result has the upright original's size."""

    def __str__(self) -> str:
        return "original"


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The result has the size at which the model worked."""

    def __str__(self) -> str:
        return "model"


@dataclass(frozen=True, slots=True)
class ExactSize:
    """The result has this size in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


Size = OriginalSize | ModelSize | ExactSize


Choice = TypeVar("Choice", bound=StrEnum)
Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class UnfitValueError(Exception):
    """A value that its key cannot take: what it is instead, and what to write."""

    def __init__(self, *, what: str, advice: str) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Reader(Generic[Value_co]):
    """Reads a value as its key needs it; raises UnfitValueError for any other."""

    read: Callable[[Node], Value_co]
    words: str  # what may be written, as documents say it
    none: str = "null"  # how None is written

    def __call__(self, node: Node) -> Value_co:
        """Read what was written."""
        return self.read(node)


def _says(words: str, none: str = "null") -> Callable[[Callable[[Node], Value]], Reader[Value]]:
    return lambda read: Reader(read, words, none)


@_says("text")
def text(node: Node) -> str:
    """Read a text as it stands; a number or a truth value must be quoted to be one."""
    if not isinstance(node, Scalar):
        raise UnfitValueError(what=f"is {_described(node)}", advice="write a text, in quotes")
    if not isinstance(node.value(), str):
        raise UnfitValueError(
            what=f"is {_described(node)}, not a text", advice=f"quote it: {quoted(node.text)}"
        )
    if "\0" in node.text:
        raise UnfitValueError(what="holds a NUL character", advice="remove it")
    return node.text


@_says("text")
def prompt(node: Node) -> str:
    """Read a text that says something, without the white space around it."""
    if stripped := text(node).strip():
        return stripped
    raise UnfitValueError(
        what="is empty", advice="say what to do with the picture, or remove the line"
    )


@_says("text")
def negative_prompt(node: Node) -> str:
    """Read a text that may say nothing; that is one space, as the model was trained."""
    return text(node).strip() or " "


@_says("its name")
def name(node: Node) -> str:
    """Read the name of an entry in the settings."""
    if stripped := text(node).strip():
        return stripped
    raise UnfitValueError(
        what="is empty", advice="write a name from the settings, or remove the line"
    )


@_says("the name of a picture in the same folder")
def file_name(node: Node) -> str:
    """Read the base name of a file in the same folder; paths and addresses are refused."""
    written = text(node)
    if "://" in written:
        raise UnfitValueError(
            what=f"is {quoted(written)}, an address",
            advice="copy the picture into this folder and name it here",
        )
    if "/" in written or "\\" in written:
        base = re.split(r"[/\\]", written.rstrip("/\\"))[-1]
        advice = f"put the picture into the same folder and write its name: {base}"
        raise UnfitValueError(what=f"is {quoted(written)}, a path", advice=advice)
    if not written.strip() or written.startswith("."):
        what = f"is {quoted(written)}, not the name of a picture"
        raise UnfitValueError(what=what, advice="write the name of a picture in the same folder")
    return written


def file_names(most: int) -> Reader[tuple[str, ...]]:
    """Read a list of at most so many base names."""

    @_says(f"a list of at most {most} names of pictures in the same folder")
    def read(node: Node) -> tuple[str, ...]:
        if not isinstance(node, Listing):
            shown = shortened(node.text) if isinstance(node, Scalar) else "logo.png"
            raise UnfitValueError(
                what=f"is {_described(node)}, not a list", advice=f"write [{shown}]"
            )
        if len(node.items) > most:
            raise UnfitValueError(
                what=f"has {len(node.items)} names", advice=f"write at most {most}"
            )
        return tuple(map(file_name, node.items))

    return read


def whole_number(low: int, high: int, *, or_else: str = "") -> Reader[int]:
    """Read a whole number from `low` to `high`; `or_else` ends the advice for any other."""
    words = f"{low} to {high}"
    advice = f"write a whole number from {words}{or_else}"

    @_says(words)
    def read(node: Node) -> int:
        value = node.value() if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise UnfitValueError(what=f"is {_described(node)}", advice=advice)

    return read


def number(low: float, high: float, unit: str = "", *, or_else: str = "") -> Reader[float]:
    """Read a number, whole or not, from `low` to `high`; `or_else` ends the advice."""
    words = f"{low:.9g} to {high:.9g}"
    advice = f"write a number from {words}{or_else}"

    @_says(f"{unit}, {words}" if unit else words)
    def read(node: Node) -> float:
        value = node.value() if isinstance(node, Scalar) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise UnfitValueError(what=f"is {_described(node)}", advice=advice)

    return read


def unless(word: str, read: Reader[Value]) -> Reader[Value | None]:
    """Read one word (`auto`, `forever`) as None and anything else as before."""

    @_says(f"{read.words}, or `{word}`", none=word)
    def read_or_none(node: Node) -> Value | None:
        if isinstance(node, Scalar) and node.text.lower() == word:
            return None
        try:
            return read(node)
        except UnfitValueError as error:
            raise UnfitValueError(what=error.what, advice=f"{error.advice}, or {word}") from error

    return read_or_none


def limit(low: float, high: float, unit: str) -> Reader[Limit]:
    """Read a number from `low` to `high`, or `off`."""
    read_or_none = unless(Off.OFF, number(low, high, unit))

    @_says(read_or_none.words)
    def read(node: Node) -> Limit:
        value = read_or_none(node)
        return Off.OFF if value is None else value

    return read


@_says(
    "`always`, or days and hours in quotes, several between commas:"
    ' `"Mon-Fri 20:00-07:00, Sat-Sun 00:00-24:00"`',
    none="always",
)
def hours(node: Node) -> Hours | None:
    """Read `always` as None, else windows like Mon-Fri 20:00-07:00."""
    if isinstance(node, Scalar):
        if node.text.strip().lower() == "always":
            return None
        if (found := parse_hours(node.text)) is not None:
            return found
    advice = "write always, or days and hours: Mon-Fri 20:00-07:00, Sat-Sun 00:00-24:00"
    raise UnfitValueError(what=f"is {_described(node)}", advice=advice)


def choice(choices: type[Choice], **other_names: Choice) -> Reader[Choice]:
    """Read one of a few words, in any case; `other_names` are understood too."""
    known = {word.value: word for word in choices} | other_names
    advice = f"write one of {', '.join(choices)}"

    @_says(", ".join(f"`{word}`" for word in choices))
    def read(node: Node) -> Choice:
        word = node.text.lower() if isinstance(node, Scalar) else ""
        if word in known:
            return known[word]
        raise UnfitValueError(what=f"is {_described(node)}", advice=advice)

    return read


min_keep_psnr = limit(0, 100, "dB")
max_shift_px = limit(0, _LARGEST_SIDE, "pixels of the original")
max_changed = limit(0, 1, "share of its pixels")
min_confidence = choice(MinConfidence)


@_says("`true`, `false`")
def truth(node: Node) -> bool:
    """Read true or false."""
    value = node.value() if isinstance(node, Scalar) else None
    if isinstance(value, bool):
        return value
    raise UnfitValueError(what=f"is {_described(node)}", advice="write true or false")


@_says(
    f"`original`, `model` (as the model left it) or `WIDTHxHEIGHT`, sides up to {_LARGEST_SIDE}"
)
def size(node: Node) -> Size:
    """Read `original`, `model` or WIDTHxHEIGHT in pixels."""
    written = node.text.strip().lower() if isinstance(node, Scalar) else ""
    if written == "original":
        return OriginalSize()
    if written == "model":
        return ModelSize()
    if (sides := _SIZE.fullmatch(written)) is not None:
        width, height = int(sides[1]), int(sides[2])
        if min(width, height) >= 1 and max(width, height) <= _LARGEST_SIDE:
            return ExactSize(width, height)
    advice = f"write original, model or WIDTHxHEIGHT with sides from 1 to {_LARGEST_SIDE}"
    raise UnfitValueError(what=f"is {_described(node)}", advice=advice)


@_says("`[x, y, width, height]` in pixels of the upright original")
def region(node: Node) -> Region:
    """Read [x, y, width, height] in pixels of the upright original."""
    sides = _whole_numbers(node)
    if len(sides) == 4 and min(sides[:2]) >= 0 and min(sides[2:]) >= 1 and max(sides) < 2**31:
        return Region(*sides)
    advice = "write [x, y, width, height]: whole numbers of pixels, width and height at least 1"
    raise UnfitValueError(what=f"is {_described(node)}", advice=advice)


@_says("an absolute path")
def absolute_path(node: Node) -> Path:
    """Read a path from the root of the file system."""
    written = text(node)
    path = PurePosixPath(written)
    if not path.is_absolute():
        raise UnfitValueError(
            what=f"is {quoted(written)}, not an absolute path", advice="begin it with /"
        )
    if ".." in path.parts:
        raise UnfitValueError(what=f"is {quoted(written)}", advice="write the path without ..")
    return Path(path)


@_says("a list: a program by its absolute path, and its arguments", none="[]")
def command(node: Node) -> tuple[str, ...]:
    """Read a program with its arguments, which no shell sees; an empty list is none."""
    if not isinstance(node, Listing):
        shown = shortened(node.text) if isinstance(node, Scalar) else "/etc/hotfolder/tell"
        raise UnfitValueError(
            what=f"is {_described(node)}, not a list", advice=f"write [{shown}], no shell reads it"
        )
    if node.items:
        absolute_path(node.items[0])
    return tuple(map(text, node.items))


def _whole_numbers(node: Node) -> list[int]:
    """Read a list of whole numbers; empty where it is anything else."""
    if not isinstance(node, Listing):
        return []
    values = [item.value() for item in node.items if isinstance(item, Scalar)]
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    return numbers if len(numbers) == len(node.items) else []


def _described(node: Node) -> str:
    match node:
        case Scalar(plain=True):
            return shortened(node.text)
        case Scalar():
            return f"the text {quoted(node.text)}"
        case Listing():
            return f"a list of {len(node.items)}"
        case Mapping():
            return "a mapping"
