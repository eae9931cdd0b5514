"""Whether a job that went wrong runs again, and when."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.editor import Failure

WAIT_SECONDS = (30.0, 120.0, 600.0)
ENVIRONMENT_WAIT_SECONDS = 60.0
DEADLY_STRIKES = 2
MAX_ATTEMPTS = 20  # a job that takes the whole daemon with it, again and again, ends here


@dataclass(frozen=True, slots=True)
class Again:
    """Run it again after a wait."""

    wait_seconds: float
    strike: bool  # whether this end counts against the job
    alone: bool  # whether the next run is to be without company
    counts: bool = True  # whether the run was an attempt; False: it cost the job nothing


@dataclass(frozen=True, slots=True)
class GiveUp:
    """File it as failed."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """File it apart: it is dangerous to run."""


Decision = Again | GiveUp | Quarantine


def after_failure(failure: Failure, *, strikes: int, attempts: int, at_once: bool) -> Decision:
    """What follows a failed edit of a job that has failed `strikes` times before."""
    match failure:
        case Failure.PERMANENT:
            return GiveUp()
        case Failure.ENVIRONMENT:
            wait_seconds = 0.0 if at_once else ENVIRONMENT_WAIT_SECONDS
            return Again(wait_seconds, strike=False, alone=False, counts=False)
        case Failure.TRANSIENT if strikes >= len(WAIT_SECONDS) or attempts >= MAX_ATTEMPTS:
            return GiveUp()
        case Failure.TRANSIENT:
            wait_seconds = 0.0 if at_once else WAIT_SECONDS[strikes]
            return Again(wait_seconds, strike=True, alone=False)


def after_death(*, strikes: int, attempts: int, together: bool, at_once: bool) -> Decision:
    """What follows the death of the process that worked on this job, alone or with others."""
    if together and attempts < MAX_ATTEMPTS:
        return Again(0.0, strike=False, alone=True)
    if strikes + 1 >= DEADLY_STRIKES or attempts >= MAX_ATTEMPTS:
        return Quarantine()
    return Again(0.0 if at_once else WAIT_SECONDS[strikes], strike=True, alone=True)


def after_blameless_death(*, at_once: bool) -> Decision:
    """What follows the death of the process where the machine, and no job, is to blame."""
    return Again(0.0 if at_once else WAIT_SECONDS[0], strike=False, alone=True, counts=False)
