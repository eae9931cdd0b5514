"""What lies in the work folder of a job that nobody is at: the job, or files that lost theirs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon import files
from daemon.inbox.names import Kind, is_hidden, kind_of
from daemon.job import Job, JobFile, Role, State
from daemon.publication import NOTES
from daemon.receipt import Why

PAPER = "job.json"


@dataclass(frozen=True, slots=True)
class Left:
    """A job that an earlier daemon, or an interrupted order, left in work/."""

    job: Job
    is_known: bool  # False: its job.json is lost, and the job is made up from the files there

    @property
    def is_begun(self) -> bool:
        """Whether its claim was completed; if not, nobody knows what its files are worth."""
        return self.is_known and self.job.attempts > 0


UNKNOWN = Why(
    State.FAILED,
    "What belongs to this job cannot be read any more: its job.json is missing or damaged.",
    "Move the files back into the folder of the inbox that they came from.",
)


def left_in(folder: Path) -> Left | None:
    """What lies in a work folder; None where it holds nothing of anybody."""
    job = _read_paper(folder / PAPER)
    if job is not None:
        return Left(job, is_known=True)
    originals = _originals(folder)
    return Left(_job_of(folder, originals), is_known=False) if originals else None


def _read_paper(path: Path) -> Job | None:
    """The job of a job.json; None where it is missing or no paper of this job."""
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        originals = tuple(
            JobFile(**{**file, "role": Role(file["role"])}) for file in document["files"]
        )
        job = Job(**{**document, "files": originals})
    except (FileNotFoundError, IsADirectoryError, ValueError, KeyError, TypeError):
        return None
    return job if job.files and job.job_id == path.parent.name else None


def _originals(folder: Path) -> tuple[JobFile, ...]:
    """All files in the folder of a job that may be somebody's, an image first."""
    names = sorted(path.name for path in folder.iterdir() if files.is_regular(path))
    theirs = [name for name in names if name not in (NOTES, PAPER) and not is_hidden(name)]
    theirs.sort(key=lambda name: kind_of(name) is not Kind.IMAGE)
    return tuple(
        JobFile(
            role=Role.COMPANION if index else Role.IMAGE,
            name=name,
            moved=True,
            sha256="",
            size=(folder / name).lstat().st_size,
        )
        for index, name in enumerate(theirs)
    )


def _job_of(folder: Path, originals: tuple[JobFile, ...]) -> Job:
    claimed_at = folder.lstat().st_mtime
    return Job(
        job_id=folder.name,
        folder="",
        files=originals,
        drawn_seed=0,
        arrived_at=claimed_at,
        claimed_at=claimed_at,
        attempts=0,
        strikes=0,
        alone=False,
    )
