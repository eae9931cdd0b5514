"""What lies in the work folder of a job that nobody is at: the job, or files that lost theirs."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from daemon import failing, typed_json
from daemon.failing import Failing
from daemon.ground import Ground
from daemon.inbox.names import Kind, is_base_name, is_hidden, is_path_below, kind_of
from daemon.job import Job, JobFile, Role, State
from daemon.publication import NOTES
from daemon.receipt import Why

PAPER = "job.json"
OURS = (PAPER, NOTES, failing.PAPER)  # of the files in the folder of a job


@dataclass(frozen=True, slots=True)
class Left:
    """A job that an earlier daemon, or an interrupted order, left in work/."""

    job: Job
    is_known: bool  # False: its job.json is lost, and the job is made up from the files there
    failing: Failing | None = None  # its filing as failed was interrupted

    @property
    def is_begun(self) -> bool:
        """Whether its claim was completed; if not, nobody knows what its files are worth."""
        return self.is_known and self.job.attempts > 0


UNKNOWN = Why(
    State.FAILED,
    "What belongs to this job cannot be read any more: its job.json is missing or damaged.",
    "Move the files back into the folder of the inbox that they came from.",
)


def left_in(ground: Ground, folder: Path) -> Left | None:
    """What lies in a work folder; None where it holds nothing of anybody."""
    job = job_of_paper(ground, folder / PAPER)
    if job is not None:
        return Left(job, is_known=True, failing=failing.read(ground, folder))
    originals = _originals(ground, folder)
    return Left(_job_of(ground, folder, originals), is_known=False) if originals else None


def job_of_paper(ground: Ground, path: Path) -> Job | None:
    """The job of a job.json; None where it is missing or no paper of this job."""
    try:
        job = typed_json.load(Job, ground.read(path))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None
    return job if _is_of(job, path.parent.name) else None


def _is_of(job: Job, job_id: str) -> bool:
    """Whether a paper may be ours: whoever may write to the share may have written it."""
    leads_down = is_path_below(job.folder) and all(is_base_name(it.name) for it in job.files)
    return bool(job.files) and leads_down and job.job_id == job_id


def _originals(ground: Ground, folder: Path) -> tuple[JobFile, ...]:
    """All files in the folder of a job that may be somebody's, an image first."""
    sizes = {
        name: status.st_size
        for name, status in ground.entries(folder)
        if stat.S_ISREG(status.st_mode) and name not in OURS and not is_hidden(name)
    }
    theirs = sorted(sizes, key=lambda name: (kind_of(name) is not Kind.IMAGE, name))
    return tuple(
        JobFile(
            role=Role.COMPANION if index else Role.IMAGE,
            name=name,
            moved=True,
            sha256="",
            size=sizes[name],
        )
        for index, name in enumerate(theirs)
    )


def _job_of(ground: Ground, folder: Path, originals: tuple[JobFile, ...]) -> Job:
    claimed_at = ground.status(folder).st_mtime
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
