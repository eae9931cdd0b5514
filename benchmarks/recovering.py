"""How long a daemon takes to go on where a killed one left a thousand claimed jobs."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

from harness import HotFolder

from benchmarks.bursting import wait_for_all
from benchmarks.measure import Measure
from benchmarks.pictures import small, write_pair
from benchmarks.running import Running
from config import settings_file
from daemon.inbox.inbox import Inbox, watch_mode_of
from daemon.spool.records import new_ticket
from daemon.spool.spool import Spool
from pipeline.recipe import Defaults, RecipeRules

_JOBS = 1000
_RUNS = 3
_LOOKS = 5


def measure(base: Path, quick: bool) -> Iterator[Measure]:
    """The reading of work/ in this process, then real daemons."""
    jobs, runs = (_JOBS // 10, 1) if quick else (_JOBS, _RUNS)
    folders = [_left(HotFolder(base / str(number)), jobs) for number in range(runs)]
    yield Measure(
        name=f"recovery of {jobs} claimed jobs: reading them",
        unit="s",
        samples=tuple(_reading_seconds(folders[0], jobs) for _ in range(_LOOKS)),
        floor=None,
        how="Spool.recover in process: every job.json in work/ is read and judged",
    )
    began = [_recovery(hot, jobs) for hot in folders]
    yield Measure(
        name=f"recovery of {jobs} claimed jobs: start to first edit",
        unit="s",
        samples=tuple(first for first, _, _ in began),
        floor=None,
        how="from starting the process to the line of its first edit",
    )
    yield Measure(
        name=f"recovery of {jobs} claimed jobs: per job",
        unit="ms",
        samples=tuple(1000 * (last - first) / jobs for first, last, _ in began),
        floor=None,
        how="from the line of the first edit to the line of the last result, by the jobs",
    )
    yield Measure(
        name=f"recovery of {jobs} claimed jobs: memory of the daemon",
        unit="MB",
        samples=tuple(memory for _, _, memory in began),
        floor=None,
        how="VmRSS of the daemon process at its first edit",
    )


def _left(hot: HotFolder, jobs: int) -> HotFolder:
    """A hot folder as a daemon leaves it that dies with so many jobs under way."""
    hot.write_settings("defaults: {settle_seconds: 0}")
    for number in range(jobs):
        write_pair(hot.inbox, f"picture{number}", small())
    settings = settings_file.load(hot.settings)
    (folder,) = settings.folders
    rules = RecipeRules.of(settings, Defaults(), folder.keys)
    survey = Inbox.of(folder, watch_mode_of(folder), rules, final=False)
    spool = Spool(hot.root)
    for candidate in survey.scan(time.monotonic()).ready:
        drawn = new_ticket(time.time(), waited_seconds=0.0)
        spool.begin_attempt(spool.claim(candidate, frozenset(), drawn))
    return hot


def _reading_seconds(hot: HotFolder, jobs: int) -> float:
    gc.collect()
    began = time.perf_counter()
    recovered = list(Spool(hot.root).recover())
    ended = time.perf_counter()
    assert len(recovered) == jobs
    return ended - began


def _recovery(hot: HotFolder, jobs: int) -> tuple[float, float, float]:
    with Running(hot) as running:
        first = running.wait_for("action=job_running") - running.started_at
        memory = running.memory_mb()
        last = wait_for_all(running, jobs) - running.started_at
        return first, last, memory
