"""What we have filed, and how long it is kept: nothing else is ever deleted."""

from __future__ import annotations

import contextlib
import errno
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from config import codec
from config.settings import FolderSettings
from daemon.clock import Clock
from daemon.events.events import FolderNotSwept, FolderSwept
from daemon.fs.errors import Scope, is_of_a_log, scope_of
from daemon.fs.names import is_path_below, printable
from daemon.fs.safe_tree import SafeTree
from daemon.spool.believed_days import (
    FIRST_DAY,
    DayRecord,
    SeenDays,
    first_seen,
    is_believed_of,
    is_disputed,
    later_of,
    why_not_believed,
)

# No room, or something else in its place: what is not noted is kept.
_FORGIVEN = frozenset((errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR))
_NUMBER_OF_DAY = re.compile(r"_[0-9]+$")  # of DAY_2, where DAY took nothing
_IN_DOUBT = "the clock was wrong"
_NAME = re.compile(r"(done|failed)-([0-9]{4}-[0-9]{2}-[0-9]{2})\.jsonl")
_DAY_SECONDS = 24 * 3600.0
_TOLERATED_DAYS = 1.5  # between the date and our own measure: a date has no hours
_FIRST_SECONDS, _EVERY_SECONDS, _PATIENCE_SECONDS = 600.0, 6 * 3600.0, _DAY_SECONDS
MOST_FILES = 500  # at a time: the folder worker has other things to do
# LOG-2026-11-22.txt and 2026-11-22/20261122-140153-5eb655cb.log, and further ones of such a name.
_DAY_LOG = re.compile(r"LOG-([0-9]{4})-([0-9]{2})-([0-9]{2})(?:_[0-9]+)?\.txt")
_LOG_FOLDER = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_JOB_LOG = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})-[0-9]{6}-[0-9a-f]{8}\.log(?:_[0-9]+)?")


class Area(StrEnum):
    """Where originals are filed."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, order=True)
class ManifestDay:
    """The list of one day."""

    area: Area
    day: date


@dataclass(frozen=True, slots=True)
class FiledEntry:
    """One file as it was when we filed it; one that was changed since is somebody's."""

    path: str  # relative to the root: "done/2026-11-22/portraits/hero.png"
    size: int
    mtime_ns: int


class FiledManifest:
    """The lists of one hot folder, on its share, for whichever daemon leads it."""

    def __init__(self, tree: SafeTree) -> None:
        self._tree, self._folder = tree, tree.root / ".hotfolder" / "filed"
        self.day_record = DayRecord(tree, self._folder)

    def note(self, paths: Iterable[Path]) -> None:
        """Note files that were filed just now below done/DAY/ or failed/DAY/.

        Those of a day that cannot be today are noted as such, and kept.
        """
        manifest_days: dict[str, list[str]] = {}
        seen = self._seen()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                status = self._tree.status(path)
                name = str(path.relative_to(self._tree.root))
                area, folder, *_ = name.split("/")
                day = _NUMBER_OF_DAY.sub("", folder)
                entry = astuple(FiledEntry(name, status.st_size, status.st_mtime_ns))
                of_day = _manifest_day_of(f"{area}-{day}.jsonl")
                is_doubtful = of_day is not None and not is_believed_of(of_day.day, seen)
                line = codec.dump((*entry, _IN_DOUBT) if is_doubtful else entry)
                manifest_days.setdefault(f"{area}-{day}.jsonl", []).append(f"{line}\n")
        try:
            self._tree.make_folder(self._folder)
            for manifest_day, lines in manifest_days.items():
                if (
                    _manifest_day_of(manifest_day) is not None
                ):  # else beside its day: something was in the way
                    self._tree.append(self._folder / manifest_day, "".join(lines).encode())
        except OSError as error:
            if error.errno not in _FORGIVEN and not is_of_a_log(error, self._tree.root):
                raise

    def _seen(self) -> SeenDays | None:
        with contextlib.suppress(OSError):  # whoever files is not kept from it
            return self.day_record.read()
        return None

    def days(self) -> list[ManifestDay]:
        """The days that have a list, the oldest first."""
        try:
            names = [name for name, _ in self._tree.entries(self._folder)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(
            manifest_day
            for manifest_day in map(_manifest_day_of, names)
            if manifest_day is not None
        )

    def kept_since(self, manifest_day: ManifestDay) -> date | None:
        """The day that a list is of, or a later one on which it was written; None: none at all."""
        try:
            written_at = self._tree.status(self._file(manifest_day)).st_mtime
        except FileNotFoundError:
            return None
        return later_of(manifest_day.day, written_at)

    def read(self, manifest_day: ManifestDay, *, in_doubt: bool = False) -> Iterator[FiledEntry]:
        """What was filed on a day and is still there as it was.

        `in_doubt`: only what was filed while the clock was wrong, instead of all else.
        """
        try:
            lines = self._tree.read(self._file(manifest_day)).splitlines()
        except FileNotFoundError:
            return
        for line in dict.fromkeys(lines):
            filed = _parse(line, in_doubt=in_doubt)
            if filed is not None and _is_of(filed, manifest_day) and self._is_there(filed):
                yield filed

    def drop(self, manifest_day: ManifestDay) -> None:
        """Forget a day."""
        self._tree.remove(self._file(manifest_day))

    def _file(self, manifest_day: ManifestDay) -> Path:
        return self._folder / f"{manifest_day.area}-{manifest_day.day}.jsonl"

    def _is_there(self, filed: FiledEntry) -> bool:
        try:
            status = self._tree.status(self._tree.root / filed.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        is_same = (status.st_size, status.st_mtime_ns) == (filed.size, filed.mtime_ns)
        return is_same and stat.S_ISREG(status.st_mode)


def _manifest_day_of(name: str) -> ManifestDay | None:
    if found := _NAME.fullmatch(name):
        with contextlib.suppress(ValueError):
            return ManifestDay(Area(found[1]), date.fromisoformat(found[2]))
    return None


def _parse(line: bytes, *, in_doubt: bool) -> FiledEntry | None:
    """A line of ours; None for one that was cut off, or that somebody else wrote."""
    try:
        if in_doubt:
            return FiledEntry(*codec.load(tuple[str, int, int, str], line)[:3])
        return FiledEntry(*codec.load(tuple[str, int, int], line))
    except ValueError:
        return None


def _is_of(filed: FiledEntry, manifest_day: ManifestDay) -> bool:
    return is_path_below(filed.path) and _is_below_day(Path(filed.path), manifest_day)


def _is_below_day(path: Path, manifest_day: ManifestDay) -> bool:
    """Whether a path relative to the root is one in a folder of the day, DAY or DAY_2."""
    area, folder, *below = (*path.parts, "", "")
    is_day = _NUMBER_OF_DAY.sub("", folder) == str(manifest_day.day)
    return area == manifest_day.area and is_day and bool(below[0])


@dataclass(frozen=True, slots=True)
class Swept:
    """Files of one kind that were deleted, or would be."""

    what: str  # "done/2026-10-01", "logs"
    files: int
    keep_days: float


def due_days(
    manifest_days: Iterable[tuple[ManifestDay, date | None]], folder: FolderSettings, today: date
) -> Iterator[ManifestDay]:
    """The days that the settings let go, each with the day since when it is kept."""
    for manifest_day, since in manifest_days:
        days = _keep_days(manifest_day, folder)
        if days is not None and since is not None and (today - since).days > days:
            yield manifest_day


def due_logs(
    logs: Iterable[tuple[str, float]], folder: FolderSettings, today: date
) -> Iterator[str]:
    """The logs that the settings let go, by the days in their names and when they were written."""
    if folder.keep_logs_days is None:
        return
    for name, written_at in logs:
        day = _log_day_of(name)
        since = None if day is None else later_of(day, written_at)
        if since is not None and (today - since).days > folder.keep_logs_days:
            yield name


def _keep_days(manifest_day: ManifestDay, folder: FolderSettings) -> float | None:
    return folder.keep_done_days if manifest_day.area is Area.DONE else folder.keep_failed_days


class RetentionSchedule:
    """Sweeps one hot folder."""

    def __init__(self, tree: SafeTree) -> None:
        self._tree, self._manifest = tree, FiledManifest(tree)

    def look(self, folder: FolderSettings, today: date) -> Iterator[Swept]:
        """Say what a sweep would delete, and touch nothing."""
        for manifest_day in self._due(folder, today):
            if files := len(list(self._manifest.read(manifest_day))):
                yield _swept(manifest_day, files, folder)
        if names := self._logs(folder, today):
            yield Swept("logs", len(names), folder.keep_logs_days or 0)

    def sweep(self, folder: FolderSettings, today: date) -> Iterator[Swept]:
        """Delete a portion of what may go, and say what; raises OSError."""
        left = MOST_FILES
        for manifest_day in self._due(folder, today):
            files = list(self._manifest.read(manifest_day))
            self._delete(files[:left])
            if files:
                yield _swept(manifest_day, len(files[:left]), folder)
            if len(files) > left:
                return
            left -= len(files)
            if not any(self._manifest.read(manifest_day, in_doubt=True)):
                self._manifest.drop(manifest_day)
        if names := self._logs(folder, today)[:left]:
            logs = self._tree.root / "logs"
            for name in names:
                self._tree.remove(logs / name)
            for day in {(logs / name).parent for name in names} - {logs}:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    self._tree.remove_empty(day)
            yield Swept("logs", len(names), folder.keep_logs_days or 0)

    def doubtful(self, folder: FolderSettings) -> Iterator[Swept]:
        """What would go some day, but was filed while the clock was wrong, and so stays."""
        for manifest_day in self._manifest.days():
            files = len(list(self._manifest.read(manifest_day, in_doubt=True)))
            if manifest_day.day < FIRST_DAY:
                files += len(list(self._manifest.read(manifest_day)))
            if files and _keep_days(manifest_day, folder) is not None:
                yield _swept(manifest_day, files, folder)

    def doubt(self, today: date) -> str:
        """Why nothing is deleted on this day; "" where nothing speaks against it."""
        return why_not_believed(self._seen_with(today, is_leap=False), today, today)

    def witness(self, today: date, *, is_leap: bool) -> str:
        """The same, with the file system's clock, and put on record that the day was seen."""
        record, seen = self._manifest.day_record, self._seen_with(today, is_leap=is_leap)
        share_day = record.share_day()
        if is_disputed(today, share_day):
            return why_not_believed(seen, today, share_day)
        if seen != record.read():
            record.write(seen)
        return why_not_believed(seen, today, share_day)

    def _seen_with(self, today: date, *, is_leap: bool) -> SeenDays:
        seen = self._manifest.day_record.read()
        if seen is not None:
            return seen.next(today, is_leap=is_leap)
        days = (it.day for it in self._manifest.days())
        return first_seen(
            today, max((it for it in days if FIRST_DAY <= it <= today), default=None)
        )

    def _due(self, folder: FolderSettings, today: date) -> Iterator[ManifestDay]:
        days = ((it, self._manifest.kept_since(it)) for it in self._manifest.days())
        return due_days(days, folder, today)

    def _delete(self, files: list[FiledEntry]) -> None:
        folders = set()
        for file in files:
            path = self._tree.root / file.path
            self._tree.remove(path)
            *below_area, _area, _root = Path(file.path).parents
            folders |= {self._tree.root / it for it in below_area}
        # The deepest first; those that hold anything else stay.
        for path in sorted(folders, key=lambda it: len(it.parts), reverse=True):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._tree.remove_empty(path)

    def _logs(self, folder: FolderSettings, today: date) -> list[str]:
        if folder.keep_logs_days is None:
            return []
        return list(due_logs(self._log_files(), folder, today))

    def _log_files(self) -> Iterator[tuple[str, float]]:
        """All in logs/ and in its folders of days, which earlier versions did not make: mtimes."""
        logs = self._tree.root / "logs"
        for name, status in self._tree.entries(logs):
            if stat.S_ISREG(status.st_mode):
                yield name, status.st_mtime
            elif stat.S_ISDIR(status.st_mode) and _LOG_FOLDER.fullmatch(name):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    for below, of in self._tree.entries(logs / name):
                        if stat.S_ISREG(of.st_mode):
                            yield f"{name}/{below}", of.st_mtime


def _swept(manifest_day: ManifestDay, files: int, folder: FolderSettings) -> Swept:
    keep_days = _keep_days(manifest_day, folder) or 0
    return Swept(printable(f"{manifest_day.area}/{manifest_day.day}"), files, keep_days)


def _log_day_of(name: str) -> date | None:
    found = _DAY_LOG.fullmatch(name) or _JOB_LOG.fullmatch(name.rpartition("/")[2])
    if found:
        with contextlib.suppress(ValueError):
            return date(*map(int, found.groups()))
    return None


class RetentionSweeper:
    """Sweeps when the time has come, and nothing else waits; for weeks on end if need be."""

    def __init__(self, tree: SafeTree, clock: Clock) -> None:
        self._retention, self._clock = RetentionSchedule(tree), clock
        self._due_at = clock.monotonic() + _FIRST_SECONDS
        self._seen: tuple[date, float] | None = None  # the last day, and when it was that
        self._told = ""

    def sweep(
        self, folder: FolderSettings, day: str, *, is_quiet: bool
    ) -> Iterator[FolderSwept | FolderNotSwept]:
        """Delete a portion of what may go where that is due; tells what; raises OSError.

        Where it is never quiet, it is done all the same after a day. By a day that cannot be
        believed nothing is deleted.
        """
        now, files = self._clock.monotonic(), 0
        if now < self._due_at or not (is_quiet or now > self._due_at + _PATIENCE_SECONDS):
            return
        try:
            today = date.fromisoformat(day)
            if doubt := self._retention.witness(today, is_leap=self._has_leapt(today, now)):
                yield from self._in_doubt(folder, today, doubt)
            else:
                for swept in self._retention.sweep(folder, today):
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

    def _has_leapt(self, today: date, now: float) -> bool:
        """Whether more or fewer days have passed by the date than by our own measure."""
        before, self._seen = self._seen, (today, now)
        if before is None:
            return False
        passed = (today - before[0]).days - (now - before[1]) / _DAY_SECONDS
        return abs(passed) > _TOLERATED_DAYS

    def _in_doubt(
        self, folder: FolderSettings, today: date, doubt: str
    ) -> Iterator[FolderNotSwept]:
        """Say once that something stays which would go by this date."""
        is_new, self._told = doubt != self._told, doubt
        if is_new and any(self._retention.look(folder, today)):
            yield FolderNotSwept(root=folder.root, reason=doubt)
