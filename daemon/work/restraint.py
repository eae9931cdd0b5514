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
from daemon.work.standstill import Going, Halted, Part, Standing, Trying

_TRIES_AT_ONCE = 2


class Restraint:
    """Decides by the rules of `standstill` for each part of the machine that jobs need.

    Says once that nothing is begun, and keeps jobs from being blamed for it.
    """

    def __init__(
        self, *, jobs: Jobs, clock: Clock, tell: Callable[[Event], None], at_once: bool
    ) -> None:
        """`at_once`: nobody waits for better times; after a few tries it is given up."""
        self._jobs, self._clock, self._tell, self._at_once = jobs, clock, tell, at_once
        self._standings: dict[Part, Standing] = dict.fromkeys(Part, Going())

    @property
    def is_halted(self) -> bool:
        """Whether nothing at all may be begun."""
        return any(map(self.is_halted_at, Part))

    def is_halted_at(self, part: Part) -> bool:
        """Whether nothing may be begun that needs this part."""
        return isinstance(self._standings[part], Halted)

    @property
    def is_given_up(self) -> bool:
        """Whether it is not tried again, because nobody waits."""
        return any(map(self._is_given_up_at, Part))

    def _is_given_up_at(self, part: Part) -> bool:
        match self._standings[part]:
            case Halted(tries=tries):
                return self._at_once and tries >= _TRIES_AT_ONCE
            case _:
                return False

    @property
    def is_trying(self) -> bool:
        """Whether one job may be under way at a time."""
        return any(map(self.is_trying_at, Part))

    def is_trying_at(self, part: Part) -> bool:
        """Whether one job tries out this part."""
        return isinstance(self._standings[part], Trying)

    @property
    def suspects(self) -> frozenset[str]:
        """The jobs that go after all others."""
        return frozenset().union(*map(standstill.suspects_of, self._standings.values()))

    def reason(self) -> str:
        """Why jobs wait, and when it is tried again; "" where they do not."""
        parts = sorted(Part, key=lambda part: not self.is_halted_at(part))
        return next(filter(None, map(self._reason_at, parts)), "")

    def _reason_at(self, part: Part) -> str:
        match self._standings[part]:
            case Going():
                return ""
            case Halted(cause=cause) if self._is_given_up_at(part):
                return cause
            case Halted(cause=cause, until=until):
                return f"{cause}; {self._when(until)}"
            case Trying(halted):
                return f"{halted.cause}; the next job tries it out"

    def advance(self) -> None:
        """Let one job go where the time for it has come."""
        now = math.inf if self._at_once else self._clock.monotonic()
        if not self.is_given_up:
            for part in Part:
                self._stand(part, standstill.by(self._standings[part], now))

    def try_now(self) -> None:
        """Let one job go at once: somebody may have mended the machine."""
        for part in Part:
            self._stand(part, standstill.at_once(self._standings[part]))

    def died(self, job_id: str, how: str, part: Part = Part.EDITOR) -> bool:
        """Take note of a process's end over a job alone; whether the job may be blamed for it."""
        now = self._clock.monotonic()
        self._stand(part, standstill.after_death(self._standings[part], job_id, how, now, part))
        return not self.is_halted

    def hindered(self, cause: str, part: Part = Part.EDITOR) -> None:
        """Take note that the machine hindered a job."""
        now, cause = self._clock.monotonic(), cause.rstrip(".")
        self._stand(part, standstill.after_hindrance(self._standings[part], cause, now))

    def locked_out(self, what: str, part: Part = Part.EDITOR) -> None:
        """Take note that a process cannot be opened."""
        now = self._clock.monotonic()
        self._stand(part, standstill.after_closed_door(self._standings[part], what, now, part))

    def opened(self, part: Part = Part.EDITOR) -> None:
        """Take note that a process is ready."""
        self._stand(part, standstill.after_opening(self._standings[part]))

    def succeeded(self, job_ids: Iterable[str], part: Part = Part.EDITOR) -> None:
        """Take note of jobs for which this part has done what they asked for."""
        before = self._standings[part]
        self._stand(part, standstill.after_success(before))
        if isinstance(before, Trying) and standstill.is_cleared(before, job_ids):
            self._blame(standstill.suspects_of(before), strike=True)

    def _stand(self, part: Part, standing: Standing) -> None:
        before = self._standings[part]
        if before == standing:
            return
        was_halted, was_going = self.is_halted, not (self.is_halted or self.is_trying)
        self._standings[part] = standing
        if isinstance(standing, Halted):
            self._blame(standing.suspects, strike=False)
        if self.is_halted:
            if not was_halted:
                self._tell(WorkHalted(reason=self.reason()))
        elif self.is_trying:
            if was_halted:
                self._tell(WorkTried(what=part))
        elif not was_going:
            self._tell(WorkGoesOn(what=part))

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
