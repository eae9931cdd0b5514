"""Jobs that lie in work/ while no daemon speaks for them: claimed by one that has ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.ground import Ground

WHAT_THEY_WAIT_FOR = "taken from the inbox; a daemon that starts takes it up again"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftJob:
    """What the job.json of a claimed job says."""

    job_id: str
    path: str  # of the image, relative to the inbox
    attempts: int


def left_jobs(root: Path) -> tuple[LeftJob, ...]:
    """Read the papers of the jobs in work/, oldest first; changes nothing."""
    papers = sorted((root / ".hotfolder" / "work").glob("*/job.json"))
    return tuple(job for paper in papers for job in _read(root, paper))


def _read(root: Path, paper: Path) -> Iterator[LeftJob]:
    try:
        said = json.loads(Ground(root).read(paper))
        folder, name = said["folder"], said["files"][0]["name"]
        path = f"{folder}/{name}" if folder else name
        yield LeftJob(job_id=said["job_id"], path=path, attempts=said["attempts"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return  # filed meanwhile, or no paper of ours: a daemon that starts sees to it
