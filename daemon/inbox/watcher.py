"""A wake-up when something moves in an inbox: a hint that saves waiting, never a fact.

It stands on watchdog's reader of inotify, not on its Observer. That one compares every move with
every other (ten thousand files moved in cost 14 s of CPU, here 0.1 s), keeps silent about
subfolders that it could not watch, and in a large tree never recovers from a queue that overflowed
(watchdog 7.1.0).
"""

from __future__ import annotations

import errno
import logging
import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from config.settings import Watch

_AGAIN_SECONDS = 30.0  # a watcher that lost sight is made anew no more often than that
_Identity = tuple[int, int]  # device and inode

# Without a handler its warnings would go to stderr in a form of their own; `lost` tells them.
logging.getLogger("watchdog").addHandler(logging.NullHandler())

DIED = "its watcher has ended"
# No open, read, attribute or write events: a file being copied would flood the queue.
_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)
_STOP_SECONDS = 1.0
_LIMITS = {
    errno.ENOSPC: "the limit of watched folders is reached (sysctl fs.inotify.max_user_watches)",
    errno.EMFILE: "the limit of watchers is reached (sysctl fs.inotify.max_user_instances)",
}


class Watcher:
    """The watcher of one inbox: kept while it sees, made anew where it does not.

    Everything that it does belongs to the thread that touches the share. `wake` and `lost` are
    called from the watcher's thread, `lost` from ours too; each reason is given once, until the
    inbox is another one.
    """

    def __init__(self, inbox: Path, wake: Callable[[], None], lost: Callable[[str], None]) -> None:
        self._inbox, self._wake, self._lost = inbox, wake, lost
        self._watcher: InotifyWatch | None = None
        self._place: _Identity | None = None
        self._told: frozenset[str] = frozenset()
        self._again_at = -math.inf

    def keep(self, watch: Watch, now: float) -> None:
        """Watch as `watch` says from before the next scan on, at `now` in monotonic seconds.

        Raises OSError where the inbox cannot be reached.
        """
        status = self._inbox.stat()
        place = (status.st_dev, status.st_ino)
        if watch is not Watch.EVENTS or place != self._place:
            self.stop()
        if place != self._place:
            self._told = frozenset()
        self._place = place
        if watch is Watch.EVENTS and now >= self._again_at and not self._sees():
            self._begin(now)

    def stop(self) -> None:
        """Watch no longer, and anew at the next `keep`; touches no share."""
        self._end()
        self._again_at = -math.inf

    def _end(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    def _sees(self) -> bool:
        if self._watcher is None:
            return False
        if self._watcher.is_dead:
            self._lose(DIED)
        return self._watcher.is_sound

    def _begin(self, now: float) -> None:
        self._end()
        self._again_at = now + _AGAIN_SECONDS
        self._watcher = InotifyWatch(self._inbox, self._wake, self._lose)
        self._watcher.start()

    def _lose(self, reason: str) -> None:
        is_new, self._told = reason not in self._told, self._told | {reason}
        if is_new:
            self._lost(reason)


class InotifyWatch:
    """Watches an inbox with its subfolders, on a local disk.

    `wake` and `lost` are called from a thread: `wake` often, `lost` at most once, with a plain
    reason, when from now on some changes may pass unseen. Neither may raise.
    """

    def __init__(self, inbox: Path, wake: Callable[[], None], lost: Callable[[str], None]) -> None:
        self._wake = wake
        self._lost = lost
        self._lock = threading.Lock()
        self._told = False
        self._silent = False
        self._reader: InotifyFD | None = None
        self._top = os.fsencode(inbox)
        self._top_watch: WatchDescriptor | None = None
        self._watches: dict[_Identity, WatchDescriptor] = {}
        self._folders: dict[WatchDescriptor, tuple[_Identity, bytes]] = {}

    @property
    def is_dead(self) -> bool:
        """Whether its thread has ended though nobody stopped it: no change is seen any more."""
        return self._reader is not None and not self._silent and not self._reader.is_alive()

    @property
    def is_sound(self) -> bool:
        """Whether every change is seen, as far as anybody knows."""
        return not self._told and not self.is_dead

    def start(self) -> None:
        """Watch from now on; raises nothing: what hinders it goes to `lost`."""
        try:
            self._reader = InotifyFD()
        except OSError as error:
            self._lose(_reason(error))
            return
        self._reader.start()
        if not self._cover(self._top):
            self._lose("it is not a folder that can be read")

    def stop(self) -> None:
        """Stop within a second; no call of `wake` or `lost` begins afterwards."""
        self._silent = True
        if self._reader is not None:
            self._reader.stop()
            if self._reader is not threading.current_thread():
                self._reader.join(_STOP_SECONDS)

    def on_event(self, event: InotifyEvent) -> None:
        """Take an event from the reader."""
        if event.is_move_self and event.wd == self._top_watch:
            self._lose("it was moved away")
        elif event.is_directory and (event.is_create or event.is_moved_to):
            self._cover(self._path_of(event))
        self._hint()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Forget a folder that is gone."""
        if wd == self._top_watch:
            self._lose("it was removed or unmounted")
        with self._lock:
            identity, _ = self._folders.pop(wd, (None, b""))
            if identity is not None and self._watches.get(identity) == wd:
                del self._watches[identity]

    def on_queue_overflow(self) -> None:
        """Take the reader's word that events were dropped."""
        self._lose("too much happened at once (sysctl fs.inotify.max_queued_events)")
        self._hint()

    def _cover(self, top: bytes) -> bool:
        """Watch a folder and all below it, and learn their paths, which change with a move.

        False: the folder itself could not be watched.
        """
        covered = self._add(top)
        waiting = [top] if covered else []
        while waiting:
            waiting.extend(filter(self._add, _subfolders(waiting.pop())))
        return covered

    def _add(self, folder: bytes) -> bool:
        try:
            with self._lock:
                return self._add_locked(folder)
        except (FileNotFoundError, NotADirectoryError):
            return False  # gone meanwhile; its parent has an event for that
        except OSError as error:
            self._lose(_reason(error))
            return False

    def _add_locked(self, folder: bytes) -> bool:
        assert self._reader is not None
        status = os.stat(folder)  # noqa: PTH116 - bytes, as the kernel gave them
        identity = (status.st_dev, status.st_ino)
        watch = self._watches.get(identity)
        if watch is None:
            if not os.access(folder, os.R_OK):
                return False  # the scan tells what it cannot read
            watch = self._reader.add_callback(folder, _MASK, self, CallbackId(id(self)))
        self._watches[identity] = watch
        self._folders[watch] = (identity, folder)
        if folder == self._top:
            self._top_watch = watch
        return True

    def _path_of(self, event: InotifyEvent) -> bytes:
        with self._lock:
            _, folder = self._folders.get(event.wd, (None, self._top))
        return os.path.join(folder, event.name)  # noqa: PTH118 - bytes, as the kernel gave them

    def _hint(self) -> None:
        if not self._silent:
            self._wake()

    def _lose(self, reason: str) -> None:
        with self._lock:
            first, self._told = not self._told, True
        if first and not self._silent:
            self._lost(reason)


def _subfolders(folder: bytes) -> Iterator[bytes]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(b"."):
                    yield entry.path
    except OSError:
        return  # a hint less; the scan tells what it cannot read


def _reason(error: OSError) -> str:
    return _LIMITS.get(error.errno or 0, f"it cannot be watched: {error.strerror}")
