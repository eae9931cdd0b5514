"""The pixel workers: a few processes that open and save pictures; a death costs one job."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from daemon.workers.child import RESTART_SECONDS, ChildProcess, Ended, Part, Said
from pipeline.ipc import FromPixels, PixelsReady, ToPixels
from pipeline.pixel_requests import Prepare

PIXEL_MODULE = "pipeline.pixel_worker"
HANG_SECONDS = 300.0
# A worker's limit is of address space, of which each thread and each arena takes its part: without
# these a machine of many cores has none left for the picture.
_FEW_THREADS = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_HEARS = PixelsReady | FromPixels
_MINE = (Part.WORKERS, Part.OPENING, Part.SAVING)
STARTS = 3  # that fail in a row: it will not start by itself


@dataclass(frozen=True, slots=True)
class Work:
    """A request for a job, and which of its variants it is for."""

    job_id: str
    index: int
    request: ToPixels

    @property
    def part(self) -> Part:
        """What the machine must be able to do for it."""
        return Part.OPENING if isinstance(self.request, Prepare) else Part.SAVING


@dataclass(frozen=True, slots=True)
class Answered:
    """A request has been answered."""

    work: Work
    reply: FromPixels
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker died, or hung and was killed: over a request that is wanted, or without one."""

    work: Work | None
    failed_starts: int  # in a row, where none is left and no other will start; else 0


@dataclass(frozen=True, slots=True)
class _Starting:
    since: float


@dataclass(frozen=True, slots=True)
class _Idle:
    pass


@dataclass(frozen=True, slots=True)
class _Busy:
    work: Work
    since: float
    is_forgotten: bool = False  # nobody wants to know any more what comes of it


class CircuitState(Protocol):
    """What the pool asks of the circuit breaker."""

    @property
    def suspects(self) -> frozenset[str]:
        """The jobs that go after all others."""

    def is_open_at(self, part: Part, /) -> bool:
        """Whether nothing may be begun that needs this part."""

    def is_half_open_at(self, part: Part, /) -> bool:
        """Whether one job tries out this part."""


class PixelPool:
    """Hands requests to idle workers, first come first served."""

    def __init__(
        self, size: int, deliver: Callable[[Said | Ended], None], module: str = PIXEL_MODULE
    ) -> None:
        self._size, self._deliver, self._module = size, deliver, module
        self._queue: deque[Work] = deque()
        self._workers: dict[ChildProcess, _Starting | _Idle | _Busy] = {}
        self._dying: set[ChildProcess] = set()  # those of them that were killed, until their end
        self._deaths_in_a_row = self._failed_starts = 0
        self._restart_at = -math.inf

    def __contains__(self, child: ChildProcess) -> bool:
        return child in self._workers

    def submit(self, work: Work) -> None:
        """Have a request answered; the answer comes through `heard` or `ended`."""
        self._queue.append(work)

    def forget(self, job_id: str) -> None:
        """Drop the requests of a job; nothing is heard any more of those under way."""
        self._queue = deque(work for work in self._queue if work.job_id != job_id)
        for child, state in self._workers.items():
            if isinstance(state, _Busy) and state.work.job_id == job_id:
                self._workers[child] = replace(state, is_forgotten=True)

    def is_at(self, job_id: str) -> bool:
        """Whether a worker has something of a job open."""
        return any(work.job_id == job_id for work in self._open)

    @property
    def _open(self) -> list[Work]:
        return [it.work for it in self._workers.values() if isinstance(it, _Busy)]

    def go_on(self, now: float, breaker: CircuitState) -> None:
        """Start the workers whose time has come, and hand out what may be done now."""
        if not breaker.is_open_at(Part.WORKERS):
            self._start_due(now, is_half_open=any(map(breaker.is_half_open_at, _MINE)))
        for child, state in self._workers.items():
            is_free = isinstance(state, _Idle) and child not in self._dying
            if is_free and (work := self._next(breaker)):
                self._queue.remove(work)
                self._workers[child] = _Busy(work, now)
                child.send(work.request)

    def _start_due(self, now: float, *, is_half_open: bool) -> None:
        # Who tries it out does not wait for the end of another rest.
        if is_half_open or now >= self._restart_at:
            for _ in range((1 if is_half_open else self._size) - len(self._workers)):
                child = ChildProcess(self._module, _HEARS, self._deliver, _FEW_THREADS)
                self._workers[child] = _Starting(now)

    def _next(self, breaker: CircuitState) -> Work | None:
        suspects = breaker.suspects
        # What is nearly done goes first: it is the older job, and its scratch is freed.
        return min(
            (work for work in self._queue if self._may_be_done(work, breaker)),
            key=lambda it: (it.part is Part.OPENING, it.job_id in suspects),
            default=None,
        )

    def _may_be_done(self, work: Work, breaker: CircuitState) -> bool:
        if breaker.is_half_open_at(work.part):
            return not any(other.part is work.part for other in self._open)
        return not breaker.is_open_at(work.part)

    def heard(self, said: Said, now: float) -> Answered | PixelsReady | None:
        """What a worker's message means; None where it makes no sense, or for nobody any more.

        One that makes no sense is the worker's last. What one that was killed has said before its
        end is for nobody: it would be given the next work, and that be blamed for its end.
        """
        if said.child in self._dying:
            return None
        match self._workers[said.child], said.message:
            case _Starting(), PixelsReady() as ready:
                if self._failed_starts:  # what hindered them is over
                    self._deaths_in_a_row, self._restart_at = 0, now
                self._failed_starts = 0
                self._workers[said.child] = _Idle()
                return ready
            case _Busy(work, since, is_forgotten), reply if isinstance(reply, FromPixels):
                self._deaths_in_a_row = 0
                self._workers[said.child] = _Idle()
                return None if is_forgotten else Answered(work, reply, now - since)
            case _:
                self._kill(said.child)
                return None

    def ended(self, ended: Ended, now: float) -> WorkerLost:
        """What a worker's end means; another takes its place, later after each further end."""
        state = self._workers.pop(ended.child)
        self._dying.discard(ended.child)
        wait = RESTART_SECONDS[min(self._deaths_in_a_row, len(RESTART_SECONDS) - 1)]
        self._restart_at = max(self._restart_at, now + wait)
        self._deaths_in_a_row += 1
        self._failed_starts += isinstance(state, _Starting)
        work = state.work if isinstance(state, _Busy) and not state.is_forgotten else None
        are_none_ready = all(isinstance(it, _Starting) for it in self._workers.values())
        cannot_start = self._failed_starts >= STARTS and are_none_ready
        return WorkerLost(work, self._failed_starts if cannot_start else 0)

    def kill_hung(self, now: float) -> None:
        """Kill the workers that have been at one request, or at their start, for too long."""
        for child, state in self._workers.items():
            if not isinstance(state, _Idle) and now - state.since > HANG_SECONDS:
                self._kill(child)

    def _kill(self, child: ChildProcess) -> None:
        self._dying.add(child)
        child.kill()

    def close(self) -> None:
        """End all workers."""
        for child in self._workers:
            child.kill()
        self._workers.clear()
        self._dying.clear()
        self._size = 0
