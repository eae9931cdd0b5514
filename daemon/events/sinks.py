"""What the daemon says on stderr: fields for the journal and for files, sentences for people."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO

from daemon.events.events import Event, fields, sentence
from daemon.events.job_events import StepDone
from daemon.events.text import logfmt

SOCKET = Path("/run/systemd/journal/socket")
# Priorities of syslog(3), as the journal has them, and at the start of a line: sd-daemon(3).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
# By the keys of events.fields. The journal drops names in lower case.
_NAMES = {"job": "JOB", "root": "INBOX", "file": "FILE", "seconds": "SECONDS", "action": "EVENT"}
_MOST_BYTES = 4096  # of a field: an editor's last words may be long, and a datagram holds no more


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

        return TerminalLog(stream, now, verbose=verbose)
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
        if event.kind.level >= self._least and not self._broken:
            self._write(self._line(event) + "\n")

    def close(self) -> None:
        """Write nothing more."""
        self._broken = True

    def _line(self, event: Event) -> str:
        line = logfmt(fields(event))
        if self._now is None:
            return f"<{_PRIORITIES[event.kind.level]}>{line}"
        moment = self._now().isoformat(timespec="milliseconds")
        return f"time={moment} level={logging.getLevelName(event.kind.level).lower()} {line}"

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


class JournalLog:
    """Sends each event to the journal, with its fields."""

    def __init__(self, address: Path = SOCKET, *, verbose: bool) -> None:
        self._address = address
        self._least = logging.DEBUG if verbose else logging.INFO

    def tell(self, event: Event) -> None:
        """Send one record; a journal that does not listen hinders nothing."""
        # Steps stand in the line of `systemctl status`; here they would bury all else.
        least = logging.DEBUG if isinstance(event, StepDone) else event.kind.level
        if least >= self._least:
            with contextlib.suppress(OSError):
                _send(self._address, record(event))

    def close(self) -> None:
        """Nothing is to be left: each record is whole, and why a daemon ended comes last."""


def record(event: Event) -> Mapping[str, str]:
    """The fields of the journal that tell an event."""
    return {
        "MESSAGE": sentence(event),
        "PRIORITY": str(_PRIORITIES[event.kind.level]),
        "SYSLOG_IDENTIFIER": "hotfolder",
        **dict(_own_fields(event)),
    }


def _own_fields(event: Event) -> Iterator[tuple[str, str]]:
    told = {
        "MESSAGE_ID": event.kind.message_id,
        "HOTFOLDER_STATE": event.kind.state,
        "HOTFOLDER_ERRCLASS": event.kind.error_class,
    }
    yield from ((name, value) for name, value in told.items() if value)
    for key, value in fields(event):
        yield f"HOTFOLDER_{_NAMES.get(key, key.upper())}", value


def _send(address: Path, told: Mapping[str, str]) -> None:
    """Send through libsystemd where it is there and means the same journal, else ourselves."""
    if address == SOCKET:
        with contextlib.suppress(ImportError):
            from systemd import journal  # noqa: PLC0415 - optional, and only the journal needs it

            journal.sendv(*(f"{name}={_shortened(value)}" for name, value in told.items()))
            return
    _send_datagram(address, told)


def _send_datagram(address: Path, told: Mapping[str, str]) -> None:
    # No value holds a line end, so that every field is a line: systemd.io, native protocol.
    lines = (f"{name}={_shortened(value)}\n" for name, value in told.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto("".join(lines).encode(), str(address))


def _shortened(value: str) -> str:
    """As much of a value as a field may hold, in whole characters."""
    return value.encode(errors="replace")[:_MOST_BYTES].decode(errors="ignore")
