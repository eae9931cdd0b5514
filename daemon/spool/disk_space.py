"""Whether there is room for another job, on the share and on local scratch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from shutil import disk_usage

from config.comparison import told_apart
from daemon.clock import Clock
from daemon.fs.errors import Trouble
from daemon.job import FolderState

_WAIT_SECONDS = (30.0, 120.0, 600.0)  # between looks at a disk that was too full for a job
_ENOUGH = Trouble(FolderState.ONLINE, "")


def room(paths: Iterable[Path], min_free_gib: float) -> Trouble:
    """How a hot folder stands by the room in folders that exist; raises OSError."""
    for path in paths:
        free_gib = disk_usage(path).free / 2**30
        if free_gib < min_free_gib:
            free = told_apart(free_gib, min_free_gib, 1)
            reason = f"{path} has {free} GiB free, less than {min_free_gib:g} GiB"
            return Trouble(FolderState.LOW_SPACE, reason)
    return _ENOUGH


class DiskSpace:
    """The room of one hot folder; a disk or a quota that said it was full is believed a while."""

    def __init__(self, root: Path, scratch: Path, clock: Clock) -> None:
        self._root, self._scratch, self._clock = root, scratch, clock
        self._full = _ENOUGH
        self._full_until = 0.0  # monotonic seconds
        self._refusals = 0  # in a row

    def look(self, min_free_gib: float) -> Trouble:
        """How the hot folder stands by its room: online, or low on space."""
        if self._clock.monotonic() < self._full_until:
            return self._full
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)  # caches get emptied
        return room((self._root, self._scratch), min_free_gib)

    def refused(self, trouble: Trouble) -> None:
        """A claim met a trouble: where that was no room, none is tried for a while.

        What a disk says of itself is no help then: it knows nothing of quotas and reserves.
        """
        if trouble.state is FolderState.LOW_SPACE:
            wait_seconds = _WAIT_SECONDS[min(self._refusals, len(_WAIT_SECONDS) - 1)]
            self._refusals += 1
            self._full, self._full_until = trouble, self._clock.monotonic() + wait_seconds

    def sufficed(self) -> None:
        """A claim was made."""
        self._refusals, self._full_until = 0, 0.0
