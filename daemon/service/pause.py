"""Which hot folders are paused: outside their hours, or because somebody has paused them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from config.settings import FolderSettings
from daemon.clock import local_time
from daemon.control.documents import CommandResult, Request, ResultCode
from daemon.events.events import Event, FolderGoesOn, FolderRests
from daemon.folder import messages
from daemon.folder.pause_flag import earlier_flag, is_paused, set_paused
from daemon.folder.view import FolderView
from daemon.fs.access import as_a_daemon_would
from daemon.fs.safe_tree import SafeTree

# The model is loaded so long before a window opens.
_LEAD_SECONDS = 600.0
_DRAINING = "the daemon ends when what it has begun is finished"
_PAUSED = "by hand, until hotfolder resume"


class PauseFlags:
    """Which hot folders are paused by hand, for commands, as the hot folders themselves say it."""

    def __init__(self, state: Path) -> None:
        """`state`: where an earlier version has left its flags, beside its history."""
        self._state = state

    def has(self, root: Path) -> bool:
        """Whether a hot folder is paused; raises OSError."""
        return is_paused(SafeTree(root)) or earlier_flag(self._state, root).exists()

    def set(self, root: Path, *, paused: bool) -> bool:
        """Pause a hot folder or let it go on; False where it is so already. Raises OSError."""
        earlier = earlier_flag(self._state, root)
        if was_left := not paused and earlier.exists():
            earlier.unlink(missing_ok=True)
        with as_a_daemon_would(root):
            is_news = set_paused(SafeTree(root), paused=paused)
        return is_news or was_left


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

    def __init__(self, folders: Mapping[str, FolderView], *, never: bool) -> None:
        """`never`: of a run that somebody waits for, which works at any hour."""
        self._folders, self._never = folders, never
        self.is_draining = False
        self._by_hand: frozenset[str] = frozenset()  # roots
        self._unix_time = 0.0  # of the last look
        self._reasons: Mapping[str, str] = {}
        self.needs_editor = True  # whether any of them is worked now, or in a moment

    def look(self, folders: Mapping[str, FolderSettings], unix_time: float) -> list[Event]:
        """Look at the clock; returns what to tell."""
        before, self._unix_time = self._reasons, unix_time
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

    def changed(self, root: str, *, is_paused: bool) -> None:
        """Take note that a hot folder is paused by hand, or no more."""
        self._by_hand = self._by_hand | {root} if is_paused else self._by_hand - {root}

    def take(self, request: Request) -> bool:
        """Take the request of somebody; False where it is none of these."""
        match request.verb:
            case "drain":
                self.is_draining = True
                request.reply(self._drained(request.root))
            case "pause" | "resume":
                self._set(request, self._folders[str(request.root)])
            case _:
                return False
        return True

    def _drained(self, root: Path) -> CommandResult:
        others = ", ".join(it for it in self._folders if it != str(root))
        text = (
            f"{root}: the daemon, process {os.getpid()}, ends when what it has begun is finished"
        )
        text = f"{text}, in {others}, too." if others else f"{text}."
        folder = self._folders[str(root)]
        if folder.is_standby:
            text = f"{text} It was on standby: {folder.stands.reason}."
        return CommandResult(ResultCode.BEGUN, text, tuple(self._folders))

    def _set(self, request: Request, folder: FolderView) -> None:
        """Have the flag set, which lies in the hot folder: by its worker."""
        if folder.is_standby:
            request.reply(messages.standing_by(folder.stands.reason))
            return
        if folder.is_away and folder.is_known:
            reason = folder.stands.reason if folder.is_offline else "its share lets us wait"
            request.reply(messages.unchanged(reason))
            return
        paused = request.verb == "pause"
        after = self._after(folder.folder_worker.folder, paused=paused)
        folder.folder_worker.submit(messages.SetPause(paused, after, request.reply))

    def _after(self, folder: FolderSettings, *, paused: bool) -> str:
        """What follows when a hot folder is paused by hand, or no more."""
        if paused and self._never:
            return f", but process {os.getpid()}, a run with --once, works on to its end."
        if paused:
            return ": what was begun is finished, nothing else is."
        reason = self._reason_beside(folder, local_time(self._unix_time))
        return f", but no job is begun yet: {reason}." if reason else "."

    def _reason(self, folder: FolderSettings, now: datetime) -> str:
        if str(folder.root) in self._by_hand and not self.is_draining and not self._never:
            return _PAUSED
        return self._reason_beside(folder, now)

    def _reason_beside(self, folder: FolderSettings, now: datetime) -> str:
        """Why a hot folder rests that nobody has paused."""
        if self.is_draining:
            return _DRAINING
        return "" if self._never else _outside_hours(folder, now)
