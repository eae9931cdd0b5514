"""What an inbox of a hundred thousand files costs at each look, and in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import HotFolder

from benchmarks.measure import Measure
from benchmarks.pictures import small
from benchmarks.running import Running
from config import settings_file
from daemon.inbox.inbox import Inbox, watch_mode_of
from daemon.inbox.scan import scan
from daemon.job import Plan
from pipeline.recipe import Defaults, RecipeRules

_FILES = 100_000
_FOLDERS = 100
_LOOKS = 5
_COLD_LOOKS = 3


def measure(base: Path, quick: bool) -> Iterator[Measure]:
    """Looks within this process, then a real daemon."""
    files = _FILES // 10 if quick else _FILES
    hot = HotFolder(base / "crowd")
    hot.write_settings("defaults: {settle_seconds: 0}")
    _fill(hot.inbox, files)
    alone = f"{files} lone images in {_FOLDERS} folders"
    yield Measure(
        name=f"{alone}: listing",
        unit="s",
        samples=tuple(_seconds(lambda: scan(hot.inbox, trust_inodes=True)) for _ in range(_LOOKS)),
        floor=None,
        how="scan in process: every folder is listed and every file asked for its status",
    )
    yield from _looks(hot, alone, files)
    yield from _daemon(hot, alone, files)


def _fill(inbox: Path, files: int) -> None:
    for number in range(_FOLDERS):
        folder = inbox / f"Ordner {number}"
        folder.mkdir()
        for each in range(files // _FOLDERS):
            (folder / f"Küche {each}.jpg").write_bytes(small())


def _looks(hot: HotFolder, alone: str, files: int) -> Iterator[Measure]:
    yield Measure(
        name=f"{alone}: cold look",
        unit="s",
        samples=tuple(_look_seconds(_survey(hot), files) for _ in range(_COLD_LOOKS)),
        floor=None,
        how="scan, open and examine every image, plan, by a new Inbox, in process;"
        " the files are in the system's cache",
    )
    survey = _survey(hot)
    survey.scan(time.monotonic())
    yield Measure(
        name=f"{alone}: look after a change",
        unit="s",
        samples=tuple(_changed_seconds(hot, survey, files) for _ in range(_LOOKS)),
        floor=None,
        how="scan and plan in process; one image was touched",
    )
    yield Measure(
        name=f"{alone}: look without a change",
        unit="s",
        samples=tuple(_look_seconds(survey, files) for _ in range(_LOOKS)),
        floor=None,
        how="scan in process; the plan of before holds",
    )


def _daemon(hot: HotFolder, alone: str, files: int) -> Iterator[Measure]:
    with Running(hot) as running:
        told_at = running.wait_for("more files wait or are ignored")
        yield Measure(
            name=f"{alone}: daemon, start to plan",
            unit="s",
            samples=(told_at - running.started_at,),
            floor=None,
            how="from starting the process to its line of what waits; events, settle_seconds 0",
        )
        yield Measure(
            name=f"{alone}: daemon, memory",
            unit="MB",
            samples=(running.memory_mb(),),
            floor=None,
            how=f"VmRSS of the daemon process when it knows all {files}",
        )


def _survey(hot: HotFolder) -> Inbox:
    settings = settings_file.load(hot.settings)
    (folder,) = settings.folders
    rules = RecipeRules.of(settings, Defaults(), folder.keys)
    return Inbox.of(folder, watch_mode_of(folder), rules, final=False)


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def _look_seconds(survey: Inbox, files: int) -> float:
    plans: list[Plan] = []
    seconds = _seconds(lambda: plans.append(survey.scan(time.monotonic())))
    assert len(plans[0].states) == files
    return seconds


def _changed_seconds(hot: HotFolder, survey: Inbox, files: int) -> float:
    os.utime(hot.inbox / "Ordner 7" / "Küche 7.jpg")
    return _look_seconds(survey, files)
