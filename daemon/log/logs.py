"""What the daemon says on stderr: fields for the journal and for files, sentences for people."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO

from daemon.job import State
from daemon.log.journal import SOCKET, JournalLog
from daemon.log.story import Event, fields, level
from daemon.log.wording import columns, duration, logfmt, plain

# Priorities of syslog(3), as journald reads them at the start of a line: sd-daemon(3).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
_HEADINGS = ("file", "state", "time", "result")


class Log(Protocol):
    """Tells events as they happen; never raises for what it cannot show."""

    def tell(self, event: Event) -> None:
        """Show one event."""
        ...

    def close(self) -> None:
        """Leave the stream as a person expects it; later events are not shown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One file in the closing table."""

    file: str
    state: State
    seconds: float | None  # None: it was not worked
    result: str  # where the result or the originals are


def open_log(
    stream: TextIO,
    environment: Mapping[str, str],
    now: Callable[[], datetime],
    *,
    verbose: bool,
    journal: Path = SOCKET,
) -> Log:
    """The log that suits a stream: sentences on a terminal, records in the journal, else lines."""
    if stream.isatty() and environment.get("TERM") != "dumb":
        from daemon.log.terminal import TerminalLog  # noqa: PLC0415 - rich costs 60 ms, only there

        return TerminalLog(stream, verbose=verbose)
    if not _is_journal(stream, environment):
        return LineLog(stream, now, verbose=verbose)
    if journal.exists():
        return JournalLog(journal, verbose=verbose)
    return LineLog(stream, None, verbose=verbose)


class LineLog:
    """One line of `key=value` an event; with a priority for journald, else with the time."""

    def __init__(
        self, stream: TextIO, now: Callable[[], datetime] | None, *, verbose: bool
    ) -> None:
        self._stream = stream
        self._now = now
        self._least = logging.DEBUG if verbose else logging.INFO
        self._lock = threading.Lock()
        self._broken = False

    def tell(self, event: Event) -> None:
        """Write one line, at once."""
        if level(event) >= self._least and not self._broken:
            self._write(self._line(event) + "\n")

    def close(self) -> None:
        """Write nothing more."""
        self._broken = True

    def _line(self, event: Event) -> str:
        line = logfmt(fields(event))
        if self._now is None:
            return f"<{_PRIORITIES[level(event)]}>{line}"
        moment = self._now().isoformat(timespec="milliseconds")
        return f"time={moment} level={logging.getLevelName(level(event)).lower()} {line}"

    def _write(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        shown = line.encode(encoding, "backslashreplace").decode(encoding)
        try:
            with self._lock:
                self._stream.write(shown)
                self._stream.flush()
        except (OSError, ValueError):
            self._broken = True  # nobody reads any more: the work goes on, unwatched


def summary_table(rows: Sequence[Row], terminal_columns: int | None) -> str:
    """The closing table, with its line ends; plain and aligned where there is no terminal."""
    if terminal_columns is not None:
        from daemon.log.terminal import table  # noqa: PLC0415 - rich costs 60 ms, only there

        return table(rows, terminal_columns)
    lines = [_HEADINGS, *map(cells, rows)]
    widths = [max(map(columns, column)) for column in zip(*lines, strict=True)]
    return "".join(_aligned(line, widths) + "\n" for line in lines)


def cells(row: Row) -> tuple[str, str, str, str]:
    """What stands in the columns of a row."""
    seconds = "" if row.seconds is None else duration(row.seconds)
    return (plain(row.file), row.state.value, seconds, plain(row.result))


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - columns(cell)) for cell, width in zip(line, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    # It holds "device:inode", and is inherited even where the stream is not: systemd.exec(5).
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
