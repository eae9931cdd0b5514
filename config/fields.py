"""One mapping of a written document, read by a table of its keys, with every problem collected.

Such a table is a dataclass: a field declares name, type, reader and default of a key, and the
docstring below it is its help, `meaning | values | default`, of which `make docs` makes the
documents. The values are those of the reader, or what is told of `{values}`; the default is the
field's, unless it is told. Further paragraphs are for the shipped settings alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Metadata
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from config.problems import Complaints, Problem, UserError
from config.text import decode
from config.values import Reader, UnfitValueError
from config.yaml_mistakes import without_colon
from config.yaml_nodes import Listing, Mapping, Node, Scalar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value")
Default = TypeVar("Default")
Table = TypeVar("Table", bound="DataclassInstance")

READER = "reader"  # of a key, in the metadata of its field


def key(reader: Reader[Value], default: Default) -> Value | Default:
    """Declare a key that may be left out as the field of a table."""
    return cast("Value | Default", field(default=default, metadata=read_by(reader)))


def read_by(reader: Reader[Any]) -> Metadata[str, Reader[Any]]:
    """Give the metadata of a key's field."""
    return {READER: reader}


class Fields:
    """The keys of one mapping; each is asked for once, `finish` finds those nobody asked for."""

    def __init__(self, mapping: Mapping, complaints: Complaints, path: str = "") -> None:
        self.mapping = mapping
        self._complaints = complaints
        self._path = path
        self._known: dict[str, None] = {}  # in the order of the asking

    def read(
        self, key: str, parse: Callable[[Node], Value], otherwise: Default
    ) -> Value | Default:
        """Give the value of a key; `otherwise` where it is not written, null, or unfit."""
        self._known[key] = None
        node = self.mapping.entries.get(key)
        if node is None or _is_null(node):
            return otherwise
        try:
            return parse(node)
        except UnfitValueError as error:
            self.complain(key, error.what, error.advice)
            return otherwise

    def require(self, key: str, parse: Callable[[Node], Value]) -> Value | None:
        """Give the value of a key that must be written; None after a complaint."""
        complaints = len(self._complaints)
        value = self.read(key, parse, None)
        if value is None and len(self._complaints) == complaints and not self._was_left_out(key):
            self.complain(key, "is missing", f"write {key}: …")
        return value

    def read_table(self, usual: Table) -> Table:
        """Read every key of a table and complain of any other; `usual` has what is not written."""
        written = {
            it.name: self.read(it.name, it.metadata[READER], getattr(usual, it.name))
            for it in fields(usual)
            if READER in it.metadata
        }
        self.finish()
        return replace(usual, **written)

    def require_table(self, kind: type[Table]) -> Table | None:
        """Read every key of a table, all of which must be written; None after a complaint."""
        found = {it.name: self.require(it.name, it.metadata[READER]) for it in fields(kind)}
        self.finish()
        return None if None in found.values() else kind(**found)

    def complain(self, key: str, what: str, advice: str) -> None:
        """Note a problem with the value of a key."""
        line = self.mapping.lines.get(key, self.mapping.line)
        self._complaints.add(line, f"{self._path}{key} {what}", advice)

    def table(self, key: str) -> Fields:
        """Give the mapping under a key, without any keys where it is not written."""
        mapping = self.read(key, _mapping, None)
        here = self.mapping.lines.get(key, self.mapping.line)
        return self._below(mapping or Mapping({}, {}, here), key)

    def named_tables(self, key: str) -> Iterator[tuple[str, Fields]]:
        """Give the mappings under a key by their names, such as presets."""
        outer = self.table(key)
        for name in outer.mapping.entries:
            yield name, outer.table(name)

    def listed_tables(self, key: str) -> Iterator[Fields]:
        """Give the mappings in the list under a key, such as folders."""
        for index, mapping in enumerate(self.read(key, _mappings, ())):
            yield self._below(mapping, f"{key}[{index}]")

    def finish(self) -> None:
        """Complain of the keys that nobody asked for, naming the nearest that exists."""
        for key, line in self.mapping.lines.items():
            if key not in self._known:
                what = f"'{self._path}{key}' is no key"
                self._complaints.add(line, what, self._advice_for_unknown(key))

    def _advice_for_unknown(self, key: str) -> str:
        if near := nearest(key, list(self._known)):
            return f"did you mean '{near}'?"
        return f"write one of {', '.join(self._known)}, or remove the line"

    def _below(self, mapping: Mapping, key: str) -> Fields:
        return Fields(mapping, self._complaints, f"{self._path}{key}.")

    def _was_left_out(self, key: str) -> bool:
        return key in self.mapping.lines and key not in self.mapping.entries


def read_fields(content: bytes, complaints: Complaints, *, may_be_empty: bool = False) -> Fields:
    """Read a file that holds one mapping.

    The caller asks for the keys and then raises the complaints. Raises UserError at once where
    there is no text, no YAML or no mapping.
    """
    from config.strict_yaml import parse  # noqa: PLC0415  who reads nothing does not pay for PyYAML

    text = decode(content, complaints.name)
    root = parse(text, complaints)
    if isinstance(root, Mapping):
        return Fields(root, complaints)
    complaints.raise_any()
    if root is not None:
        raise UserError([_no_mapping(root, text, complaints.name)])
    if may_be_empty:
        return Fields(Mapping({}, {}, 1), complaints)
    raise UserError([Problem(complaints.name, "is empty", "write `prompt: …` into it")])


def nearest(word: str, known: list[str]) -> str | None:
    """Give the known word that somebody most likely meant; None if none is near."""
    from difflib import get_close_matches  # noqa: PLC0415  only mistakes pay for its import

    by_lower_case = {name.lower(): name for name in known}
    close = get_close_matches(word.lower().replace("-", "_"), by_lower_case, n=1)
    return by_lower_case[close[0]] if close else None


def _no_mapping(root: Node, text: str, name: str) -> Problem:
    if isinstance(root, Scalar):
        what, advice = without_colon((text.split("\n")[root.line - 1 :] or [""])[0])
    else:
        what, advice = (
            "the whole file is a list",
            "write `key: value` lines without `-` before them",
        )
    return Problem(f"{name}, line {root.line}", what, advice)


def _mapping(node: Node) -> Mapping:
    if isinstance(node, Mapping):
        return node
    what, advice = "is not a mapping", "write its keys indented below it, or {} for none"
    raise UnfitValueError(what=what, advice=advice)


def _mappings(node: Node) -> tuple[Mapping, ...]:
    mappings = node.items if isinstance(node, Listing) else ()
    found = tuple(item for item in mappings if isinstance(item, Mapping))
    if not isinstance(node, Listing) or len(found) < len(mappings):
        what, advice = "is not a list of mappings", "write `- key: value` lines below it"
        raise UnfitValueError(what=what, advice=advice)
    return found


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value() is None
