"""Which job comes next: pure choices among the ready, the resting and the waiting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from daemon.job import Candidate, Plan, Seen
from daemon.work.active import (
    Active,
    Composing,
    Editing,
    Preparing,
    Publishing,
    Resting,
    Resumable,
    Taking,
    Waiting,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate of a hot folder."""

    root: str
    candidate: Candidate


def next_candidate(
    plans: Mapping[str, Plan], taken: Mapping[str, frozenset[Seen]]
) -> Choice | None:
    """The best candidate of all hot folders that nobody has taken yet."""
    firsts = (_first(root, plan, taken[root]) for root, plan in plans.items())
    return min(filter(None, firsts), key=_urgency, default=None)


def _first(root: str, plan: Plan, taken: frozenset[Seen]) -> Choice | None:
    # A plan has its candidates in their order already.
    free = (Choice(root, one) for one in plan.ready if one.image not in taken)
    return next(free, None)


def _urgency(choice: Choice) -> tuple[int, float]:
    return (-choice.candidate.priority, choice.candidate.since)


def kept(plan: Plan, candidate: Candidate, taken: Iterable[Seen]) -> frozenset[str]:
    """The paths of a candidate's files that other images still need, so that they are copied."""
    gone = {file.path for file in taken} | {candidate.image.path}
    own = [candidate.image, *filter(None, [candidate.sidecar]), *candidate.companions]
    return frozenset(
        file.path for file in own if plan.needed_by.get(file.path, frozenset()) - gone
    )


def next_batch(
    jobs: Iterable[Active], most: int, *, last: Collection[str] = ()
) -> tuple[Active, ...]:
    """The prepared jobs that the editor takes next, in one pass; those in `last` after all others.

    Those that wait now: nobody waits for company. A job that is to run alone does.
    """
    waiting = [job for job in jobs if isinstance(job.phase, Waiting)]
    waiting.sort(
        key=lambda job: (job.job.job_id in last, -job.task.recipe.priority, job.job.job_id)
    )
    if waiting and waiting[0].job.alone:
        return (waiting[0],)
    return tuple(job for job in waiting if not job.job.alone)[:most]


def due(
    jobs: Iterable[Active | Resumable], now: float, *, last: Collection[str] = ()
) -> Active | Resumable | None:
    """The resting job whose time has come first; those in `last` after all others."""
    rested = [
        (job.job.job_id in last, job.phase.until, job)
        for job in jobs
        if isinstance(job.phase, Resting) and job.phase.until <= now
    ]
    return min(rested, key=lambda entry: entry[:2], default=(False, 0.0, None))[2]


def has_room(jobs: Iterable[Active | Resumable], claims_under_way: int, most: int) -> bool:
    """Whether another job may be claimed: `most` are got ready while others are edited.

    Fewer while finished edits pile up behind the pixel workers: it would only wait, claimed.
    """
    ahead = finishing = 0
    for job in jobs:
        match job.phase:
            case Preparing() | Waiting() | Taking():
                ahead += 1
            case Composing():
                finishing += 1
            case Editing() | Publishing() | Resting():
                pass
            case _:
                assert_never(job.phase)
    ahead += claims_under_way
    return ahead < most and ahead + finishing <= most
