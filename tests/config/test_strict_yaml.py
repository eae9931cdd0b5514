import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.problems import Complaints, Problem, UserError
from config.strict_yaml import parse
from config.yaml_nodes import JsonValue, Mapping, core_value, plain


def whole_or_nothing(text: str) -> JsonValue:
    complaints = Complaints("a.yaml")
    node = parse(text, complaints)
    complaints.raise_any()
    return None if node is None else plain(node)


def whole(text: str) -> JsonValue:
    value = whole_or_nothing(text)
    assert value is not None
    return value


def problems(text: str) -> str:
    with pytest.raises(UserError) as caught:
        whole(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("nUll", "nUll"),
        ("0123", 123),
        ("-7", -7),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("+", "+"),
        (".", "."),
        ("=", "="),
        ("\u0663", "\u0663"),  # a digit, but not of YAML
        ("9" * 5000, float("inf")),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(word: str, value: object) -> None:
    assert core_value(word) == value
    assert type(core_value(word)) is type(value)


def test_quoted_words_are_texts() -> None:
    assert whole("a: '12'\nb: \"true\"\nc: ''\n") == {"a": "12", "b": "true", "c": ""}


def test_block_texts_lists_and_json_are_read() -> None:
    text = "a: |\n  one\n  two: 2\nb: >-\n  long\n  line\nc: [1, x]\nd:\n- y\n"
    assert whole(text) == {"a": "one\ntwo: 2\n", "b": "long line", "c": [1, "x"], "d": ["y"]}
    assert whole('{"a": "\\ud83d\\ude00", "b": [1, null]}') == {"a": "😀", "b": [1, None]}


def test_every_key_knows_its_line() -> None:
    node = parse("# words\na: 1\n\nb:\n  - 2\n'c': x\n", Complaints("a.yaml"))
    assert isinstance(node, Mapping)
    assert node.lines == {"a": 2, "b": 4, "c": 6}


@pytest.mark.parametrize("text", ["", "# words\n", "---\n", "\n\n"])
def test_a_text_without_a_value_is_none(text: str) -> None:
    assert parse(text, Complaints("a.yaml")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompt: make it: red", 'line 1: a colon.*quote it: prompt: "make it: red"'),
        ('a: 1\nprompt: now: "x"', "line 2: .*quote it: prompt: 'now: \"x\"'"),
        ("prompt: # remove", 'line 1: .*comment; quote it: prompt: "# remove"'),
        ("prompt: @x", 'quote it: prompt: "@x"'),
        ("prompt: `x`", 'quote it: prompt: "`x`"'),
        ("prompt: *bold* x", 'quote it: prompt: "\\*bold\\* x"'),
        ('prompt: "red" car', "quote it: prompt: '\"red\" car'"),
        ("prompt: 'it's red'", 'quote it: prompt: "it\'s red"'),
        ('a: 1\nprompt: "red\nsteps: 4\n', 'line 2: a quote is opened.*prompt: "red"'),
        ("prompt: [red] car", 'quote it: prompt: "\\[red\\] car"'),
        ("prompt: - red", 'quote it: prompt: "- red"'),
        ("a: [1, 2\nb: 3", "line 1: a bracket is opened but not closed"),
        ("a: {b: 3", "line 1: a bracket is opened but not closed"),
        ("prompt:\tred", "line 1: there is a tab"),
        ("prompt: red\n\tsteps: 4", "line 2: there is a tab"),
        ("prompt: red\n  steps: 4", "line 2: this line is indented deeper"),
        ("prompt:red\nsteps: 4", "no space after 'prompt:'; write: prompt: red"),
        ("a: 1\nprompt\uff1ared\n", "line 2: the colon after 'prompt' is a full-width one"),
        ("prompt: a\nmore words\n", 'line 2: "more words" is no `key: value`'),
        ("a: 1\na: 2", "line 2: 'a' is written twice, first in line 1"),
        ("a: &x 1", "line 1: '&x' is a YAML anchor"),
        ("a: 1\nb: *x", "line 2: '\\*x' is a YAML alias"),
        ("a: !!str 1", "line 1: '!!str' is a YAML tag"),
        ("a: !<tag:x> 1", "is a YAML tag"),
        ("a: ! 1", "is a YAML tag"),
        ("<<: {a: 1}", "line 1: '<<' is a YAML merge key"),
        ("? [a]\n: 1", "line 1: a key is a list or a mapping"),
        ("a:\nb: 1", "line 1: 'a' has no value"),
        ("---\na: 1\n---\nb: 1\n", "line 3: a second document begins"),
        ("a: \x7f", "line 1: the character U\\+007F is not allowed"),
        ('a: "\\UFFFFFFFF"', "stands for nothing"),
        ('a: "\\ud83d"', "stands for nothing"),
        ("%YAML " + "9" * 5000, "stands for nothing"),
        ("%YAML 3.0\n---\na: 1", "line 1"),
        ("a: 1\n]", "line 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_what_to_write(text: str, expected: str) -> None:
    message = problems(text)
    assert message.startswith("a.yaml")
    assert re.search(expected, message), message


def test_problems_of_one_document_come_together_in_the_order_of_lines() -> None:
    lines = problems("a: &x 1\nb: 1\nb: *x\nc:\n").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "a.yaml, line 1",
        "a.yaml, line 3",
        "a.yaml, line 3",
        "a.yaml, line 4",
    ]


@pytest.mark.parametrize(
    "pattern", ["[", "{", "- ", "? ", "[a: ", "{a: ", "[{", "a: [", "!a [", "&a [", "['", "[],"]
)
def test_a_flood_of_brackets_is_refused_at_once(pattern: str) -> None:
    begin = time.process_time()
    assert problems((pattern * 65536)[:65536])
    assert time.process_time() - begin < 1


def test_eight_levels_are_read_and_nine_are_not() -> None:
    assert whole("[" * 7 + "1" + "]" * 7)
    assert "nested too deep" in problems("[" * 8 + "1" + "]" * 8)


def test_more_values_than_anybody_writes_are_refused() -> None:
    assert "more than 4000 values" in problems(f"a: [{'1,' * 5000}]")


SIGNS = st.text(alphabet="ab: -?[]{}'\"#&*!|>%@`,\\\n\t.~<0\u2028\ufeff海", max_size=60)


@settings(deadline=None, max_examples=300)
@given(SIGNS)
def test_any_heap_of_signs_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        whole_or_nothing(text)
        found: tuple[Problem, ...] = ()
    except UserError as error:
        found = error.problems
    assert all(problem.where.startswith("a.yaml") for problem in found)


WORDS = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=50
)
VALUES = st.recursive(
    WORDS | st.integers(-(2**63), 2**63) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=4))
def test_whatever_json_writes_is_read_back(document: dict[str, JsonValue]) -> None:
    assert whole(json.dumps(document)) == document
