"""Deletes what we filed so long ago that the settings let it go; what is not ours stays."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from config.settings import FolderSettings
from daemon.clock import Clock
from daemon.ground import Ground
from daemon.inbox.names import printable
from daemon.ledger import Corner, Filed, Ledger, Page
from daemon.log.sweeping import FolderNotSwept, FolderSwept
from daemon.trouble import Scope, scope_of

_FIRST_SECONDS, _EVERY_SECONDS, _PATIENCE_SECONDS = 600.0, 6 * 3600.0, 24 * 3600.0
MOST_FILES = 500  # at a time: the keeper has other things to do
# LOG-2026-11-22.txt and 20261122-140153-5eb655cb.log, and the further ones of such a name.
_DAY_LOG = re.compile(r"LOG-([0-9]{4})-([0-9]{2})-([0-9]{2})(?:_[0-9]+)?\.txt")
_JOB_LOG = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})-[0-9]{6}-[0-9a-f]{8}\.log(?:_[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Swept:
    """Files of one kind that were deleted, or would be."""

    what: str  # "done/2026-10-01", "logs"
    files: int
    keep_days: float


def due_pages(pages: Iterable[Page], folder: FolderSettings, today: date) -> Iterator[Page]:
    """The days that the settings let go."""
    keep = {Corner.DONE: folder.keep_done_days, Corner.FAILED: folder.keep_failed_days}
    for page in pages:
        days = keep[page.corner]
        if days is not None and (today - page.day).days > days:
            yield page


def due_logs(names: Iterable[str], folder: FolderSettings, today: date) -> Iterator[str]:
    """The logs that the settings let go, by the days in their names."""
    if folder.keep_logs_days is None:
        return
    for name in names:
        day = _day_of(name)
        if day is not None and (today - day).days > folder.keep_logs_days:
            yield name


class Retention:
    """Sweeps one hot folder."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._ledger = ground, Ledger(ground)

    def look(self, folder: FolderSettings, today: date) -> Iterator[Swept]:
        """Say what a sweep would delete, and touch nothing."""
        for page in due_pages(self._ledger.pages(), folder, today):
            yield _swept(page, len(list(self._ledger.read(page))), folder)
        if names := self._logs(folder, today):
            yield Swept("logs", len(names), folder.keep_logs_days or 0)

    def sweep(self, folder: FolderSettings, today: date) -> Iterator[Swept]:
        """Delete a portion of what may go, and say what; raises OSError."""
        left = MOST_FILES
        for page in due_pages(self._ledger.pages(), folder, today):
            files = list(self._ledger.read(page))
            self._delete(page, files[:left])
            if files:
                yield _swept(page, len(files[:left]), folder)
            if len(files) > left:
                return
            left -= len(files)
            self._ledger.drop(page)
        if names := self._logs(folder, today)[:left]:
            for name in names:
                self._ground.remove(self._ground.root / "logs" / name)
            yield Swept("logs", len(names), folder.keep_logs_days or 0)

    def _delete(self, page: Page, files: list[Filed]) -> None:
        top = self._ground.root / page.corner / str(page.day)
        folders = set()
        for file in files:
            path = self._ground.root / file.path
            self._ground.remove(path)
            folders |= {it for it in path.parents if it.is_relative_to(top)}
        # The deepest first; those that hold anything else stay.
        for path in sorted(folders, key=lambda it: len(it.parts), reverse=True):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._ground.remove_empty(path)

    def _logs(self, folder: FolderSettings, today: date) -> list[str]:
        if folder.keep_logs_days is None:
            return []
        entries = self._ground.entries(self._ground.root / "logs")
        names = (name for name, status in entries if stat.S_ISREG(status.st_mode))
        return list(due_logs(names, folder, today))


def _swept(page: Page, files: int, folder: FolderSettings) -> Swept:
    keep = folder.keep_done_days if page.corner is Corner.DONE else folder.keep_failed_days
    return Swept(printable(f"{page.corner}/{page.day}"), files, keep or 0)


def _day_of(name: str) -> date | None:
    found = _DAY_LOG.fullmatch(name) or _JOB_LOG.fullmatch(name)
    if found:
        with contextlib.suppress(ValueError):
            return date(*map(int, found.groups()))
    return None


class Sweeper:
    """Sweeps when the time has come, and nothing else waits; for weeks on end if need be."""

    def __init__(self, ground: Ground, clock: Clock) -> None:
        self._retention, self._clock = Retention(ground), clock
        self._due_at = clock.monotonic() + _FIRST_SECONDS

    def sweep(
        self, folder: FolderSettings, day: str, *, is_quiet: bool
    ) -> Iterator[FolderSwept | FolderNotSwept]:
        """Delete a portion of what may go where that is due; tells what; raises OSError.

        Where it is never quiet, it is done all the same after a day.
        """
        now, files = self._clock.monotonic(), 0
        if now < self._due_at or not (is_quiet or now > self._due_at + _PATIENCE_SECONDS):
            return
        try:
            for swept in self._retention.sweep(folder, date.fromisoformat(day)):
                files += swept.files
                yield FolderSwept(
                    root=folder.root, what=swept.what, files=swept.files, days=swept.keep_days
                )
        except OSError as error:
            if scope_of(error, folder.root) is Scope.FOLDER:
                raise
            yield FolderNotSwept(root=folder.root, reason=f"{error.filename}: {error.strerror}")
            files = 0
        if files < MOST_FILES:
            self._due_at = now + _EVERY_SECONDS
