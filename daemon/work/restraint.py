"""Holds back all jobs while the machine is at fault, and lets one go to try it out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from daemon.clock import Clock
from daemon.log.halting import WorkGoesOn, WorkHalted, WorkTried
from daemon.log.story import Event
from daemon.work import standstill
from daemon.work.active import Active, Resting
from daemon.work.jobs import Jobs
from daemon.work.standstill import Going, Halted, Standing, Trying

_TRIES_AT_ONCE = 2


class Restraint:
    """Decides by the rules of `standstill`, says it once, and keeps jobs from being blamed."""

    def __init__(
        self, *, jobs: Jobs, clock: Clock, tell: Callable[[Event], None], at_once: bool
    ) -> None:
        """`at_once`: nobody waits for better times; after a few tries it is given up."""
        self._jobs, self._clock, self._tell, self._at_once = jobs, clock, tell, at_once
        self._standing: Standing = Going()

    @property
    def is_halted(self) -> bool:
        """Whether nothing at all may be begun."""
        return isinstance(self._standing, Halted)

    @property
    def is_given_up(self) -> bool:
        """Whether it is not tried again, because nobody waits."""
        match self._standing:
            case Halted(tries=tries):
                return self._at_once and tries >= _TRIES_AT_ONCE
            case _:
                return False

    @property
    def is_trying(self) -> bool:
        """Whether one job may be under way at a time."""
        return isinstance(self._standing, Trying)

    @property
    def suspects(self) -> frozenset[str]:
        """The jobs that go after all others."""
        return standstill.suspects_of(self._standing)

    def reason(self) -> str:
        """Why jobs wait, and when it is tried again; "" where they do not."""
        match self._standing:
            case Going():
                return ""
            case Halted(cause=cause) if self.is_given_up:
                return cause
            case Halted(cause=cause, until=until):
                return f"{cause}; {self._when(until)}"
            case Trying(halted):
                return f"{halted.cause}; the next job tries it out"

    def advance(self) -> None:
        """Let one job go where the time for it has come."""
        now = math.inf if self._at_once else self._clock.monotonic()
        if not self.is_given_up:
            self._stand(standstill.by(self._standing, now))

    def try_now(self) -> None:
        """Let one job go at once: somebody may have mended the machine."""
        self._stand(standstill.at_once(self._standing))

    def died(self, job_id: str, how: str) -> bool:
        """Take note of the editor's end over a job alone; whether the job may be blamed for it."""
        now = self._clock.monotonic()
        self._stand(standstill.after_death(self._standing, job_id, how, now))
        return not self.is_halted

    def hindered(self, cause: str) -> None:
        """Take note that the machine hindered a job."""
        now = self._clock.monotonic()
        self._stand(standstill.after_hindrance(self._standing, cause.rstrip("."), now))

    def locked_out(self, what: str) -> None:
        """Take note that the editor cannot be opened again."""
        now = self._clock.monotonic()
        self._stand(standstill.after_closed_door(self._standing, what, now))

    def opened(self) -> None:
        """Take note that the editor is ready."""
        self._stand(standstill.after_opening(self._standing))

    def succeeded(self, job_ids: Iterable[str]) -> None:
        """Take note of jobs that are edited."""
        before = self._standing
        self._stand(standstill.after_success(before))
        if isinstance(before, Trying) and standstill.is_cleared(before, job_ids):
            self._blame(standstill.suspects_of(before), strike=True)

    def _stand(self, standing: Standing) -> None:
        before, self._standing = self._standing, standing
        if before == standing:
            return
        match standing:
            case Halted():
                self._blame(standing.suspects, strike=False)
                if not isinstance(before, Halted):
                    self._tell(WorkHalted(reason=self.reason()))
            case Trying():
                self._tell(WorkTried())
            case Going():
                if not isinstance(before, Going):
                    self._tell(WorkGoesOn())

    def _blame(self, suspects: frozenset[str], *, strike: bool) -> None:
        """Whether the last end of the suspects that rest counts against them."""
        for job in self._jobs:
            if job.job.job_id in suspects and isinstance(job.phase, Resting):
                phase = replace(job.phase, strike=strike)
                rested = job.at(phase) if isinstance(job, Active) else replace(job, phase=phase)
                self._jobs.put(rested)

    def _when(self, until: float) -> str:
        if self._at_once:
            return "one job tries it again at once"
        unix_time = self._clock.time() + until - self._clock.monotonic()
        moment = f"{datetime.fromtimestamp(unix_time, UTC).astimezone():%H:%M}"
        return (
            f"one job tries it again at {moment}, or at once after a reload (SIGHUP) or a restart"
        )
