"""What systemd is told of the daemon's state; without systemd, nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from daemon.log.wording import plain

_SEND_SECONDS = 1.0


class Notifier:
    """Speaks the protocol of sd_notify(3); never raises and never blocks for long."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")

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

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError):  # systemd is gone or deaf: no reason to fail
            _tell(self._address, state)


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
