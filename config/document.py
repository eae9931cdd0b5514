"""A written document as a tree of scalars, lists and mappings that know their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from config.scalar import CoreValue, core_value

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


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
