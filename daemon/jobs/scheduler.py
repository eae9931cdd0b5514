"""Which job comes next: pure choices among the ready, the resting and the waiting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from daemon.folder.view import Claims
from daemon.job import Candidate, Plan, Seen
from daemon.jobs.job_run import (
    Backoff,
    Composing,
    Editing,
    JobRun,
    ParkedJob,
    Preparing,
    Publishing,
    Reclaiming,
    Waiting,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate of a hot folder."""

    root: str
    candidate: Candidate


def next_candidate(plans: Mapping[str, Plan], claims: Mapping[str, Claims]) -> Choice | None:
    """The best candidate of all hot folders that may be claimed now."""
    firsts = (_first(root, plan, claims[root]) for root, plan in plans.items())
    return min(filter(None, firsts), key=_urgency, default=None)


def _first(root: str, plan: Plan, claims: Claims) -> Choice | None:
    # A plan has its candidates in their order already.
    closed = claims.under_way | claims.answered
    paths = frozenset(file.path for file in claims.under_way)
    for one in plan.ready:
        # Whether the last of those that need a file may take it along, the answer will tell.
        if one.image not in closed and not (paths and _needers(plan, one) & paths):
            return Choice(root, one)
    return None


def _needers(plan: Plan, candidate: Candidate) -> frozenset[str]:
    """The images that need any of a candidate's files."""
    return frozenset().union(*(plan.needed_by.get(it.path, ()) for it in _files(candidate)))


def _files(candidate: Candidate) -> tuple[Seen, ...]:
    return (candidate.image, *filter(None, [candidate.sidecar]), *candidate.companions)


def _urgency(choice: Choice) -> tuple[int, float]:
    return (-choice.candidate.priority, choice.candidate.since)


def kept(plan: Plan, candidate: Candidate, taken: Iterable[Seen]) -> frozenset[str]:
    """The paths of a candidate's files that other images still need, so that they are copied."""
    gone = {file.path for file in taken} | {candidate.image.path}
    return frozenset(
        file.path
        for file in _files(candidate)
        if plan.needed_by.get(file.path, frozenset()) - gone
    )


def next_batch(
    jobs: Iterable[JobRun], most: int, *, last: Collection[str] = ()
) -> tuple[JobRun, ...]:
    """The prepared jobs that the editor takes next, in one pass; those in `last` after all others.

    Those that wait now: nobody waits for company. A job that is to run alone does.
    """
    waiting = [job for job in jobs if isinstance(job.phase, Waiting)]
    waiting.sort(
        key=lambda job: (job.job.job_id in last, -job.resolved_job.recipe.priority, job.job.job_id)
    )
    if waiting and waiting[0].job.alone:
        return (waiting[0],)
    return tuple(job for job in waiting if not job.job.alone)[:most]


def due(
    jobs: Iterable[JobRun | ParkedJob], now: float, *, last: Collection[str] = ()
) -> JobRun | ParkedJob | None:
    """The resting job whose time has come first; those in `last` after all others."""
    rested = [
        (job.job.job_id in last, job.phase.until, job)
        for job in jobs
        if isinstance(job.phase, Backoff) and job.phase.until <= now
    ]
    return min(rested, key=lambda entry: entry[:2], default=(False, 0.0, None))[2]


def has_room(jobs: Iterable[JobRun | ParkedJob], claims_under_way: int, most: int) -> bool:
    """Whether another job may be claimed: `most` are got ready while others are edited.

    Fewer while finished edits pile up behind the pixel workers: it would only wait, claimed.
    """
    ahead = finishing = 0
    for job in jobs:
        match job.phase:
            case Preparing() | Waiting() | Reclaiming():
                ahead += 1
            case Composing():
                finishing += 1
            case Editing() | Publishing() | Backoff():
                pass
            case _:
                assert_never(job.phase)
    ahead += claims_under_way
    return ahead < most and ahead + finishing <= most
