"""Frozen dataclasses as JSON, and back by the types of their fields."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import PurePath
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_CLASS = "is a"  # no field can have this name


def dump(value: object) -> str:
    """A value as text."""
    return json.dumps(_plain(value), indent=1)


def load(kind: type[T], text: str | bytes) -> T:
    """The value of a text that `dump` made; raises ValueError where it is no such value."""
    value: T = _read(kind, json.loads(text))
    return value


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        named = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        return {_CLASS: type(value).__name__, **named}
    match value:
        case StrEnum():
            return value.value
        case PurePath():
            return os.fspath(value)
        case tuple():
            return [_plain(one) for one in value]
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
        case _:
            return value


def _read(kind: Any, plain: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _read_one_of(get_args(kind), plain)
    if origin is tuple:
        return tuple(_items(get_args(kind), _as(list, plain)))
    if origin is Mapping:
        _, of = get_args(kind)
        return {key: _read(of, one) for key, one in _as(dict, plain).items()}
    if is_dataclass(kind):
        return _read_dataclass(kind, _as(dict, plain))
    if issubclass(kind, StrEnum | PurePath):
        return kind(_as(str, plain))
    return _as((int, float) if kind is float else kind, plain)


def _read_one_of(kinds: tuple[Any, ...], plain: Any) -> Any:
    for kind in kinds:
        try:
            return _read(kind, plain)
        except ValueError:
            continue
    message = f"{plain!r} is none of {kinds}"
    raise ValueError(message)


def _items(kinds: tuple[Any, ...], plain: list[Any]) -> Iterator[Any]:
    if kinds[-1:] == (...,):
        kinds = kinds[:1] * len(plain)
    for kind, one in zip(kinds, plain, strict=True):
        yield _read(kind, one)


def _read_dataclass(kind: Any, plain: dict[str, Any]) -> Any:
    hints = get_type_hints(kind)
    named = {one.name: hints[one.name] for one in fields(kind)}
    if plain.get(_CLASS) != kind.__name__ or plain.keys() - {_CLASS} != named.keys():
        message = f"no {kind.__name__}"
        raise ValueError(message)
    return kind(**{name: _read(of, plain[name]) for name, of in named.items()})


def _as(kind: Any, plain: Any) -> Any:
    # True is an int to isinstance, but never meant as one.
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        message = f"{plain!r} is no {kind}"
        raise ValueError(message)
    return plain
