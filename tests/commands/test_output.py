import io
import re

import pytest

from daemon.commands.output import Output
from daemon.events.text import columns

ROWS = [
    ("file", "state", "time", "result"),
    ("人像 👩\u200d🎨.png", "done", "3.2 s", "outbox/人像.png"),
    ("[bold]a\n.png", "failed", "", "failed/2026-11-22/a"),
]
ESCAPES = re.compile(r"\x1b\[\d*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(stream: io.StringIO, **environment: str) -> str:
    Output(stream, environment).table(ROWS)
    return stream.getvalue()


def test_a_plain_table_is_aligned_for_wide_names() -> None:
    assert drawn(io.StringIO()).split("\n") == [
        "file           state   time   result",
        "人像 👩\u200d🎨.png    done    3.2 s  outbox/人像.png",
        "[bold]a\\n.png  failed         failed/2026-11-22/a",
        "",
    ]


def test_a_table_on_a_terminal_keeps_brackets_and_colours_states() -> None:
    table = drawn(Terminal(), COLUMNS="80")
    assert "[bold]a\\n.png" in table
    assert "\x1b[32mdone" in table
    assert "\x1b[31mfailed" in table
    assert "\x1b" not in drawn(Terminal(), NO_COLOR="1")


def test_a_table_on_a_narrow_terminal_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    table = ESCAPES.sub("", drawn(Terminal()))
    assert max(map(columns, table.splitlines())) <= 30
    assert "…" not in table
