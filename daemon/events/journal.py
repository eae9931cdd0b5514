"""What the journal is told: an event as a message with fields, and an id that explains it."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from daemon.events.events import Event, fields, level, sentence
from daemon.events.job_events import StepDone

SOCKET = Path("/run/systemd/journal/socket")
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
# By the keys of events.fields. The journal drops names in lower case.
_NAMES = {"job": "JOB", "root": "INBOX", "file": "FILE", "seconds": "SECONDS", "action": "EVENT"}
_MOST_BYTES = 4096  # of a field: an editor's last words may be long, and a datagram holds no more


class JournalLog:
    """Sends each event to the journal, with its fields."""

    def __init__(self, address: Path = SOCKET, *, verbose: bool) -> None:
        self._address = address
        self._least = logging.DEBUG if verbose else logging.INFO

    def tell(self, event: Event) -> None:
        """Send one record; a journal that does not listen hinders nothing."""
        # Steps stand in the line of `systemctl status`; here they would bury all else.
        least = logging.DEBUG if isinstance(event, StepDone) else level(event)
        if least >= self._least:
            with contextlib.suppress(OSError):
                _send(self._address, record(event))

    def close(self) -> None:
        """Nothing is to be left: each record is whole, and why a daemon ended comes last."""


def record(event: Event) -> Mapping[str, str]:
    """The fields of the journal that tell an event."""
    return {
        "MESSAGE": sentence(event),
        "PRIORITY": str(_PRIORITIES[level(event)]),
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
