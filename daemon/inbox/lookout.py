"""Sees to it that an inbox has a sound watcher, where its file system reports changes at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from config.settings import Watch
from daemon.inbox.watch import Watcher

_AGAIN_SECONDS = 30.0  # a watcher that lost sight is made anew no more often than that
_Place = tuple[int, int]  # device and inode of the inbox

DIED = "its watcher has ended"


class Lookout:
    """The watcher of one inbox: kept while it sees, made anew where it does not.

    Everything that it does belongs to the thread that touches the share. `wake` and `lost` are
    called from the watcher's thread, `lost` from ours too; each reason is given once, until the
    inbox is another one.
    """

    def __init__(self, inbox: Path, wake: Callable[[], None], lost: Callable[[str], None]) -> None:
        self._inbox, self._wake, self._lost = inbox, wake, lost
        self._watcher: Watcher | None = None
        self._place: _Place | None = None
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
        self._watcher = Watcher(self._inbox, self._wake, self._lose)
        self._watcher.start()

    def _lose(self, reason: str) -> None:
        is_new, self._told = reason not in self._told, self._told | {reason}
        if is_new:
            self._lost(reason)
