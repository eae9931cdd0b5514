"""How long a person waits for a command, and for the daemon's first look."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness import HotFolder

from benchmarks.effort import Effort
from benchmarks.measure import Measure
from benchmarks.pictures import small, write_pair
from benchmarks.running import COMMAND, Running

_COMMAND_SECONDS = 0.3
_START_SECONDS = 0.5
_MEMORY_MB = 80
_PAIRS = 10


def measure(base: Path, effort: Effort) -> Iterator[Measure]:
    """The commands on a small inbox; the daemon's start, and its size when idle."""
    hot = HotFolder(base)
    hot.write_settings()
    for number in range(_PAIRS):
        write_pair(hot.inbox, f"picture{number}", small())
    yield from _commands(hot, effort)
    for path in hot.inbox.iterdir():
        path.unlink()
    yield _starts(hot, effort)
    yield from _idle(hot, effort)


def _commands(hot: HotFolder, effort: Effort) -> Iterator[Measure]:
    image = hot.inbox / "picture7.jpg"
    for words in (["--help"], ["status"], ["why", str(image)], ["plan"]):
        what = f"hotfolder {words[0]}{' FILE' if words[1:] else ''}"
        how = f"wall time of the process, {2 * _PAIRS} files in the inbox, no daemon running"
        yield _command(hot, what, words, effort, how)


def _command(hot: HotFolder, what: str, words: list[str], effort: Effort, how: str) -> Measure:
    return Measure(
        name=what,
        unit="s",
        samples=tuple(_run_seconds(hot, words) for _ in range(effort.command_runs)),
        floor=_COMMAND_SECONDS,
        how=how,
    )


def _run_seconds(hot: HotFolder, words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        [COMMAND, *words], cwd=hot.cwd, env=hot.environment, check=True, capture_output=True
    )
    return time.perf_counter() - began


def _starts(hot: HotFolder, effort: Effort) -> Measure:
    def start_seconds() -> float:
        with Running(hot) as running:
            return running.wait_for("action=folder_online") - running.started_at

    return Measure(
        name="start until the first look",
        unit="s",
        samples=tuple(start_seconds() for _ in range(effort.starts)),
        floor=_START_SECONDS,
        how="from starting the process to its line that the folder is online; empty inbox",
    )


def _idle(hot: HotFolder, effort: Effort) -> Iterator[Measure]:
    with Running(hot) as running:
        running.wait_for("action=editor_ready")
        how = "`hotfolder status` while an idle daemon runs, which answers through its socket"
        yield _command(hot, "hotfolder status, asking a daemon", ["status"], effort, how)
        yield Measure(
            name="idle daemon: memory",
            unit="MB",
            samples=(running.memory_mb(),),
            floor=_MEMORY_MB,
            how="VmRSS of the daemon process, editor ready, empty inbox",
        )
        yield Measure(
            name="idle daemon: torch, Pillow, numpy",
            unit="mappings",
            samples=(running.heavy_libraries(),),
            floor=0,
            how="lines of /proc/PID/maps of the daemon process that name one of them",
        )
