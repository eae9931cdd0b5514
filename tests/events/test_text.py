import pytest

from daemon.events.text import columns, duration, field, logfmt, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("portraits/hero.png", "portraits/hero.png"),
        ("人像 · café 👩\u200d🎨.png", "人像 · café 👩\u200d🎨.png"),
        ("two\nlines\t.png", "two\\nlines\\t.png"),
        ("latin\udce9.png", "latin\\xe9.png"),
        ("gnp.\u202eevil", "gnp.\\u202eevil"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_a_name_shows_on_one_line_of_any_stream(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (72, "1 min 12 s"),
        (7380, "2 h 3 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "written"),
    [("a", "k=a"), ("", 'k=""'), ("a b", 'k="a b"'), ('a"b', 'k="a\\"b"'), ("a\\b", 'k="a\\\\b"')],
)
def test_a_value_is_quoted_where_it_is_no_bare_word(value: str, written: str) -> None:
    assert logfmt([("k", value)]) == written


def test_several_values_stand_in_one_field() -> None:
    assert field(("a.png", "b\n.png")) == "a.png | b\\n.png"


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("人像", 4), ("e\u0301", 1), ("👩\u200d🎨", 2), ("🎨", 2)]
)
def test_wide_characters_take_two_columns(text: str, width: int) -> None:
    assert columns(text) == width
