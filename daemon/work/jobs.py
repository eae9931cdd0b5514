"""The jobs under way, by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from daemon.inbox.names import printable
from daemon.job import Job
from daemon.work.active import Active, Resumable


class Jobs:
    """Every job between its claim and its filing."""

    def __init__(self) -> None:
        self._jobs: dict[str, Active | Resumable] = {}

    def __iter__(self) -> Iterator[Active | Resumable]:
        return iter(tuple(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Active | Resumable) -> None:
        """Keep a job, in place of its earlier value."""
        self._jobs[job.job.job_id] = job

    def drop(self, job: Job) -> None:
        """Forget a job."""
        self._jobs.pop(job.job_id, None)

    def get(self, job_id: str) -> Active | Resumable | None:
        """The job of that id."""
        return self._jobs.get(job_id)

    def active(self, job_id: str) -> Active | None:
        """The job of that id that has a task."""
        job = self._jobs.get(job_id)
        return job if isinstance(job, Active) else None

    def actives(self) -> Iterator[Active]:
        """All jobs that have a task."""
        return (job for job in self if isinstance(job, Active))


class About(TypedDict):
    """What every event about a job says first."""

    job_id: str
    path: str
    root: Path


def about(root: str, job: Job) -> About:
    """The job's part of an event."""
    return {"job_id": job.job_id, "path": printable(job.path), "root": Path(root)}
