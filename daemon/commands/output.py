"""What commands write: findings, lines and tables, coloured on a terminal."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TextIO

from config.problems import Problem, UserError
from daemon.clock import local_time
from daemon.control.documents import DaemonStatus, FileStatus, FolderStatus, IgnoredFile
from daemon.events.text import columns, plain

_GAP = "  "
_WATCH_SECONDS = 2.0
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
# A screen beside that of the shell, on which long lines end at the edge.
_OPEN_SCREEN, _CLOSE_SCREEN = "\x1b[?1049h\x1b[?7l\x1b[?25l", "\x1b[?25h\x1b[?7h\x1b[?1049l"
_RESET = "\x1b[0m"
_GREEN, _CYAN, _YELLOW, _RED, _FAINT = "\x1b[32m", "\x1b[36m", "\x1b[33m", "\x1b[31m", "\x1b[2m"
_COLOURS: Mapping[str, str] = {  # by the words of states, hot folders and findings
    **dict.fromkeys(("ok", "done", "online"), _GREEN),
    **dict.fromkeys(("ready", "claimed", "running", "publishing"), _CYAN),
    **dict.fromkeys(("warning", "held", "review", "paused", "low-space", "offline"), _YELLOW),
    **dict.fromkeys(("problem", "failed", "quarantined"), _RED),
    **dict.fromkeys(("reference", "seen", "ignored"), _FAINT),
}


class Verdict(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"  # it works, perhaps not as meant
    PROBLEM = "problem"  # somebody has to mend it first


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found, in one sentence that ends in what to do where that is needed."""

    verdict: Verdict
    subject: str  # "settings", "folder", "model", "machine"
    text: str


def ok(subject: str, text: str) -> Finding:
    """A thing that is as it should be."""
    return Finding(Verdict.OK, subject, text)


def warning(subject: str, text: str, advice: str) -> Finding:
    """A thing that somebody should know of."""
    return Finding(Verdict.WARNING, subject, f"{text}; {advice}")


def problem(subject: str, text: str, advice: str) -> Finding:
    """A thing that somebody has to mend."""
    return Finding(Verdict.PROBLEM, subject, f"{text}; {advice}")


def problems(subject: str, found: Iterable[Problem]) -> Iterator[Finding]:
    """The problems of a seam, each a finding."""
    return (Finding(Verdict.PROBLEM, subject, str(one)) for one in found)


def as_json(document: DaemonStatus | FolderStatus | FileStatus | IgnoredFile) -> dict[str, object]:
    """A document for programs; what is None is left out."""
    return asdict(document, dict_factory=_without_none)


def _without_none(fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    return {key: value for key, value in fields if value is not None}


def write_json(document: object) -> None:
    """Write what `--json` asks for."""
    # ASCII, so that it is the same through every locale.
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


Rows = Sequence[Sequence[str]]


class Output:
    """Writes to one stream what people read."""

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may hold any character
        self._stream = stream
        self.is_terminal = stream.isatty() and environment.get("TERM") != "dumb"
        self._is_coloured = self.is_terminal and not environment.get("NO_COLOR")

    def page(self) -> tuple[Output, io.StringIO]:
        """Another one that writes in the same way, and where it writes to."""
        page, stream = copy(self), io.StringIO()
        page._stream = stream
        return page, stream

    def redraw(self, page: str) -> None:
        """Show a page in place of what the terminal shows, as much of it as there is room for."""
        lines = page.splitlines()[: shutil.get_terminal_size().lines - 1]
        self.write(_HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW)

    def write(self, text: str) -> None:
        """Write a text as it is, at once."""
        self._stream.write(text)
        self._stream.flush()

    def line(self, text: str = "") -> None:
        """Write one line."""
        self._stream.write(f"{plain(text)}\n")
        self._stream.flush()

    def finding(self, word: str, subject: str, text: str) -> None:
        """Write one line that begins with a coloured word."""
        first = self._coloured(word, f"{word:<8}")
        self._stream.write(f"{first} {subject:<8} {plain(text)}\n")
        self._stream.flush()

    def table(self, rows: Rows) -> None:
        """Write rows of equally many cells, of which the second is a word to be coloured."""
        cells = [[plain(cell) for cell in row] for row in rows]
        if cells:
            self._stream.write(self._wrapped(cells) if self.is_terminal else _aligned(cells))

    def _coloured(self, word: str, text: str) -> str:
        colour = _COLOURS.get(word) if self._is_coloured else None
        return f"{colour}{text}{_RESET}" if colour else text

    def _wrapped(self, rows: Rows) -> str:
        from rich.console import Console  # noqa: PLC0415 - rich costs 60 ms, only there
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        grid = Table.grid(padding=(0, len(_GAP)))
        for _ in rows[0]:
            grid.add_column(overflow="fold")  # a path is never cut short
        for first, word, *others in rows:
            coloured = Text.from_ansi(self._coloured(word, word))
            grid.add_row(Text(first), coloured, *map(Text, others))
        width = shutil.get_terminal_size().columns
        console = Console(file=io.StringIO(), width=width, force_terminal=True, highlight=False)
        with console.capture() as captured:
            console.print(grid)
        return captured.get()


def watch(write: Callable[[Output], None]) -> None:
    """Show what `write` writes again and again until Ctrl-C; elsewhere than on a terminal if new.

    A problem is shown in its place: what it comes from may be mended. Raises UserError where
    there is one from the beginning.
    """
    output, wait = Output(sys.stdout, os.environ), threading.Event()
    page, last = _page(output, write, is_first=True), ""
    output.write(_OPEN_SCREEN if output.is_terminal else "")
    try:
        while True:
            if output.is_terminal:
                output.redraw(f"{local_time(time.time()):%H:%M:%S}  Ctrl-C ends this\n{page}")
            elif page != last:
                output.write(page)
            last = page
            wait.wait(_WATCH_SECONDS)
            page = _page(output, write)
    except KeyboardInterrupt:
        output.write(f"{_CLOSE_SCREEN}{last}" if output.is_terminal else "")


def _page(output: Output, write: Callable[[Output], None], *, is_first: bool = False) -> str:
    page, written = output.page()
    try:
        write(page)
    except UserError as error:
        if is_first and not written.getvalue():
            raise
        page.line(str(error))
    return written.getvalue()


def _aligned(rows: Rows) -> str:
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    return "".join(f"{_line(row, widths)}\n" for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
    return _GAP.join(cells).rstrip()
