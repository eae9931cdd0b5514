"""What becomes of a job that went wrong: it rests and runs again, or is filed with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never

from daemon import orders
from daemon.clock import Clock
from daemon.job import State
from daemon.keeper import Keeper
from daemon.log import story
from daemon.log.story import Event
from daemon.receipt import MOVE_BACK, Why
from daemon.work import retry
from daemon.work.active import Active, Publishing, Resting
from daemon.work.jobs import Jobs, about
from daemon.work.pixel_pool import PixelPool
from daemon.work.restraint import Restraint
from daemon.work.standstill import Part
from pipeline.editor import Failure


class Mishaps:
    """Decides by the rules of `retry`, and sees to it."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        pixels: PixelPool,
        keepers: Mapping[str, Keeper],
        restraint: Restraint,
        clock: Clock,
        tell: Callable[[Event], None],
        at_once: bool,
    ) -> None:
        self._jobs, self._pixels, self._keepers = jobs, pixels, keepers
        self._restraint = restraint
        self._clock, self._tell, self._at_once = clock, tell, at_once

    def failed(
        self,
        job: Active,
        failure: Failure,
        cause: str,
        advice: str,
        part: Part = Part.EDITOR,
    ) -> None:
        """See to a job whose edit or picture could not be done; `part` did not do it."""
        if failure is Failure.ENVIRONMENT:
            self._restraint.hindered(cause, part)
        decision = retry.after_failure(
            failure, strikes=job.job.strikes, attempts=job.job.attempts, at_once=self._at_once
        )
        self._decide(job, decision, Why(State.FAILED, cause, f"{advice} {MOVE_BACK}"))

    def died(
        self, job: Active, cause: str, last_words: str, *, together: bool, to_blame: bool = True
    ) -> None:
        """See to a job over which a process died, alone or together with others."""
        decision = retry.after_blameless_death(at_once=self._at_once)
        if to_blame:
            decision = retry.after_death(
                strikes=job.job.strikes,
                attempts=job.job.attempts,
                together=together,
                at_once=self._at_once,
            )
        advice = f"Open the picture in another program and save it again. {MOVE_BACK}"
        details = ("", "The last words of that process:", last_words) if last_words else ()
        self._decide(job, decision, Why(State.QUARANTINED, cause, advice, details))

    def _decide(self, job: Active, decision: retry.Decision, why: Why) -> None:
        self._pixels.forget(job.job.job_id)
        match decision:
            case retry.Again():
                self._rest(job, decision, why.cause)
            case retry.GiveUp():
                self._file(job, replace(why, state=State.FAILED))
            case retry.Quarantine():
                self._file(job, why)
            case _:
                assert_never(decision)

    def _rest(self, job: Active, again: retry.Again, cause: str) -> None:
        until = self._clock.monotonic() + again.wait_seconds
        resting = Resting(
            until, strike=again.strike, alone=again.alone, cause=cause, counts=again.counts
        )
        self._jobs.put(replace(job, edits=(), variants=(), reseeded=(), prepared=None).at(resting))
        self._tell(
            story.JobRetry(
                attempt=job.job.attempts + 1,
                wait_seconds=again.wait_seconds,
                cause=cause,
                **about(job.root, job.job),
            )
        )

    def _file(self, job: Active, why: Why) -> None:
        self._jobs.put(job.at(Publishing()))
        self._keepers[job.root].submit(orders.FileFailed(job.job, why, job.task.instruction))
