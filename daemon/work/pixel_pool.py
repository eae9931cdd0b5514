"""The pixel workers: a few processes that open and save pictures; a death costs one job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from daemon.work.child import Child, Ended, Said
from pipeline.channel import FromPixels, ToPixels
from pipeline.pictures import Prepare

HANG_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Work:
    """A request for a job, and which of its variants it is for."""

    job_id: str
    index: int
    request: ToPixels


@dataclass(frozen=True, slots=True)
class Answered:
    """A request has been answered."""

    work: Work
    answer: FromPixels
    seconds: float


@dataclass(frozen=True, slots=True)
class Died:
    """The worker died, or hung and was killed, over this request."""

    work: Work
    how: str
    last_words: str


@dataclass(frozen=True, slots=True)
class _Busy:
    work: Work
    since: float


class PixelPool:
    """Hands requests to idle workers, first come first served."""

    def __init__(self, size: int, deliver: Callable[[Said | Ended], None]) -> None:
        self._deliver = deliver
        self._queue: deque[Work] = deque()
        self._busy: dict[Child, _Busy | None] = {}
        for _ in range(size):
            self._start()

    def __contains__(self, child: Child) -> bool:
        return child in self._busy

    def submit(self, work: Work, now: float) -> None:
        """Have a request answered; the answer comes through `heard` or `ended`."""
        self._queue.append(work)
        self._hand_out(now)

    def forget(self, job_id: str) -> None:
        """Drop the requests of a job that wait; those under way are answered and to be ignored."""
        self._queue = deque(work for work in self._queue if work.job_id != job_id)

    def is_at(self, job_id: str) -> bool:
        """Whether a worker has something of a job open."""
        return any(busy and busy.work.job_id == job_id for busy in self._busy.values())

    def heard(self, said: Said, now: float) -> Answered | None:
        """What a worker's message means; one that makes no sense is its last, and means None."""
        busy, answer = self._busy[said.child], said.message
        if busy is None or not isinstance(answer, FromPixels):
            said.child.kill()
            return None
        self._busy[said.child] = None
        self._hand_out(now)
        return Answered(busy.work, answer, now - busy.since)

    def ended(self, ended: Ended, now: float) -> Died | None:
        """What a worker's end means; another takes its place."""
        busy = self._busy.pop(ended.child)
        self._start()
        self._hand_out(now)
        return Died(busy.work, ended.how, ended.last_words) if busy else None

    def kill_hung(self, now: float) -> None:
        """Kill the workers that have been at one request for too long."""
        for child, busy in self._busy.items():
            if busy and now - busy.since > HANG_SECONDS:
                child.kill()

    def close(self) -> None:
        """End all workers."""
        for child in self._busy:
            child.kill()
        self._busy.clear()

    def _start(self) -> None:
        self._busy[Child("pipeline.pixel_worker", self._deliver)] = None

    def _hand_out(self, now: float) -> None:
        for child, busy in self._busy.items():
            if busy is None and self._queue:
                # What is nearly done goes first: it is the older job, and its scratch is freed.
                work = min(self._queue, key=lambda it: isinstance(it.request, Prepare))
                self._queue.remove(work)
                self._busy[child] = _Busy(work, now)
                child.send(work.request)
