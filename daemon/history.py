"""What was done: an index of past jobs on the local disk; losing it loses no job."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from config import codec
from daemon.job import State

_NAME = "history.sqlite3"
MOST_JOBS = 500_000  # about 250 MB; one that was forgotten is no duplicate any more
_FORGET_EVERY = 1000  # records
_FORGET = "DELETE FROM jobs WHERE job_id IN (SELECT job_id FROM jobs ORDER BY finished_at LIMIT ?)"
_RECENT_JOBS = 50  # enough for a median, few enough to follow a change of the model
# The columns of the table stand in the order of Entry's fields.
_RECORD = (
    "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_EARLIER = (
    "SELECT * FROM jobs WHERE folder_id = ? AND path = ? AND content_key = ? AND state = ?"
    " ORDER BY finished_at DESC LIMIT 1"
)
_LAST = "SELECT * FROM jobs WHERE folder_id = ? AND path = ? ORDER BY finished_at DESC LIMIT 1"
_NEWEST = "SELECT * FROM jobs WHERE state = ? ORDER BY finished_at DESC LIMIT ?"
_NEWEST_ALIKE = (
    "SELECT * FROM jobs WHERE state = ? AND model = ? AND megapixels = ? AND guided = ?"
    " ORDER BY finished_at DESC LIMIT ?"
)
_COUNTS = (
    "SELECT state, count(*) FROM jobs WHERE folder_id = ? AND finished_at >= ? GROUP BY state"
)
_STATE_SINCE = (
    "SELECT * FROM jobs WHERE folder_id = ? AND finished_at >= ? AND state = ?"
    " ORDER BY finished_at"
)
_Value = str | bytes | int | float
# Entry n brings a file of version n to version n + 1. Never change one: add another.
_MIGRATIONS = (
    (
        """CREATE TABLE jobs (
             job_id TEXT PRIMARY KEY, folder_id TEXT NOT NULL, path BLOB NOT NULL,
             image_sha256 TEXT NOT NULL, content_key TEXT NOT NULL, state TEXT NOT NULL,
             results BLOB NOT NULL, total_seconds REAL NOT NULL, denoise_seconds REAL NOT NULL,
             steps INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
             finished_at REAL NOT NULL
           ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX jobs_by_path ON jobs (folder_id, path, finished_at)",
        "CREATE INDEX jobs_by_folder ON jobs (folder_id, finished_at)",
        "CREATE INDEX jobs_by_state ON jobs (state, finished_at)",
    ),
    ("CREATE INDEX jobs_by_time ON jobs (finished_at)",),
    ("ALTER TABLE jobs ADD COLUMN megapixels REAL NOT NULL DEFAULT 0",),
    (
        "ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE jobs ADD COLUMN guided INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN encode_seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN decode_seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN finish_seconds REAL NOT NULL DEFAULT 0",
        "CREATE INDEX jobs_by_kind ON jobs (state, model, megapixels, guided, finished_at)",
    ),
)
_BUSY_SECONDS = 2.0
_UNUSABLE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How one job ended."""

    job_id: str
    folder_id: str  # of the hot folder, from its marker
    path: str  # the image, relative to the inbox
    image_sha256: str
    content_key: str = ""  # sha256 over image, sidecar and references
    state: State
    results: tuple[str, ...] = ()  # relative to the root
    total_seconds: float  # of work: without waiting
    denoise_seconds: float = 0.0
    steps: int = 0  # of all variants together; 0 = none were needed
    width: int = 0
    height: int = 0
    finished_at: float  # Unix time
    megapixels: float = 0.0  # at which it was edited; 0 = the model's own area
    model: str = ""  # that edited it, and where; "" where nobody has measured the rest
    guided: int = 0  # 1: the model was asked twice a step
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    finish_seconds: float = 0.0  # from the end of its edits until all results were there


@dataclass(frozen=True, slots=True)
class JobKind:
    """What jobs have in common that take alike; the number of steps and results aside."""

    model: str
    megapixels: float  # 0 = the model's own area
    is_guided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """What the last jobs of a kind took, by their medians, in seconds for one result."""

    step: float
    encode: float
    decode: float
    around: float  # all but the steps: opened, read, decoded, composed
    finish: float  # of the whole job: from the end of its edits until all results were there


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

    def moved(self, job_id: str, result: str, where: str) -> None:
        """Note that a result of a job lies elsewhere, and how the job has ended by that."""
        for entry in self._entries("SELECT * FROM jobs WHERE job_id = ?", job_id):
            results = tuple(where if it == result else it for it in entry.results)
            self.record(replace(entry, results=results, state=_state_by(results)))

    def earlier(self, folder_id: str, path: str, content_key: str) -> Entry | None:
        """The newest job that was done with this name and this content."""
        key = (folder_id, os.fsencode(path), content_key, State.DONE.value)
        return next(self._entries(_EARLIER, *key), None)

    def last(self, folder_id: str, path: str) -> Entry | None:
        """The newest job of this name, however it ended."""
        return next(self._entries(_LAST, folder_id, os.fsencode(path)), None)

    def counts_since(self, folder_id: str, unix_time: float) -> Counts:
        """How the jobs ended that ended at this time or later."""
        known = {field.name for field in fields_of(Counts)}
        rows = self._ask(_COUNTS, folder_id, unix_time)
        return Counts(**{state: number for state, number in rows if state in known})

    def results_in_review(self, folder_id: str, unix_time: float) -> Iterator[tuple[str, str]]:
        """Pictures and results of the jobs that ended in review since then, oldest first."""
        for entry in self._entries(_STATE_SINCE, folder_id, unix_time, State.REVIEW.value):
            of_job = (it for it in entry.results if it.startswith("review/"))
            yield from ((entry.path, it) for it in of_job)

    def typical(self, kind: JobKind) -> Typical | None:
        """What the last jobs of this kind took; None where there were none."""
        key = (State.DONE.value, kind.model, kind.megapixels, int(kind.is_guided), _RECENT_JOBS)
        jobs = [it for it in self._entries(_NEWEST_ALIKE, *key) if it.results and kind.model]
        if not jobs:
            return None
        stepped = [job.denoise_seconds / job.steps for job in jobs if job.steps]
        return Typical(
            step=_median(stepped) if stepped else 0.0,
            encode=_median(job.encode_seconds / len(job.results) for job in jobs),
            decode=_median(job.decode_seconds / len(job.results) for job in jobs),
            around=_median(
                (job.total_seconds - job.denoise_seconds) / len(job.results) for job in jobs
            ),
            finish=_median(job.finish_seconds for job in jobs),
        )

    def usual_seconds(self, model: str) -> float | None:
        """Seconds of work that the last jobs done by this model took, by their median."""
        jobs = self._entries(_NEWEST, State.DONE.value, _RECENT_JOBS)
        seconds = [job.total_seconds for job in jobs if job.model == model]
        return _median(seconds) if model and seconds else None

    def close(self) -> None:
        """Give the file back; later questions find nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _entries(self, statement: str, *values: _Value) -> Iterator[Entry]:
        """The rows that are sound."""
        for row in self._ask(statement, *values):
            with contextlib.suppress(TypeError, ValueError):
                yield _entry(row)

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
            self._connection = (connect_read_only if self._look else connect)(self._file)
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


def _state_by(results: tuple[str, ...]) -> State:
    """How a job has ended whose results lie there; one that was rejected is in failed/."""
    areas = {result.partition("/")[0] for result in results}
    if "review" in areas:
        return State.REVIEW
    return State.DONE if "outbox" in areas else State.FAILED


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
        entry.megapixels,
        entry.model,
        entry.guided,
        entry.encode_seconds,
        entry.decode_seconds,
        entry.finish_seconds,
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    """The entry of a row; raises TypeError or ValueError for one that is not sound."""
    names = [field.name for field in fields_of(Entry)]
    facts = dict(zip(names, row, strict=False))  # an older file that is only read has fewer
    facts["path"] = os.fsdecode(facts["path"])
    facts["results"] = list(filter(None, os.fsdecode(facts["results"]).split("\0")))
    return codec.part(Entry, facts)


class NewerFileError(Exception):
    """A later version of the program wrote this file."""


def connect(file: Path) -> sqlite3.Connection:
    """Open for writing, made where missing; raises NewerFileError and sqlite3.Error."""
    connection = _open(file, "rwc")
    try:
        # One fsync at a checkpoint instead of one a job: what a power cut takes is only history.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(file: Path) -> sqlite3.Connection:
    """Open for reading only, which the file must be there for; raises as `connect`."""
    # Where we may not make its companions beside it, SQLite reads it only if told that nobody
    # writes: as it is where they are not there.
    is_still = (
        not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists()
    )
    connection = _open(file, "ro&immutable=1" if is_still else "ro")
    try:
        _version(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def is_unusable(error: Exception) -> bool:
    """Whether the file itself is the trouble, not the disk or a lock."""
    if isinstance(error, sqlite3.Error):
        # The low byte is the kind, the rest a detail of it; errors of the module have none.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNUSABLE
    return isinstance(error, NewerFileError)


def move_aside(file: Path) -> Path:
    """Rename the file and its companions to a free name, and say which; raises OSError."""
    names = (file.with_name(f"{file.name}.aside-{number}") for number in itertools.count(1))
    free = next(name for name in names if not name.exists())
    for suffix in ("", "-wal", "-shm"):
        companion = file.with_name(file.name + suffix)
        if companion.exists():
            companion.rename(free.with_name(free.name + suffix))
    return free


def _open(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _migrate(connection: sqlite3.Connection) -> None:
    if _version(connection) == len(_MIGRATIONS):
        return
    # Another process may be at it: the version counts that holds once we may write.
    connection.execute("BEGIN IMMEDIATE")
    for version in range(_version(connection), len(_MIGRATIONS)):
        for statement in _MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not 0 <= version <= len(_MIGRATIONS):
        message = f"it has version {version}, and this program knows {len(_MIGRATIONS)}"
        raise NewerFileError(message)
    return version
