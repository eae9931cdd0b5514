"""Whether jobs are begun at all: not while the machine, and no job, makes every edit fail."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from daemon.clock import local_time
from daemon.context import Context
from daemon.events.events import WorkGoesOn, WorkHalted, WorkTried
from daemon.jobs.job_run import Backoff, JobRun, JobTable
from daemon.workers.child import Part

DIFFERENT_JOBS = 3  # over which a process ends in a row: then it is the machine
WAIT_SECONDS = (60.0, 120.0, 300.0, 600.0, 1800.0)  # before one job tries it out

_DEATHS = (
    "{part} ended over three different jobs in a row ({how}), so it is the"
    " machine and no job: look at {suspicion} (hotfolder check, dmesg)"
)


_UNOPENED = {
    Part.EDITOR: "the editor cannot be opened any more: {what}",
    Part.WORKERS: f"{Part.WORKERS} cannot be started: {{what}}",
}
_TRIES_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Jobs are begun as usual."""

    suspects: frozenset[str] = frozenset()  # over which alone it ended since it did well


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """No job is begun; at `until` one job tries it out."""

    cause: str
    until: float  # monotonic seconds
    tries: int  # that failed
    suspects: frozenset[str]
    is_over_when_open: bool  # whether a process that opens is all that was missing


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """One job at a time, alone, until one is done."""

    opened_state: Open

    @property
    def suspects(self) -> frozenset[str]:
        """Those of before: others go first."""
        return self.opened_state.suspects


BreakerState = Closed | Open | HalfOpen


def after_death(
    standing: BreakerState, job_id: str, how: str, now: float, part: Part = Part.EDITOR
) -> BreakerState:
    """The process ended over a job that it had alone."""
    suspects = standing.suspects | {job_id}
    match standing:
        case Closed() if len(suspects) < DIFFERENT_JOBS:
            return Closed(suspects=suspects)
        case Closed():
            suspicion = (
                "GPU, driver and memory" if part is Part.EDITOR else "memory and installation"
            )
            cause = _DEATHS.format(part=part, how=how, suspicion=suspicion)
            return _opened(cause, suspects, now)
        case Open():
            return replace(standing, suspects=suspects)
        case HalfOpen(opened_state):
            return _retried_later(replace(opened_state, suspects=suspects), now)
        case _:
            assert_never(standing)


def after_machine_fault(
    standing: BreakerState, cause: str, now: float, *, is_over_when_open: bool = False
) -> BreakerState:
    """A disk, a GPU or another part of the machine hindered a job, or the process's opening."""
    fresh = replace(_opened(cause, standing.suspects, now), is_over_when_open=is_over_when_open)
    match standing:
        case Closed():
            return fresh
        case Open():
            return standing
        case HalfOpen(opened_state):
            return _retried_later(replace(fresh, tries=opened_state.tries), now)
        case _:
            assert_never(standing)


def after_start(standing: BreakerState) -> BreakerState:
    """The process is open."""
    match standing:
        case HalfOpen(Open(is_over_when_open=True)):
            return Closed(suspects=standing.suspects)
        case _:
            return standing


def after_success(standing: BreakerState) -> BreakerState:
    """It has done what a job asked for."""
    # Jobs of the same pass may be done after one was hindered: that mends nothing.
    return standing if isinstance(standing, Open) else Closed()


def by(standing: BreakerState, now: float) -> BreakerState:
    """How it stands at a moment by itself."""
    return HalfOpen(standing) if isinstance(standing, Open) and now >= standing.until else standing


def at_once(standing: BreakerState) -> BreakerState:
    """Somebody asks to try it now, and may have mended it."""
    return HalfOpen(replace(standing, tries=0)) if isinstance(standing, Open) else standing


def _opened(cause: str, suspects: frozenset[str], now: float) -> Open:
    until = now + WAIT_SECONDS[0]
    return Open(cause=cause, until=until, tries=0, suspects=suspects, is_over_when_open=False)


def _retried_later(opened_state: Open, now: float) -> Open:
    tries = opened_state.tries + 1
    wait_seconds = WAIT_SECONDS[min(tries, len(WAIT_SECONDS) - 1)]
    return replace(opened_state, tries=tries, until=now + wait_seconds)


class CircuitBreaker:
    """Decides by the rules above for each part of the machine that jobs need.

    Says once that nothing is begun, and keeps jobs from being blamed for it.
    """

    def __init__(self, context: Context, jobs: JobTable) -> None:
        """Where nobody waits for better times, it is given up after a few tries at once."""
        self._jobs, self._clock = jobs, context.clock
        self._tell, self._at_once = context.tell, context.once
        self._states: dict[Part, BreakerState] = dict.fromkeys(Part, Closed())

    @property
    def is_open(self) -> bool:
        """Whether nothing at all may be begun."""
        return any(map(self.is_open_at, Part))

    def is_open_at(self, part: Part) -> bool:
        """Whether nothing may be begun that needs this part."""
        return isinstance(self._states[part], Open)

    @property
    def is_given_up(self) -> bool:
        """Whether it is not tried again, because nobody waits."""
        return any(map(self._is_given_up_at, Part))

    def _is_given_up_at(self, part: Part) -> bool:
        state = self._states[part]
        return self._at_once and isinstance(state, Open) and state.tries >= _TRIES_AT_ONCE

    @property
    def is_half_open(self) -> bool:
        """Whether one job may be under way at a time."""
        return any(map(self.is_half_open_at, Part))

    def is_half_open_at(self, part: Part) -> bool:
        """Whether one job tries out this part."""
        return isinstance(self._states[part], HalfOpen)

    @property
    def suspects(self) -> frozenset[str]:
        """The jobs that go after all others."""
        return frozenset().union(*(state.suspects for state in self._states.values()))

    def reason(self) -> str:
        """Why jobs wait, and when it is tried again; "" where they do not."""
        parts = sorted(Part, key=lambda part: not self.is_open_at(part))
        return next(filter(None, map(self._reason_at, parts)), "")

    def _reason_at(self, part: Part) -> str:
        match self._states[part]:
            case Closed():
                return ""
            case Open(cause=cause) if self._is_given_up_at(part):
                return cause
            case Open(cause=cause, until=until):
                return f"{cause}; {self._when(until)}"
            case HalfOpen(opened_state):
                return f"{opened_state.cause}; the next job tries it out"

    def advance(self) -> None:
        """Let one job go where the time for it has come."""
        now = math.inf if self._at_once else self._clock.monotonic()
        if not self.is_given_up:
            for part in Part:
                self._set_state(part, by(self._states[part], now))

    def try_now(self) -> None:
        """Let one job go at once: somebody may have mended the machine."""
        for part in Part:
            self._set_state(part, at_once(self._states[part]))

    def died(self, job_id: str, how: str, part: Part = Part.EDITOR) -> bool:
        """Take note of a process's end over a job alone; whether the job may be blamed for it."""
        now = self._clock.monotonic()
        self._set_state(part, after_death(self._states[part], job_id, how, now, part))
        return not self.is_open

    def hindered(self, cause: str, part: Part = Part.EDITOR) -> None:
        """Take note that the machine hindered a job."""
        now, cause = self._clock.monotonic(), cause.rstrip(".")
        self._set_state(part, after_machine_fault(self._states[part], cause, now))

    def failed_to_start(self, what: str, part: Part = Part.EDITOR) -> None:
        """Take note that a process cannot be opened."""
        before, cause = self._states[part], _UNOPENED[part].format(what=what)
        now = self._clock.monotonic()
        self._set_state(part, after_machine_fault(before, cause, now, is_over_when_open=True))

    def opened(self, part: Part = Part.EDITOR) -> None:
        """Take note that a process is ready."""
        self._set_state(part, after_start(self._states[part]))

    def succeeded(self, job_ids: Iterable[str], part: Part = Part.EDITOR) -> None:
        """Take note of jobs for which this part has done what they asked for."""
        before = self._states[part]
        self._set_state(part, after_success(before))
        if isinstance(before, HalfOpen) and not before.suspects & frozenset(job_ids):
            self._blame(before.suspects, strike=True)  # it was no fault of the machine

    def _set_state(self, part: Part, standing: BreakerState) -> None:
        before = self._states[part]
        if before == standing:
            return
        was_open, was_closed = self.is_open, not (self.is_open or self.is_half_open)
        self._states[part] = standing
        if isinstance(standing, Open):
            self._blame(standing.suspects, strike=False)
        if self.is_open:
            if not was_open:
                self._tell(WorkHalted(reason=self.reason()))
        elif self.is_half_open:
            if was_open:
                self._tell(WorkTried(what=part))
        elif not was_closed:
            self._tell(WorkGoesOn(what=part))

    def _blame(self, suspects: frozenset[str], *, strike: bool) -> None:
        """Whether the last end of the suspects that rest counts against them."""
        for job in self._jobs:
            if job.job.job_id in suspects and isinstance(job.phase, Backoff):
                phase = replace(job.phase, strike=strike)
                rested = job.at(phase) if isinstance(job, JobRun) else replace(job, phase=phase)
                self._jobs.put(rested)

    def _when(self, until: float) -> str:
        if self._at_once:
            return "one job tries it again at once"
        unix_time = self._clock.time() + until - self._clock.monotonic()
        moment = f"{local_time(unix_time):%H:%M}"
        return (
            f"one job tries it again at {moment}, or at once after a reload (SIGHUP) or a restart"
        )
