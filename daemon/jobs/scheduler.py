"""Which job comes next: pure choices among the ready, the resting and the waiting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import assert_never

from daemon.job import Candidate
from daemon.jobs import job_run
from daemon.jobs.job_run import JobRun, ParkedJob


def next_folder(heads: Mapping[str, Candidate | None]) -> str | None:
    """The hot folder whose best candidate comes before those of all others."""
    there = {root: head for root, head in heads.items() if head is not None}
    return min(there, key=lambda root: _urgency(there[root]), default=None)


def _urgency(candidate: Candidate) -> tuple[int, float]:
    return (-candidate.priority, candidate.since)


def next_batch(
    jobs: Iterable[JobRun], most: int, *, last: Collection[str] = ()
) -> tuple[JobRun, ...]:
    """The prepared jobs that the editor takes next, in one pass; those in `last` after all others.

    Those that wait now: nobody waits for company. A job that is to run alone does.
    """
    waiting = [job for job in jobs if isinstance(job.phase, job_run.Waiting)]
    waiting.sort(key=lambda job: (job.job.job_id in last, *_turn(job)))
    if waiting and waiting[0].job.alone:
        return (waiting[0],)
    return tuple(job for job in waiting if not job.job.alone)[:most]


def in_turn(jobs: Iterable[JobRun]) -> tuple[JobRun, ...]:
    """The claimed jobs that the editor takes next, those that are still got ready among them."""
    waiting = (it for it in jobs if isinstance(it.phase, job_run.Preparing | job_run.Waiting))
    return tuple(sorted(waiting, key=_turn))


def _turn(job: JobRun) -> tuple[int, str]:
    return (-job.resolved_job.recipe.priority, job.job.job_id)


def due(
    jobs: Iterable[JobRun | ParkedJob], now: float, *, last: Collection[str] = ()
) -> JobRun | ParkedJob | None:
    """The resting job whose time has come first; those in `last` after all others."""
    rested = [
        (job.job.job_id in last, job.phase.until, job)
        for job in jobs
        if isinstance(job.phase, job_run.Backoff) and job.phase.until <= now
    ]
    return min(rested, key=lambda entry: entry[:2], default=(False, 0.0, None))[2]


def has_room(jobs: Iterable[JobRun | ParkedJob], claims_under_way: int, most: int) -> bool:
    """Whether another job may be claimed: `most` are got ready while others are edited.

    Fewer while finished edits pile up behind the pixel workers: it would only wait, claimed.
    """
    ahead = finishing = 0
    for job in jobs:
        match job.phase:
            case job_run.Preparing() | job_run.Waiting() | job_run.Reclaiming():
                ahead += 1
            case job_run.Composing():
                finishing += 1
            case job_run.Editing() | job_run.Publishing() | job_run.Backoff():
                pass
            case _:
                assert_never(job.phase)
    ahead += claims_under_way
    return ahead < most and ahead + finishing <= most
