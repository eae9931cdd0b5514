"""What somebody most likely meant where YAML cannot be read, and how to write it instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from config.problems import Problem

if TYPE_CHECKING:
    from yaml import Mark, MarkedYAMLError
    from yaml.reader import ReaderError

_KEY_AND_TEXT = re.compile(r"\s*(?:-\s+)?(?P<key>[^\s:#\[\]{}\"']+)\s*:\s+(?P<text>\S.*)")
_LONGEST_QUOTE = 60  # characters of a text that a message repeats
_FULL_WIDTH_COLON = "\uff1a"
_OPENED_BEFORE = (  # where the mistake is where the parser began, not where it gave up
    "while scanning a quoted scalar",
    "while scanning a simple key",
    "while parsing a flow",
)


def shortened(text: str) -> str:
    """Give a text, or its beginning, for a message."""
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def quoted(text: str) -> str:
    """Give a text in quotes that YAML reads back as it is, shortened for a message."""
    short = shortened(text)
    if '"' in short or "\\" in short:
        return "'" + short.replace("'", "''") + "'"
    return f'"{short}"'


def special_character(error: ReaderError, text: str, name: str) -> Problem:
    """Explain a character that YAML does not allow."""
    line = text.count("\n", 0, error.position) + 1
    what = f"the character U+{ord(text[error.position]):04X} is not allowed"
    return Problem(f"{name}, line {line}", what, "remove it")


def explain(error: MarkedYAMLError, text: str, name: str) -> Problem:
    """Explain where and why the parser gave up, and how to write the line where we can tell."""
    mark = _mark_to_mend(error)
    line = text.count("\n", 0, mark.index) + 1
    what, advice = _cause(error, mark, text)
    return Problem(f"{name}, line {line}", what, advice)


def without_colon(source: str) -> tuple[str, str]:
    """Explain a line that is no `key: value`: what is wrong with it and what to write."""
    key, full_width, value = source.partition(_FULL_WIDTH_COLON)
    if full_width and key.isidentifier():
        return f"the colon after '{key}' is a full-width one", f"write: {key}: {value.strip()}"
    key, colon, value = source.partition(":")
    if colon and value and key.isidentifier():
        return f"there is no space after '{key}:'", f"write: {key}: {value.strip()}"
    advice = "write `key: value`; a text of several lines goes indented below `prompt: |`"
    return f"{quoted(source.strip())} is no `key: value`", advice


def _mark_to_mend(error: MarkedYAMLError) -> Mark:
    opened_before = (error.context or "").startswith(_OPENED_BEFORE)
    mark = error.context_mark if opened_before else error.problem_mark
    assert mark is not None  # all errors of the scanner and the parser have one
    return mark


def _cause(error: MarkedYAMLError, mark: Mark, text: str) -> tuple[str, str]:
    problem, context = error.problem or "", error.context or ""
    source = _line_at(text, mark.index)
    if text[mark.index : mark.index + 1] == "\t":
        return "there is a tab where YAML allows only spaces", "replace the tab by spaces"
    if problem.startswith("mapping values are not allowed"):
        return _misplaced_colon(mark, text)
    if context.startswith(_OPENED_BEFORE):
        return _left_open(context, source)
    if (pair := _KEY_AND_TEXT.match(source)) is not None:
        return f"YAML takes a sign in the text of '{pair['key']}' for its own", _quote(pair)
    return f"YAML cannot read this ({problem})", "write `key: value` lines, texts in quotes"


def _left_open(context: str, source: str) -> tuple[str, str]:
    if "quoted scalar" in context:
        pair = _KEY_AND_TEXT.match(source)
        return "a quote is opened but not closed", _quote(pair) if pair else "close it"
    if "simple key" in context:
        return without_colon(source)
    return "a bracket is opened but not closed", "close it, or put the text in quotes"


def _misplaced_colon(mark: Mark, text: str) -> tuple[str, str]:
    source = _line_at(text, mark.index)
    column = mark.index - (text.rfind("\n", 0, mark.index) + 1)
    pair = _KEY_AND_TEXT.match(source)
    if pair is not None and column > pair.start("text"):
        return "a colon and a space inside a text look like a key", _quote(pair)
    if source[:1].isspace():
        return "this line is indented deeper than the key above", "begin both in the same column"
    before = text[: text.rfind("\n", 0, mark.index) + 1].rstrip("\n")
    return without_colon(before.rpartition("\n")[2])


def _quote(pair: re.Match[str]) -> str:
    text = pair["text"].strip()
    if text[0] in "\"'" and (text.count(text[0]) == 1 or text[-1] == text[0]):
        text = text[1:].removesuffix(text[0])
    return f"quote it: {pair['key']}: {quoted(text)}"


def _line_at(text: str, index: int) -> str:
    start = text.rfind("\n", 0, index) + 1
    return text[start:].partition("\n")[0]
