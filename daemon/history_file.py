"""The file of the history: opened, brought to the present version, moved aside when unusable."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

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
)
_BUSY_SECONDS = 2.0
_UNUSABLE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


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


def connect_to_look(file: Path) -> sqlite3.Connection:
    """Open for reading only, which the file must be there for; raises as `connect`."""
    connection = _open(file, "ro")
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
