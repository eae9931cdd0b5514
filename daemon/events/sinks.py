"""What the daemon says on stderr: fields for the journal and for files, sentences for people."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO

from daemon.events.events import Event, fields, level
from daemon.events.journal import SOCKET, JournalLog
from daemon.events.text import logfmt

# Priorities of syslog(3), as journald reads them at the start of a line: sd-daemon(3).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class Log(Protocol):
    """Tells events as they happen; never raises for what it cannot show."""

    def tell(self, event: Event) -> None:
        """Show one event."""
        ...

    def close(self) -> None:
        """Leave the stream as a person expects it; later events are not shown."""
        ...


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
        from daemon.events.terminal import TerminalLog  # noqa: PLC0415 - rich costs 60 ms, only there

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


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    # It holds "device:inode", and is inherited even where the stream is not: systemd.exec(5).
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
