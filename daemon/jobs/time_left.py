"""When jobs are done: by the steps done and the measured step, before that by jobs like them.

What is measured comes in and seconds come out; where nothing was measured, nothing is claimed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from daemon.control.documents import Turn
from daemon.history import Typical
from pipeline.editor import Stage, StageName, Step
from pipeline.ipc import FromEditor
from pipeline.recipe import Recipe

_FEWEST_ROUNDS, _MOST_ROUNDS = 3, 50  # that a mean is taken of
_ENDS_KEPT = 100
_FEWEST_ENDS = 4  # before these a queue is still filling up


@dataclass(frozen=True, slots=True, kw_only=True)
class EditWork:
    """What one result asks of the editor."""

    steps: int
    weight: float  # of one of its steps, beside those of the others in the pass
    typical: Typical | None  # what jobs like it took; None: there were none

    @property
    def load(self) -> float:
        """All its steps."""
        return self.steps * self.weight


@dataclass(frozen=True, slots=True)
class _Round:
    """One step of all that are denoised together."""

    ended_at: float  # monotonic seconds
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPass:
    """What the editor is at: results that are edited together, each by its request id.

    Those that share the passage of the weights step in rounds; others come after them, within the
    same pass. A step of one is taken to cost the same whoever else is in its round.
    """

    began_at: float  # monotonic seconds
    works: Mapping[str, EditWork]
    steps_done: Mapping[str, int] = field(default_factory=dict)
    denoising_since: float | None = None
    rounds: tuple[_Round, ...] = ()  # the last one may still be landing
    in_round: frozenset[str] = frozenset()  # who has stepped in the last one

    def heard(self, message: FromEditor | None, now: float) -> EditPass:
        """The same after what the editor has said."""
        match message:
            case Stage(stage=StageName.DENOISE):
                since = now if self.denoising_since is None else self.denoising_since
                return replace(self, denoising_since=since)
            case Step(request_id, step, steps):
                return self._stepped(request_id, step, steps, now)
            case _:
                return self

    def _stepped(self, request_id: str, step: int, steps: int, now: float) -> EditPass:
        work = self.works.get(request_id)
        if work is None:
            return self
        if not self.rounds or request_id in self.in_round:
            before, load, others = self.rounds, 0.0, frozenset[str]()
        else:
            before, load, others = self.rounds[:-1], self.rounds[-1].load, self.in_round
        return replace(
            self,
            works={**self.works, request_id: replace(work, steps=steps)},
            steps_done={**self.steps_done, request_id: step},
            rounds=(*before, _Round(now, load + work.weight))[-_MOST_ROUNDS:],
            in_round=others | {request_id},
        )

    def seconds_left(self, now: float, unfinished: Collection[str]) -> float | None:
        """Until all `unfinished` requests are edited; None where nobody can know that yet."""
        works = {it: work for it, work in self.works.items() if it in unfinished}
        after = sum(work.typical.decode if work.typical else 0.0 for work in works.values())
        loads = {it: self._load_left(it) for it in works}
        if not any(loads.values()):
            return after
        steps = self._steps_left(sum(loads.values()), now)
        if steps is None:
            steps = _typical_steps(works)
            if steps is None:
                return None
            steps -= self._since(now) if self.denoising_since else 0.0
        return max(steps, 0.0) + after + self._until_steps(works, now)

    def _load_left(self, request_id: str) -> float:
        work = self.works[request_id]
        return (work.steps - self.steps_done.get(request_id, 0)) * work.weight

    def _since(self, now: float) -> float:
        last = self.rounds[-1].ended_at if self.rounds else self.denoising_since
        return now - (self.began_at if last is None else last)

    def _until_steps(self, works: Mapping[str, EditWork], now: float) -> float:
        if self.rounds or self.denoising_since is not None:
            return 0.0
        reading = sum(work.typical.encode if work.typical else 0.0 for work in works.values())
        return max(0.0, reading - self._since(now))

    def _steps_left(self, load: float, now: float) -> float | None:
        measured = self._measured()
        if measured is None:
            return None
        seconds, measured_load = measured
        each, since = seconds / measured_load, self._since(now)
        next_round = min(load, self.rounds[-1].load)
        if since > each * next_round:  # the one under way takes longer than those before
            each = (seconds + since) / (measured_load + next_round)
        return each * load - min(since, each * next_round)

    def _measured(self) -> tuple[float, float] | None:
        """In how many seconds which load was done of late.

        The first round warms up: it counts only where there is nothing better.
        """
        if len(self.rounds) > 1:
            count = min(len(self.rounds) - 1, max(_FEWEST_ROUNDS, len(self.rounds) // 2))
            seconds = self.rounds[-1].ended_at - self.rounds[-1 - count].ended_at
            return seconds, sum(it.load for it in self.rounds[-count:])
        if not self.rounds or self.denoising_since is None:
            return None
        (first,) = self.rounds
        seconds = first.ended_at - self.denoising_since
        usual = _typical_steps({it: self.works[it] for it in self.in_round})
        if usual is not None:
            load = sum(self.works[it].load for it in self.in_round)
            seconds = min(seconds, usual * first.load / load)
        return seconds, first.load


def _typical_steps(works: Mapping[str, EditWork]) -> float | None:
    """What all steps of these took of late; None where that is not known of one of them."""
    known = [(work.steps, work.typical) for work in works.values() if work.typical is not None]
    if len(known) < len(works):
        return None
    return sum(steps * typical.step for steps, typical in known)


def turns(
    jobs: Sequence[float | None], *, under_way: float | None, together: int, pace: float
) -> list[Turn]:
    """The turns of the jobs of a queue, in its order, each by the seconds of work that it takes.

    `under_way` is what the editor needs for what it is at, `together` how many it takes at once,
    and `pace` how long a second of work takes in a queue.
    """
    ends: list[float | None] = []
    end = under_way
    for start in range(0, len(jobs), together):
        # Those that are edited together are done together.
        batch = jobs[start : start + together]
        known = [seconds for seconds in batch if seconds is not None]
        is_known = end is not None and len(known) == len(batch)
        end = end + pace * sum(known) if end is not None and is_known else None
        ends += [end] * len(batch)
    rounded = [None if it is None else round(it, 1) for it in ends]
    return [Turn(ahead, len(jobs), seconds) for ahead, seconds in enumerate(rounded)]


class Pace:
    """How long a second of work takes in a queue, by the jobs that ended of late.

    Less than a second where one job is edited while others are opened and saved; more where much
    is not counted as work, or the machine has other things to do.
    """

    def __init__(self) -> None:
        self._factor = 1.0  # of the last queue that told
        self._since: float | None = None
        self._ends: deque[tuple[float, Recipe]] = deque(maxlen=_ENDS_KEPT)

    def begin(self, now: float) -> None:
        """Count from now on: the queue is empty at this moment."""
        self._since = now
        self._ends.clear()

    def ended(self, now: float, recipe: Recipe) -> None:
        """Take note of the end of a job."""
        if len(self._ends) == _ENDS_KEPT:
            self._since = self._ends[0][0]
        self._ends.append((now, recipe))

    def factor(self, seconds_of: Callable[[Recipe], float | None]) -> float:
        """The pace, by what such jobs are thought to take now, as those that wait are."""
        work = sum(seconds_of(recipe) or 0.0 for _, recipe in self._ends)
        if self._since is not None and len(self._ends) >= _FEWEST_ENDS and work > 0:
            self._factor = (self._ends[-1][0] - self._since) / work
        return self._factor
