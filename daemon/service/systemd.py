"""What systemd is told of the daemon's state; without systemd, nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from daemon.events.text import plain

_SEND_SECONDS = 1.0


class SystemdNotifier:
    """Speaks the protocol of sd_notify(3); never raises and never blocks for long."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _watchdog_seconds(environment)  # None: nobody waits for a sign

    def ready(self, status: str) -> None:
        """The daemon works, or works again after a reload."""
        self._send(f"READY=1\nSTATUS={plain(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={plain(status)}")

    def stopping(self, status: str) -> None:
        """The daemon is about to end."""
        self._send(f"STOPPING=1\nSTATUS={plain(status)}")

    def reloading(self, monotonic_seconds: float) -> None:
        """Settings are read again, since this moment of CLOCK_MONOTONIC; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic_seconds * 1e6)}")

    def alive(self) -> None:
        """A sign of life, for the watchdog."""
        self._send("WATCHDOG=1")

    def more_time(self, seconds: float) -> None:
        """The start, or the stop, under way goes on for so long from now, or longer."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def failed(self, number: int, status: str) -> None:
        """The daemon ends because of an error, with its number of errno(3)."""
        self._send(f"STATUS={plain(status)}\nERRNO={number}")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError):  # systemd is gone or deaf: no reason to fail
            _tell(self._address, state)


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    # Inherited variables may mean another process: sd_watchdog_enabled(3).
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    written = environment.get("WATCHDOG_USEC", "")
    return int(written) / 1e6 if written.isdecimal() and int(written) > 0 else None


def _tell(address: str, state: str) -> None:
    """Send through libsystemd where it is there and means the same address, else ourselves."""
    try:
        from systemd import daemon  # noqa: PLC0415 - optional, and only systemd needs it
    except ImportError:
        _send_datagram(address, state)
        return
    if os.environ.get("NOTIFY_SOCKET") == address:
        daemon.notify(state)
    else:
        _send_datagram(address, state)


def _send_datagram(address: str, state: str) -> None:
    # A leading @ stands for the null byte of an abstract address.
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(_SEND_SECONDS)
        sender.connect(target)
        sender.sendall(state.encode(errors="replace"))
