"""Dataclasses as JSON, and back by the types of their fields: records on disk, and messages.

Whoever may write to a share, or has taken over a process, may have written what is read here:
whatever is not sound, of whatever kind, is one ValueError.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_CLASS = "is a"  # no field can have this name
_DEEPEST = 64  # an instruction has a few levels; json.dumps and repr give up at some hundreds
_LEAST, _MOST = -(2**63), 2**63 - 1  # no number of ours is longer, or fits into a float for sure


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a field may hold: `Annotated[int, Range(0)]`."""

    least: float
    most: float = math.inf


Count = Annotated[int, Range(0)]
UnixTime = Annotated[float, Range(-1e9, 1e11)]  # what the clock of any machine may say


def dump(value: object) -> str:
    """A value as text in ASCII; raises ValueError for a number without end."""
    return json.dumps(value, allow_nan=False, default=_plain)


def load(kind: type[T], text: str | bytes) -> T:
    """The value of a text that `dump` made, or `json.dumps` of `asdict`; raises ValueError."""
    value: T = _read(kind, parse(text))
    return value


def parse(text: str | bytes) -> object:
    """The JSON of a text in UTF-8; raises ValueError for what is none, or is nested too deep.

    Its numbers may be without end: an instruction holds what its user wrote. No field does.
    """
    try:
        plain: object = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except (RecursionError, MemoryError) as error:
        message = "it is nested too deep, or too large"
        raise ValueError(message) from error
    if _is_too_deep(plain):
        message = f"it is nested more than {_DEEPEST} levels deep"
        raise ValueError(message)
    return plain


def at(kind: Any, plain: object, *keys: str) -> Any:
    """The value of a type below these keys, None where one is missing; raises ValueError.

    The type may be a union: of its dataclasses it is the one that the value is said to be.
    """
    for key in keys:
        plain = _as(dict, plain).get(key)
        if plain is None:
            break
    return _read(kind, plain)


def part(kind: type[T], plain: object) -> T:
    """The dataclass in a record that says more than its fields; raises ValueError."""
    known = _readers_of(kind)  # type: ignore[arg-type] # a class can be hashed
    value: T = _read(kind, {key: it for key, it in _as(dict, plain).items() if key in known})
    return value


def _is_too_deep(plain: object) -> bool:
    level = [plain]
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return False
    return True


def _inner(plain: object) -> Iterable[object]:
    match plain:
        case dict():
            return plain.values()
        case list():
            return plain
        case _:
            return ()


def _plain(value: object) -> object:
    """What JSON has no word for, by what it has one for; what is in it comes next."""
    match value:
        case PurePath():
            return os.fspath(value)
        case frozenset():
            return list(value)
        case Mapping():
            return dict(value)
        case _:
            kind: Any = type(value)
            return {_CLASS: kind.__name__, **{it: getattr(value, it) for it in _readers_of(kind)}}


def _read(kind: Any, plain: Any) -> Any:
    return _reader_of(kind)(plain)


@cache
def _reader_of(kind: Any) -> Callable[[Any], Any]:
    """What reads a value of a type, found once: an answer may have ten thousand rows."""
    origin = get_origin(kind)
    if origin is not None:
        return partial(_GENERIC.get(origin, _read_mapping), get_args(kind))
    if is_dataclass(kind):
        return partial(_read_dataclass, kind)
    if issubclass(kind, StrEnum):
        return partial(_read_word, kind)
    if issubclass(kind, PurePath):
        return partial(_read_path, kind)
    return _read_text if kind is str else partial(_as, (int, float) if kind is float else kind)


def _read_text(plain: Any) -> Any:
    return plain if type(plain) is str and plain.isascii() else _as(str, plain)


def _read_word(kind: type[StrEnum], plain: Any) -> Any:
    return kind(_as(str, plain))


def _read_tuple(of: tuple[Any, ...], plain: Any) -> Any:
    return tuple(_items(of, _as(list, plain)))


def _read_set(of: tuple[Any, ...], plain: Any) -> Any:
    return frozenset(_items((*of, ...), _as(list, plain)))


def _read_mapping(of: tuple[Any, ...], plain: Any) -> Any:
    read_key, read_one = map(_reader_of, of)
    return {read_key(key): read_one(one) for key, one in _as(dict, plain).items()}


def _read_number(of: tuple[Any, ...], plain: Any) -> Any:
    kind, bounds = of
    number = _read(kind, plain)
    if not bounds.least <= number <= bounds.most:
        message = f"{number} is not from {bounds.least} to {bounds.most}"
        raise ValueError(message)
    return number


def _read_path(kind: type[PurePath], plain: Any) -> PurePath:
    if "\0" in _as(str, plain):
        message = "a path with a null byte"
        raise ValueError(message)
    return kind(plain)


def _read_one_of(kinds: tuple[Any, ...], plain: Any) -> Any:
    classes: tuple[Any, ...] = tuple(filter(is_dataclass, kinds))
    if isinstance(plain, dict) and len(classes) > 1:  # then it says which
        kinds = tuple(it for it in classes if it.__name__ == plain.get(_CLASS))
    for kind in kinds:
        try:
            return _read(kind, plain)
        except ValueError:
            continue
    message = f"a {type(plain).__name__} is none of those"
    raise ValueError(message)


_GENERIC: Mapping[Any, Callable[[tuple[Any, ...], Any], Any]] = {
    Annotated: _read_number,
    Union: _read_one_of,
    UnionType: _read_one_of,
    tuple: _read_tuple,
    frozenset: _read_set,
}


def _items(kinds: tuple[Any, ...], plain: list[Any]) -> Iterator[Any]:
    if kinds[-1:] == (...,):
        return map(_reader_of(kinds[0]), plain)
    pairs = zip(kinds, plain, strict=True)
    return (_read(kind, one) for kind, one in pairs)


def _read_dataclass(kind: Any, plain: Any) -> Any:
    readers, needed = _readers_of(kind), _needed_of(kind)
    names = _as(dict, plain).keys() - {_CLASS}  # without its class it is one that asdict made
    is_one = plain.get(_CLASS, kind.__name__) == kind.__name__
    if not is_one or not needed <= names <= readers.keys():
        message = f"no {kind.__name__}"
        raise ValueError(message)
    return kind(**{name: readers[name](plain[name]) for name in names})


@cache
def _readers_of(kind: Any) -> dict[str, Callable[[Any], Any]]:
    """What reads each field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    return {it.name: _reader_of(hints[it.name]) for it in fields(kind)}


@cache
def _needed_of(kind: Any) -> frozenset[str]:
    """The fields of a dataclass that must be there.

    The others have come with a later version, or are left out by whoever wrote a message.
    """
    of = fields(kind)
    needed = (it for it in of if it.default is MISSING and it.default_factory is MISSING)
    return frozenset(it.name for it in needed)


def _as(kind: Any, plain: Any) -> Any:
    # True is an int to isinstance, but never meant as one.
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        message = f"a {type(plain).__name__} is no {kind}"
        raise ValueError(message)
    match plain:
        case str():
            os.fsencode(plain)  # raises UnicodeEncodeError, a ValueError: no file has such a name
        case int() if not _LEAST <= plain <= _MOST:
            message = "a number is too large"
            raise ValueError(message)
        case float() if not math.isfinite(plain):
            message = f"{plain} is no number"
            raise ValueError(message)
    return plain
