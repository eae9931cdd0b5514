"""Which hot folders are paused: outside their hours, or because somebody has paused them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from config.settings import FolderSettings
from daemon.clock import local_time
from daemon.control.documents import CommandResult, Request, ResultCode
from daemon.control.protocol import name_of
from daemon.events.events import Event, FolderGoesOn, FolderRests

# The model is loaded so long before a window opens.
_LEAD_SECONDS = 600.0
_DRAINING = "the daemon ends when what it has begun is finished"
_PAUSED = "paused by hand: hotfolder resume"


class PauseFlags:
    """Which hot folders are paused by hand, in files of the state folder: it outlives restarts."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def has(self, root: Path) -> bool:
        """Whether a hot folder is paused."""
        return self._file(root).exists()

    def take(self, verb: str, root: Path) -> CommandResult | None:
        """Pause a hot folder or let it go on; None for another verb. Raises OSError."""
        match verb:
            case "pause":
                self._file(root).touch(mode=0o640)
                text = f"{root} is paused: what was begun is finished, nothing else is."
            case "resume":
                self._file(root).unlink(missing_ok=True)
                text = f"{root} is paused no more."
            case _:
                return None
        return CommandResult(ResultCode.DONE, text)

    def _file(self, root: Path) -> Path:
        return self._state / f"{name_of(root)}.paused"


def why_paused(folder: FolderSettings, pause_flags: PauseFlags, now: datetime) -> str:
    """Why jobs of a hot folder are not begun, be a daemon there or not; "" where it is not paused.

    By its flag and its hours; what a daemon is at, or is hindered by, it says itself.
    """
    with contextlib.suppress(OSError):
        if pause_flags.has(folder.root):
            return _PAUSED
    return _outside_hours(folder, now)


def _outside_hours(folder: FolderSettings, now: datetime) -> str:
    if folder.active is None or folder.active.is_open(now):
        return ""
    return f"outside its hours, until {folder.active.opens_at(now):%a %H:%M}"


class PauseControl:
    """Knows which of a daemon's hot folders rest now."""

    def __init__(self, pause_flags: PauseFlags, *, never: bool) -> None:
        """`never`: of a run that somebody waits for, which works at any hour."""
        self._pause_flags, self._never = pause_flags, never
        self.is_draining = False
        self._reasons: Mapping[str, str] = {}
        self.needs_editor = True  # whether any of them is worked now, or in a moment

    def look(self, folders: Mapping[str, FolderSettings], unix_time: float) -> list[Event]:
        """Look at clock and files; returns what to tell."""
        before = self._reasons
        now, soon = local_time(unix_time), local_time(unix_time + _LEAD_SECONDS)
        all_reasons = {root: self._reason(one, now) for root, one in folders.items()}
        self._reasons = {root: reason for root, reason in all_reasons.items() if reason}
        self.needs_editor = any(
            not self._reason(one, soon) or root not in self._reasons
            for root, one in folders.items()
        )
        rested = [
            FolderRests(root=Path(root), reason=reason)
            for root, reason in self._reasons.items()
            if root not in before
        ]
        return [
            *rested,
            *(FolderGoesOn(root=Path(it)) for it in before if it not in self._reasons),
        ]

    def reason(self, root: str) -> str:
        """Why a hot folder rests; "" where it does not."""
        return self._reasons.get(root, "")

    def take(self, request: Request) -> bool:
        """Take the request of somebody; False where it is none of these."""
        if request.verb == "drain":
            self.is_draining = True
            request.reply(CommandResult(ResultCode.BEGUN, f"{request.root}: {_DRAINING}."))
            return True
        try:
            came = self._pause_flags.take(request.verb, request.root)
        except OSError as error:
            request.reply({"error": f"it cannot be kept: {error.strerror}"})
            return True
        if came is not None:
            request.reply(came)
        return came is not None

    def _reason(self, folder: FolderSettings, now: datetime) -> str:
        if self.is_draining:
            return _DRAINING
        if self._never:
            return ""
        return why_paused(folder, self._pause_flags, now)
