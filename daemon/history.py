"""What was done: an index of past jobs on the local disk; losing it loses no job."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from daemon.history_file import NewerFileError, connect, connect_to_look, is_unusable, move_aside
from daemon.job import State

_NAME = "history.sqlite3"
MOST_JOBS = 500_000  # about 250 MB; one that was forgotten is no duplicate any more
_FORGET_EVERY = 1000  # records
_FORGET = "DELETE FROM jobs WHERE job_id IN (SELECT job_id FROM jobs ORDER BY finished_at LIMIT ?)"
_RECENT_JOBS = 50  # enough for a median, few enough to follow a change of the model
# The columns of the table stand in the order of Entry's fields.
_RECORD = "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_EARLIER = (
    "SELECT * FROM jobs WHERE folder_id = ? AND path = ? AND content_key = ? AND state = ?"
    " ORDER BY finished_at DESC LIMIT 1"
)
_LAST = "SELECT * FROM jobs WHERE folder_id = ? AND path = ? ORDER BY finished_at DESC LIMIT 1"
_RECENT = "SELECT * FROM jobs WHERE folder_id = ? ORDER BY finished_at DESC LIMIT ?"
_NEWEST = "SELECT * FROM jobs WHERE state = ? ORDER BY finished_at DESC LIMIT ?"
_COUNTS = (
    "SELECT state, count(*) FROM jobs WHERE folder_id = ? AND finished_at >= ? GROUP BY state"
)
_Value = str | bytes | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How one job ended."""

    job_id: str
    folder_id: str  # of the hot folder, from its marker
    path: str  # the image, relative to the inbox
    image_sha256: str
    content_key: str  # sha256 over image, sidecar and references
    state: State
    results: tuple[str, ...]  # relative to the root
    total_seconds: float  # of work: without waiting
    denoise_seconds: float
    steps: int  # of all variants together; 0 = none were needed
    width: int
    height: int
    finished_at: float  # Unix time


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs ended how."""

    done: int = 0
    review: int = 0
    failed: int = 0
    quarantined: int = 0
    duplicate: int = 0
    cancelled: int = 0


class History:
    """The index of one state folder, for any thread.

    It never fails its caller: when the file or the disk lets it down, it says so once through
    `say` and answers as if nothing had been done before.
    """

    def __init__(
        self,
        state_folder: Path,
        say: Callable[[str], None],
        *,
        look: bool = False,
        most: int = MOST_JOBS,
    ) -> None:
        """Open the file, made where missing; with `look` it is only read, and may be missing."""
        self._file = state_folder / _NAME
        self._say = say
        self._look, self._most = look, most
        self._recorded = 0  # since the file was opened
        self._told = False
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if not look or self._file.exists():
            self._open(again=not look)

    def record(self, entry: Entry) -> None:
        """Keep an entry; a second one of the same job replaces the first.

        Of more jobs than `most` the oldest are forgotten now and then.
        """
        self._ask(_RECORD, *_row(entry))
        self._recorded += 1
        if self._recorded % _FORGET_EVERY == 1:
            for (count,) in self._ask("SELECT count(*) FROM jobs"):
                self._ask(_FORGET, max(0, count - self._most))

    def earlier(self, folder_id: str, path: str, content_key: str) -> Entry | None:
        """The newest job that was done with this name and this content."""
        rows = self._ask(_EARLIER, folder_id, os.fsencode(path), content_key, State.DONE.value)
        return _entry(rows[0]) if rows else None

    def last(self, folder_id: str, path: str) -> Entry | None:
        """The newest job of this name, however it ended."""
        rows = self._ask(_LAST, folder_id, os.fsencode(path))
        return _entry(rows[0]) if rows else None

    def recent(self, folder_id: str, limit: int) -> tuple[Entry, ...]:
        """The newest jobs of a hot folder, newest first."""
        return tuple(map(_entry, self._ask(_RECENT, folder_id, limit)))

    def counts_since(self, folder_id: str, unix_time: float) -> Counts:
        """How the jobs ended that ended at this time or later."""
        known = {field.name for field in fields_of(Counts)}
        rows = self._ask(_COUNTS, folder_id, unix_time)
        return Counts(**{state: number for state, number in rows if state in known})

    def typical_seconds(self, steps: int) -> float | None:
        """Seconds that a job of so many steps takes, by the medians of the last jobs done."""
        jobs = list(map(_entry, self._ask(_NEWEST, State.DONE.value, _RECENT_JOBS)))
        if not jobs:
            return None
        around = _median(job.total_seconds - job.denoise_seconds for job in jobs)
        stepped = [job.denoise_seconds / job.steps for job in jobs if job.steps]
        return around + steps * (_median(stepped) if stepped else 0.0)

    def usual_seconds(self) -> float | None:
        """Seconds of work that the last jobs done took, by their median."""
        jobs = map(_entry, self._ask(_NEWEST, State.DONE.value, _RECENT_JOBS))
        seconds = [job.total_seconds for job in jobs]
        return _median(seconds) if seconds else None

    def close(self) -> None:
        """Give the file back; later questions find nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _ask(self, statement: str, *values: _Value) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._connection is None:
                return []
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                self._recover(error, again=not self._look)
                return []

    def _open(self, *, again: bool) -> None:
        try:
            self._connection = (connect_to_look if self._look else connect)(self._file)
        except (sqlite3.Error, NewerFileError) as error:
            self._recover(error, again=again)

    def _recover(self, error: Exception, *, again: bool) -> None:
        """Begin a new file where this one is unusable and may be replaced, else go without."""
        if not (again and is_unusable(error)):
            self._tell(f"The history does not work ({error}); jobs go on without it.")
            return
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        try:
            aside = move_aside(self._file)
        except OSError as problem:
            self._tell(f"The history does not work ({error}; {problem}); jobs go on without it.")
            return
        self._say(
            f"The history could not be used ({error}) and was moved aside to {aside}."
            " No job is lost, but earlier ones are forgotten."
        )
        self._open(again=False)

    def _tell(self, trouble: str) -> None:
        if not self._told:
            self._told = True
            self._say(trouble)


def _median(values: Iterable[float]) -> float:
    # Not statistics.median: importing that takes longer than opening the file.
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _row(entry: Entry) -> tuple[_Value, ...]:
    # File names are bytes: text in SQLite could not hold those that are no UTF-8.
    return (
        entry.job_id,
        entry.folder_id,
        os.fsencode(entry.path),
        entry.image_sha256,
        entry.content_key,
        entry.state.value,
        b"\0".join(map(os.fsencode, entry.results)),
        entry.total_seconds,
        entry.denoise_seconds,
        entry.steps,
        entry.width,
        entry.height,
        entry.finished_at,
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    names = [field.name for field in fields_of(Entry)]
    facts = dict(zip(names, row, strict=True))
    facts["path"] = os.fsdecode(facts["path"])
    facts["state"] = State(facts["state"])
    facts["results"] = tuple(map(os.fsdecode, filter(None, facts["results"].split(b"\0"))))
    return Entry(**facts)
