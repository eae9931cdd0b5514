"""A YAML text as a tree of nodes; what else YAML can do is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from config.problems import Complaints, Problem, UserError
from config.yaml_mistakes import explain, quoted, special_character
from config.yaml_nodes import Listing, Mapping, Node, Scalar

DEEPEST = 8
MOST_NODES = 4000
_QUOTE_OR_REMOVE = "remove it, or quote the whole text"
_TOUCHED = re.compile(r"[ \t]+(#[^\s#].*)")  # a comment is written with a space, a colour without
_HALF = re.compile("[\ud800-\udfff]")


def parse(text: str, complaints: Complaints) -> Node | None:
    """Read one document; None where the text has no value at all.

    What YAML allows but a written file does not need (anchors, tags, merge keys, a key written
    twice or without a value) goes to the complaints and is left out of the tree. Raises UserError
    for what cannot be read on: broken YAML, several documents, more than DEEPEST levels or
    MOST_NODES nodes.
    """
    try:
        return _Reading(text, complaints).document()
    except yaml.reader.ReaderError as error:
        raise UserError([special_character(error, text, complaints.name)]) from error
    except yaml.MarkedYAMLError as error:
        raise UserError([explain(error, text, complaints.name)]) from error
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF", `%YAML 9999…`
        what = "has an escape or a number that stands for nothing"
        raise UserError([Problem(complaints.name, what, "write the character itself")]) from error


class _Reading:
    """One pass over the parser's events; PyYAML's C loader would be faster, but can crash."""

    def __init__(self, text: str, complaints: Complaints) -> None:
        self._text = text
        self._complaints = complaints
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._nodes = 0

    def document(self) -> Node | None:
        self._next()  # the stream starts
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        root = self._node(self._next(), 1)
        self._next()  # the document ends
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            what, advice = "a second document begins", "keep one, without `---` lines"
            raise self._stop(after, what, advice)
        empty = isinstance(root, Scalar) and root.plain and root.text == ""
        return None if empty else root

    def _next(self) -> yaml.Event:
        return next(self._events)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        self._nodes += 1
        if depth > DEEPEST:
            raise self._stop(event, "lists or mappings are nested too deep", "write them flat")
        if self._nodes > MOST_NODES:
            raise self._stop(event, f"there are more than {MOST_NODES} values", "shorten it")
        self._refuse_extras(event)
        match event:
            case yaml.ScalarEvent():
                is_plain = event.style is None
                cut_off = self._cut_off(event) if is_plain else ""
                return Scalar(_joined(event.value), is_plain, _line(event), cut_off)
            case yaml.SequenceStartEvent():
                return self._listing(event, depth)
            case yaml.MappingStartEvent():
                return self._mapping(event, depth)
            case _:
                return Scalar("", plain=False, line=_line(event))  # an alias, refused above

    def _cut_off(self, event: yaml.ScalarEvent) -> str:
        assert event.end_mark is not None
        found = _TOUCHED.match(self._text, event.end_mark.index)
        return found[1] if found else ""

    def _refuse_extras(self, event: yaml.Event) -> None:
        match event:
            case yaml.AliasEvent(anchor=anchor):
                self._complain(event, f"'*{anchor}' is a YAML alias", "write the value itself")
            case yaml.NodeEvent(anchor=str(anchor)):
                self._complain(event, f"'&{anchor}' is a YAML anchor", _QUOTE_OR_REMOVE)
            case yaml.ScalarEvent(tag=str(tag)) | yaml.CollectionStartEvent(tag=str(tag)):
                short = tag.replace("tag:yaml.org,2002:", "!!")
                self._complain(event, f"'{short}' is a YAML tag", _QUOTE_OR_REMOVE)
            case _:
                pass

    def _listing(self, start: yaml.Event, depth: int) -> Listing:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Listing(tuple(items), _line(start))

    def _mapping(self, start: yaml.Event, depth: int) -> Mapping:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            complaints = len(self._complaints)
            key = self._key(self._node(event, depth + 1), lines)
            value_event = self._next()
            value = self._node(value_event, depth + 1)
            if isinstance(value, Scalar) and value.plain and value.text == "":
                self._complain_of_no_value(key or "key", value_event)
            if key is not None:
                lines.setdefault(key, _line(event))
            if key is not None and len(self._complaints) == complaints:
                entries[key] = value
        return Mapping(entries, lines, _line(start))

    def _key(self, key: Node, before: dict[str, int]) -> str | None:
        if not isinstance(key, Scalar):
            self._complaints.add(key.line, "a key is a list or a mapping", "write a word as key")
            return None
        if key.plain and key.text == "<<":
            self._complaints.add(key.line, "'<<' is a YAML merge key", "write the keys themselves")
            return None
        if key.text in before:
            what = f"'{key.text}' is written twice, first in line {before[key.text]}"
            self._complaints.add(key.line, what, "keep one of the two")
        return key.text

    def _complain_of_no_value(self, key: str, event: yaml.Event) -> None:
        rest = self._text[_mark(event).index :].partition("\n")[0].strip()
        if rest.startswith("#"):
            what = f"'{key}' has no value: what follows # is a comment"
            advice = f"quote it: {key}: {quoted(rest)}"
        else:
            what, advice = f"'{key}' has no value", "write one or remove the line"
        self._complain(event, what, advice)

    def _complain(self, event: yaml.Event, what: str, advice: str) -> None:
        self._complaints.add(_line(event), what, advice)

    def _stop(self, event: yaml.Event, what: str, advice: str) -> UserError:
        where = f"{self._complaints.name}, line {_line(event)}"
        return UserError([Problem(where, what, advice)])


def _line(event: yaml.Event) -> int:
    return _mark(event).line + 1


def _mark(event: yaml.Event) -> yaml.Mark:
    mark = event.start_mark
    assert isinstance(mark, yaml.Mark)  # every event of the parser has one
    return mark


def _joined(text: str) -> str:
    r"""Join the halves of characters that JSON writes as two escapes, such as "\ud83d\ude00"."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16")
