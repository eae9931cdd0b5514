"""Dataclasses as JSON, and back by the types of their fields: records on disk, and messages.

Whoever may write to a share, or has taken over a process, may have written what is read here:
whatever is not sound, of whatever kind, is one ValueError.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
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
    return json.dumps(_plain(value), allow_nan=False)


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
    known, _ = _fields_of(kind)  # type: ignore[arg-type] # a class can be hashed
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
    if is_dataclass(value) and not isinstance(value, type):
        named = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        return {_CLASS: type(value).__name__, **named}
    match value:
        case PurePath():
            return os.fspath(value)
        case tuple() | frozenset():
            return [_plain(one) for one in value]
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
        case _:
            return value


def _read(kind: Any, plain: Any) -> Any:
    origin = get_origin(kind)
    if origin is not None:
        return _read_generic(origin, get_args(kind), plain)
    if is_dataclass(kind):
        return _read_dataclass(kind, _as(dict, plain))
    if issubclass(kind, StrEnum):
        return kind(_as(str, plain))
    if issubclass(kind, PurePath):
        return _read_path(kind, _as(str, plain))
    return _as((int, float) if kind is float else kind, plain)


def _read_generic(origin: Any, of: tuple[Any, ...], plain: Any) -> Any:
    if origin is Annotated:
        return _read_number(of[0], of[1], plain)
    if origin in (Union, UnionType):
        return _read_one_of(of, plain)
    if origin is tuple:
        return tuple(_items(of, _as(list, plain)))
    if origin is frozenset:
        return frozenset(_items((*of, ...), _as(list, plain)))
    pairs = _as(dict, plain).items()  # of a Mapping
    return {_read(of[0], key): _read(of[1], one) for key, one in pairs}


def _read_number(kind: Any, bounds: Range, plain: Any) -> Any:
    number = _read(kind, plain)
    if not bounds.least <= number <= bounds.most:
        message = f"{number} is not from {bounds.least} to {bounds.most}"
        raise ValueError(message)
    return number


def _read_path(kind: type[PurePath], plain: str) -> PurePath:
    if "\0" in plain:
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


def _items(kinds: tuple[Any, ...], plain: list[Any]) -> Iterator[Any]:
    if kinds[-1:] == (...,):
        kinds = kinds[:1] * len(plain)
    for kind, one in zip(kinds, plain, strict=True):
        yield _read(kind, one)


def _read_dataclass(kind: Any, plain: dict[str, Any]) -> Any:
    known, needed = _fields_of(kind)
    names = plain.keys() - {_CLASS}  # without its class it is one that asdict made
    is_one = plain.get(_CLASS, kind.__name__) == kind.__name__
    if not is_one or not needed <= names <= known.keys():
        message = f"no {kind.__name__}"
        raise ValueError(message)
    return kind(**{name: _read(known[name], plain[name]) for name in names})


@cache
def _fields_of(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of the fields of a dataclass, and which must be there.

    The others have come with a later version, or are left out by whoever wrote a message.
    """
    of = fields(kind)
    hints = get_type_hints(kind, include_extras=True)
    needed = (it for it in of if it.default is MISSING and it.default_factory is MISSING)
    return {it.name: hints[it.name] for it in of}, frozenset(it.name for it in needed)


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
