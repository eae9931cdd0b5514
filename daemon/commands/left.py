"""Jobs that lie in work/ while no daemon speaks for them: claimed by one that has ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.ground import Ground
from daemon.job import Job
from daemon.recovery import PAPER, job_of_paper

WHAT_THEY_WAIT_FOR = "taken from the inbox; a daemon that starts takes it up again"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftJob:
    """What the job.json of a claimed job says."""

    job_id: str
    path: str  # of the image, relative to the inbox
    attempts: int


def left_jobs(root: Path) -> tuple[LeftJob, ...]:
    """Read the papers of the jobs in work/, oldest first; changes nothing."""
    ground, work = Ground(root), root / ".hotfolder" / "work"
    try:
        names = [name for name, _ in ground.entries(work)]
    except OSError:
        return ()
    jobs = [job for name in names if (job := _read(ground, work / name / PAPER)) is not None]
    return tuple(LeftJob(job_id=it.job_id, path=it.path, attempts=it.attempts) for it in jobs)


def _read(ground: Ground, paper: Path) -> Job | None:
    try:
        return job_of_paper(ground, paper)
    except OSError:
        return None  # filed meanwhile, or no paper of ours: a daemon that starts sees to it
