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

from faults import MET, Fault
from morning import (
    Evening,
    attempts_counted,
    receipts,
    said_in_vain,
    wrong_in_the_end,
    wrong_now,
)
from nights import FOR_EVER, ONCE, SCRIPTED, Hot, Night
from warm import Run, Warm

_ENDS, _KILLED = (0, 1), 137


@dataclass(frozen=True, slots=True)
class Case:
    """A night, and what goes wrong in it, run after run."""

    night: Night
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.night} | {' | then '.join(map(str, self.faults))}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some cases."""

    wrong: tuple[str, ...]
    met: int  # faults whose step was taken


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

    def steps(self, night: Night, *faults: Fault) -> tuple[str, ...]:
        """The steps of a run in which nothing goes wrong, after others in which something did."""
        with self._hot() as (hot, warm):
            begin(warm, hot, night)
            for fault in faults:
                go(warm, hot, night, fault)
            return go(warm, hot, night, None).steps

    def survive(self, cases: Iterable[Case]) -> Outcome:
        """What came of all the cases."""
        with ThreadPoolExecutor(len(self._warm)) as pool:
            outcomes = list(pool.map(self._survive, cases))
        return Outcome(
            wrong=tuple(wrong for outcome in outcomes for wrong in outcome.wrong),
            met=sum(outcome.met for outcome in outcomes),
        )

    def _survive(self, case: Case) -> Outcome:
        with self._hot() as (hot, warm):
            return outcome_of(case, hot, warm)

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


def outcome_of(case: Case, hot: Hot, warm: Warm) -> Outcome:
    """What came of a case, after a run in which nothing went wrong."""
    evening = begin(warm, hot, case.night)
    wrong: list[str] = []
    counted: dict[str, int] = {}
    met = 0
    for fault in case.faults:
        run = go(warm, hot, case.night, fault)
        met += any(step.startswith(MET) for step in run.steps)
        wrong += _wrong_with(run, (_KILLED, *_ENDS) if fault.is_deadly else _ENDS)
        wrong += [f"at once, {it}" for it in wrong_now(hot, evening)]
        wrong += said_in_vain(hot, run.output)
        counted |= attempts_counted(hot)
    wrong += _wrong_at_last(warm, hot, case.night, evening)
    for name, receipt in receipts(hot).items():
        if receipt["attempts"] < counted.get(receipt["job_id"], 0):
            wrong.append(f"{name} says {receipt['attempts']} attempts")
    return Outcome(wrong=tuple(f"{case}: {it}" for it in wrong), met=met)


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
