"""The jobs in failed/: who looks there sees what has failed and has not gone back since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config import codec
from daemon.fs.safe_tree import SafeTree
from daemon.job import below
from daemon.spool.spool import REPORT, WHY


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that ended without a result; words for people."""

    file: str  # the picture, relative to the inbox
    cause: str


class FailedJobs:
    """Knows what lies in failed/; a folder is read again only where it has changed."""

    def __init__(self, tree: SafeTree) -> None:
        """`tree` is that of the hot folder."""
        self._tree = tree
        self._known: Mapping[str, tuple[int, FailedJob | None]] = {}  # of the last day, by folder

    def of_day(self, day: str) -> tuple[FailedJob, ...]:
        """The jobs of a day of which more lies there than their records, the oldest first.

        Raises OSError.
        """
        folder = self._tree.root / "failed" / day
        try:
            entries = self._tree.entries(folder)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        by_time = sorted((status.st_mtime_ns, name) for name, status in entries)
        self._known = {name: (at, self._look(folder, name, at)) for at, name in by_time}
        return tuple(job for _, job in self._known.values() if job is not None)

    def _look(self, folder: Path, name: str, changed_at: int) -> FailedJob | None:
        if (known := self._known.get(name)) is not None and known[0] == changed_at:
            return known[1]
        try:
            if not set(self._tree.names(folder / name)) - {WHY, REPORT}:
                return None  # its originals have gone back
            report = codec.parse(self._tree.read(folder / name / REPORT))
            picture = codec.at(str, report, "input", "name")
            file = below(codec.at(str, report, "folder"), picture)
            return FailedJob(file, codec.at(str, report, "cause"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None  # it was moved away meanwhile, or is no job's
