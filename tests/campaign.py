"""A campaign of faults: nights in which something goes wrong, each followed by its morning."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults import Fault, Way
from morning import Evening, attempts_counted, receipts, wrong_in_the_end, wrong_now
from nights import FOR_EVER, ONCE, SCRIPTED, Hot, Night
from warm import Run, Warm

_ENDS = (0, 1)


@dataclass(frozen=True, slots=True)
class Case:
    """A night, and what goes wrong in it, run after run."""

    night: Night
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.night} | {' | then '.join(map(str, self.faults))}"


class Campaign:
    """Works cases at once, as many as there are warm processes."""

    def __init__(self, base: Path, warm: int) -> None:
        self._base = base
        self._count, self._lock = 0, threading.Lock()
        self._idle: queue.SimpleQueue[Warm] = queue.SimpleQueue()
        self._warm = [Warm() for _ in range(warm)]
        for one in self._warm:
            self._idle.put(one)

    def close(self) -> None:
        """End the warm processes."""
        for one in self._warm:
            one.close()

    def steps(self, night: Night) -> tuple[str, ...]:
        """The steps of a night in which nothing goes wrong."""
        with self._hot() as (hot, warm):
            evening = begin(warm, hot, night)
            run = go(warm, hot, night, None)
            assert not list(_wrong_with(run, _ENDS))
            assert not list(_wrong_at_last(warm, hot, night, evening)), run.output
            return run.steps

    def survive(self, cases: Iterable[Case]) -> list[str]:
        """What went wrong in the mornings of the cases."""
        with ThreadPoolExecutor(len(self._warm)) as pool:
            return [wrong for wrongs in pool.map(self._survive, cases) for wrong in wrongs]

    def _survive(self, case: Case) -> list[str]:
        with self._hot() as (hot, warm):
            return [f"{case}: {wrong}" for wrong in wrong_of(case, hot, warm)]

    @contextmanager
    def _hot(self) -> Iterator[tuple[Hot, Warm]]:
        with self._lock:
            self._count += 1
            base = self._base / str(self._count)
        warm = self._idle.get()
        try:
            yield Hot(base), warm
        finally:
            self._idle.put(warm)
            shutil.rmtree(base)


def begin(warm: Warm, hot: Hot, night: Night) -> Evening:
    """Drop what is dropped, after the night before."""
    if night.earlier is not None:
        night.earlier(hot)
        before = _run(warm, hot, ONCE, None, scripted=False)
        assert before.code == 0, before.output
    night.drop(hot)
    return Evening.of(hot)


def go(warm: Warm, hot: Hot, night: Night, fault: Fault | None) -> Run:
    """Run the daemon until it ends."""
    is_to_be_stopped = night.is_stopped and not list(hot.root.parent.glob("done stop*"))
    words = FOR_EVER if is_to_be_stopped else ONCE
    return _run(warm, hot, words, fault, scripted=night.is_scripted)


def _run(
    warm: Warm, hot: Hot, words: Sequence[str], fault: Fault | None, *, scripted: bool
) -> Run:
    return warm.run(
        words,
        cwd=hot.cwd,
        environment=hot.environment,
        root=hot.root,
        fault=fault,
        roles=SCRIPTED if scripted else {},
    )


def wrong_of(case: Case, hot: Hot, warm: Warm) -> Iterator[str]:
    """Everything that is wrong after the faults, and after a run without any."""
    evening = begin(warm, hot, case.night)
    counted: dict[str, int] = {}
    for fault in case.faults:
        run = go(warm, hot, case.night, fault)
        is_deadly = fault.way in (Way.KILL, Way.TEAR, Way.CUT)
        yield from _wrong_with(run, (137, *_ENDS) if is_deadly else _ENDS)
        for wrong in wrong_now(hot, evening):
            yield f"at once, {wrong}"
        out = {receipt["job_id"] for receipt in receipts(hot).values()}
        counted |= {
            job: attempts + (job not in out) for job, attempts in attempts_counted(hot).items()
        }
    yield from _wrong_at_last(warm, hot, case.night, evening)
    for name, receipt in receipts(hot).items():
        if receipt["attempts"] < counted.get(receipt["job_id"], 0):
            yield f"{name} says {receipt['attempts']} attempts"


def _wrong_at_last(warm: Warm, hot: Hot, night: Night, evening: Evening) -> Iterator[str]:
    """What is wrong after plain runs until nothing is left to do."""
    for _ in range(1 + night.is_stopped):
        yield from _wrong_with(go(warm, hot, night, None), _ENDS)
    yield from wrong_in_the_end(hot, night, evening)


def _wrong_with(run: Run, codes: Sequence[int]) -> Iterator[str]:
    if run.code not in codes:
        yield f"it ended with {run.code} after {run.seconds:.0f} s, saying\n{run.output[-3000:]}"
    if run.orphans:
        yield f"{run.orphans} processes outlived it"
