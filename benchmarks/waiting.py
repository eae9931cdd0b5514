"""What ten thousand files that wait in an inbox cost the daemon.

Which files wait changes what a look costs, so three inboxes are measured, each the dearest of its
kind: all in one folder, because files are matched within a folder, and with names that are no
ASCII, because those have to be normalised.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from harness import HotFolder

from benchmarks.effort import Effort
from benchmarks.measure import Judged, Measure
from benchmarks.pictures import SIDECAR, small, write_pair
from benchmarks.running import SETTLE_SECONDS, Running, resident_mb, wait
from config import settings_file
from daemon.inbox.inbox import Inbox, watch_mode_of
from daemon.job import Plan
from pipeline.recipe import Defaults, RecipeRules

FILES = 10_000
_WARM_SECONDS = 1.0
_COLD_SECONDS = 5.0
_IDLE_PERCENT = 2.0
_MEMORY_MB = 80
_GROWTH_MB = 1.0  # what "flat" means: less than 0.1 kB a scan
_WARM_UP_SCANS = 50
_SCANS_A_CHANGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedInbox:
    """Ten thousand files of one kind."""

    name: str
    why: str
    fill: Callable[[Path], None]
    claims: bool = True  # False: the daemon finds too little space and begins no job


def _fill_with_images(inbox: Path) -> None:
    for number in range(FILES):
        (inbox / f"Küche {number}.jpg").write_bytes(small())


def _fill_with_held_pairs(inbox: Path) -> None:
    for number in range(FILES // 2):
        sidecar = f"{SIDECAR}images: [Zeichen {number}.png]\n"
        write_pair(inbox, f"Küche {number}", small(), sidecar)


def _fill_with_ready_pairs(inbox: Path) -> None:
    (inbox / "Zeichen.jpg").write_bytes(small())
    (inbox / "allein.jpg").write_bytes(small())  # the daemon tells that it waits, so it is heard
    for number in range(FILES // 2 - 1):
        write_pair(inbox, f"Küche {number}", small(), f"{SIDECAR}images: [Zeichen.jpg]\n")


INBOXES = (
    TimedInbox(
        name="lone images",
        why=f"{FILES} images whose sidecars have not come; every one is opened and examined",
        fill=_fill_with_images,
    ),
    TimedInbox(
        name="held pairs",
        why=f"{FILES // 2} pairs, each waiting for a reference of its own that has not come;"
        " every sidecar is read, every reference looked up",
        fill=_fill_with_held_pairs,
    ),
    TimedInbox(
        name="ready pairs",
        why=f"{FILES // 2 - 1} complete pairs that name one reference; the disk is too full to"
        " begin (min_free_gib), so that all stay ready and sorted",
        fill=_fill_with_ready_pairs,
        claims=False,
    ),
)


def measure(base: Path, effort: Effort) -> Iterator[Measure]:
    """Looks within this process, then real daemons with both ways of watching."""
    folders = [HotFolder(base / f"waiting{number}") for number in range(len(INBOXES))]
    for inbox, hot in zip(INBOXES, folders, strict=True):
        inbox.fill(hot.inbox)
        _configure(inbox, hot, "events")
        yield from _looks(inbox, hot, effort)
    yield _memory_over_scans(folders[1], effort)
    for inbox, hot in zip(INBOXES, folders, strict=True):
        yield from _daemon(inbox, hot, effort)
    for way in ("events", "poll"):
        yield from _idle(folders, way, effort)


def _configure(inbox: TimedInbox, hot: HotFolder, way: str) -> None:
    space = "" if inbox.claims else ", min_free_gib: 1048576"
    hot.write_settings(f"defaults: {{settle_seconds: {SETTLE_SECONDS:g}, watch: {way}{space}}}")


def _survey(hot: HotFolder) -> Inbox:
    """An inbox as the daemon surveys it, but taking every file for settled at once."""
    settings = settings_file.load(hot.settings)
    (folder,) = settings.folders
    at_once = replace(watch_mode_of(folder), settle_seconds=0.0)
    rules = RecipeRules.of(settings, Defaults(), folder.keys)
    return Inbox.of(folder, at_once, rules, final=False)


def _looks(inbox: TimedInbox, hot: HotFolder, effort: Effort) -> Iterator[Measure]:
    survey = _survey(hot)
    yield Measure(
        name=f"{inbox.name}: cold look",
        unit="s",
        samples=tuple(_seconds(_survey(hot).scan) for _ in range(effort.cold_looks)),
        floor=_COLD_SECONDS,
        how=f"scan, read, plan by a new Inbox, in process. {inbox.why}",
    )
    survey.scan(time.monotonic())
    yield Measure(
        name=f"{inbox.name}: look after a change",
        unit="s",
        samples=tuple(_seconds_after_change(hot, survey) for _ in range(effort.warm_looks)),
        floor=_WARM_SECONDS,
        how="scan and plan in process; one image was touched, the sidecars were not",
    )
    yield Measure(
        name=f"{inbox.name}: look without a change",
        unit="s",
        samples=tuple(_seconds(survey.scan) for _ in range(effort.warm_looks)),
        floor=_WARM_SECONDS,
        how="scan in process; the plan of before holds",
    )


def _seconds(take: Callable[[float], Plan]) -> float:
    began = time.perf_counter()
    plan = take(time.monotonic())
    ended = time.perf_counter()
    assert len(plan.states) >= FILES
    return ended - began


def _seconds_after_change(hot: HotFolder, survey: Inbox) -> float:
    os.utime(hot.inbox / "Küche 7.jpg")
    return _seconds(survey.scan)


def _memory_over_scans(hot: HotFolder, effort: Effort) -> Measure:
    survey = _survey(hot)
    _scan(hot, survey, _WARM_UP_SCANS)
    before = resident_mb(os.getpid())
    _scan(hot, survey, effort.scans)
    return Measure(
        name=f"held pairs: growth over {effort.scans} looks",
        unit="MB",
        samples=(resident_mb(os.getpid()) - before,),
        floor=_GROWTH_MB,
        how=f"VmRSS after and before, in process; every {_SCANS_A_CHANGE}th look finds a change;"
        f" {_WARM_UP_SCANS} looks went before",
    )


def _scan(hot: HotFolder, survey: Inbox, count: int) -> None:
    for number in range(count):
        if number % _SCANS_A_CHANGE == 0:
            os.utime(hot.inbox / "Küche 7.jpg")
        survey.scan(time.monotonic())
    gc.collect()


def _daemon(inbox: TimedInbox, hot: HotFolder, effort: Effort) -> Iterator[Measure]:
    with Running(hot) as running:
        told_at = running.wait_for("action=file_waiting")
        yield Measure(
            name=f"{inbox.name}: daemon, start to plan",
            unit="s",
            samples=(told_at - running.started_at - SETTLE_SECONDS,),
            floor=_COLD_SECONDS,
            how="from starting the process to its line of what waits, less the settle time;"
            " events",
        )
        running.wait_for("action=editor_ready")
        late = tuple(_late_drop(hot, running, number) for number in range(effort.late_drops))
        yield Measure(
            name=f"{inbox.name}: daemon, drop to plan",
            unit="s",
            samples=late,
            floor=_WARM_SECONDS,
            judged=Judged.GREATEST,
            how="from the rename that brings a lone image in to the line that it waits, less the"
            " settle time; two looks and the pauses before them; events",
        )
        yield Measure(
            name=f"{inbox.name}: daemon, memory",
            unit="MB",
            samples=(running.memory_mb(),),
            floor=_MEMORY_MB,
            how="VmRSS of the daemon process, after these drops",
        )


def _late_drop(hot: HotFolder, running: Running, number: int) -> float:
    name = f"late{number}.jpg"
    (hot.cwd / name).write_bytes(small())
    dropped_at = time.time()
    (hot.cwd / name).rename(hot.inbox / name)
    return running.wait_for("action=file_waiting", f"file={name}") - dropped_at - SETTLE_SECONDS


def _idle(folders: Sequence[HotFolder], way: str, effort: Effort) -> Iterator[Measure]:
    """All three at a time: what is measured is the time that each one takes for itself."""
    with ExitStack() as stack:
        daemons: list[Running] = []
        for inbox, hot in zip(INBOXES, folders, strict=True):
            _configure(inbox, hot, way)
            daemons.append(stack.enter_context(Running(hot)))
        for running in daemons:
            running.wait_for("action=editor_ready")
            running.wait_for("action=file_waiting")
        wait(1.0)
        before = [running.cpu_seconds() for running in daemons]
        wait(effort.idle_seconds)
        spent = [running.cpu_seconds() - at for running, at in zip(daemons, before, strict=True)]
    for inbox, seconds in zip(INBOXES, spent, strict=True):
        yield Measure(
            name=f"{inbox.name}: idle daemon, {way}",
            unit="% of a core",
            samples=(100 * seconds / effort.idle_seconds,),
            floor=_IDLE_PERCENT,
            how=f"utime + stime of daemon, editor and pixel workers in {effort.idle_seconds:g} s",
        )
