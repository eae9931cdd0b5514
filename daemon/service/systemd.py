"""What systemd is told of the daemon's state; without systemd, nothing.

The sign of life is given only where scans and editor really move.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Mapping

from daemon.events.events import Event, Withheld
from daemon.events.text import plain
from daemon.folder.view import FolderView
from daemon.fs.blocking import StallDetector
from daemon.workers.backend import EditBackend

_SEND_SECONDS = 1.0
# A folder worker that waits for one of our own threads, and not for its share, never moves again.
STUCK_SECONDS = 30.0
# An editor that hangs is killed; one that even then does not end is stuck in its driver.
UNKILLABLE_SECONDS = 30.0
# A process begun anew may do better. It is not tried often: systemd gives up a service that it
# has restarted eight times in half an hour.
FAILING_SECONDS = 600.0
# Asked for again and again while a model comes from a slow disk.
_MORE_SECONDS = 120.0
_SIGNS = 4.0  # in the time after which systemd takes us for hung


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


def hindrance(
    stuck: Iterable[tuple[str, float]], overdue_seconds: float, failing_seconds: float
) -> str:
    """Why no sign of life may be given; "" where all move.

    `stuck`: for how many seconds the scan of each hot folder has stood still through no fault of
    its share. A share that does not answer is none: its hot folder is offline, the others go on.
    `failing_seconds`: for how long all of them have met faults of ours, again and again.
    """
    for root, seconds in stuck:
        if seconds >= STUCK_SECONDS:
            return f"the scan of {root} stands still"
    if overdue_seconds >= UNKILLABLE_SECONDS:
        return "the editor hangs, and did not end when it was killed"
    if failing_seconds >= FAILING_SECONDS:
        return "the scans of all hot folders fail again and again"
    return ""


class Watchdog:
    """Feels the parts of the daemon each time that it is asked, and tells systemd what it felt."""

    def __init__(self, notifier: SystemdNotifier, editor: EditBackend) -> None:
        self._notifier, self._editor = notifier, editor
        self._stall_detector = StallDetector()
        self._due = self._more_due = 0.0  # monotonic seconds
        self._hindrance = ""

    def keep(self, folders: Iterable[FolderView], now: float) -> Event | None:
        """Give what sign may be given; returns what to tell where none may be given any more."""
        self._ask_for_time(now)
        seconds = self._notifier.watchdog_seconds
        if seconds is None or now < self._due:
            return None
        folders = tuple(folders)
        stuck = ((str(folder.root), folder.stuck_seconds) for folder in folders)
        failing_seconds = min((folder.failing_seconds(now) for folder in folders), default=0.0)
        overdue_seconds = self._editor.overdue_seconds(now)
        before = self._hindrance
        self._hindrance = hindrance(stuck, overdue_seconds, failing_seconds)
        if not self._hindrance:
            self._notifier.alive()
            self._due = now + seconds / _SIGNS
        elif not before:
            what = "No sign of life is given to systemd, which restarts Hotfolder"
            return Withheld(text=f"{what}: {self._hindrance}.")
        return None

    def _ask_for_time(self, now: float) -> None:
        """While the model really loads, the start may take longer."""
        effort = self._editor.loading_effort()
        if effort is None:
            return
        still_seconds = self._stall_detector.observe(effort, now, is_at_work=True)
        if still_seconds == 0.0 and now >= self._more_due:
            self._notifier.more_time(_MORE_SECONDS)
            self._more_due = now + _MORE_SECONDS / _SIGNS
