"""What becomes of a job that went wrong: it waits and runs again, or is filed with its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from daemon.context import Context
from daemon.events import job_events
from daemon.folder import messages
from daemon.job import State
from daemon.jobs.circuit_breaker import CircuitBreaker
from daemon.jobs.job_run import Backoff, JobRun, JobTable, about
from daemon.spool.receipts import MOVE_BACK, FailureReason
from daemon.workers.child import Part
from daemon.workers.pixel_pool import PixelPool
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


class FailureHandler:
    """Carries out what the policy below decides."""

    def __init__(self, context: Context, jobs: JobTable, pixels: PixelPool) -> None:
        self.breaker = CircuitBreaker(context, jobs)
        self._jobs, self._pixels = jobs, pixels
        self._clock, self._tell, self._at_once = context.clock, context.tell, context.once

    def failed(
        self,
        job: JobRun,
        failure: Failure,
        cause: str,
        advice: str,
        part: Part = Part.EDITOR,
    ) -> None:
        """See to a job whose edit or picture could not be done; `part` did not do it."""
        if failure is Failure.ENVIRONMENT:
            self.breaker.hindered(cause, part)
        decision = after_failure(
            failure, strikes=job.job.strikes, attempts=job.job.attempts, at_once=self._at_once
        )
        self._decide(job, decision, FailureReason(State.FAILED, cause, f"{advice} {MOVE_BACK}"))

    def died(
        self, job: JobRun, cause: str, last_words: str, *, together: bool, to_blame: bool = True
    ) -> None:
        """See to a job over which a process died, alone or together with others."""
        decision = after_blameless_death(at_once=self._at_once)
        if to_blame:
            decision = after_death(
                strikes=job.job.strikes,
                attempts=job.job.attempts,
                together=together,
                at_once=self._at_once,
            )
        advice = f"Open the picture in another program and save it again. {MOVE_BACK}"
        details = ("", "The last words of that process:", last_words) if last_words else ()
        self._decide(job, decision, FailureReason(State.QUARANTINED, cause, advice, details))

    def _decide(self, job: JobRun, decision: Decision, why: FailureReason) -> None:
        self._pixels.forget(job.job.job_id)
        match decision:
            case Again():
                self._back_off(job, decision, why.cause)
            case GiveUp():
                self._file(job, replace(why, state=State.FAILED))
            case Quarantine():
                self._file(job, why)
            case _:
                assert_never(decision)

    def _back_off(self, job: JobRun, again: Again, cause: str) -> None:
        until = self._clock.monotonic() + again.wait_seconds
        backoff = Backoff(
            until, strike=again.strike, alone=again.alone, cause=cause, counts=again.counts
        )
        self._jobs.put(replace(job, edits=(), variants=(), reseeded=(), prepared=None).at(backoff))
        self._tell(
            job_events.JobRetry(
                attempt=job.job.attempts + 1,
                wait_seconds=again.wait_seconds,
                cause=cause,
                **about(job.root, job.job),
            )
        )

    def _file(self, job: JobRun, why: FailureReason) -> None:
        instruction = job.resolved_job.instruction
        self._jobs.hand_over(job, messages.FileFailed(job.job, why, instruction))
