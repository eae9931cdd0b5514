"""How fast a burst of small pairs is worked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness import HotFolder

from benchmarks.measure import Measure
from benchmarks.pictures import small, write_pair
from benchmarks.running import SETTLE_SECONDS, Running

_PAIRS = 1000
_RUNS = 3
_PART = 100


def measure(base: Path, quick: bool) -> Iterator[Measure]:
    """A burst into a daemon that is at rest, several times."""
    pairs, runs = (_PAIRS // 10, 1) if quick else (_PAIRS, _RUNS)
    samples = [_burst(HotFolder(base / str(number)), pairs) for number in range(runs)]
    yield Measure(
        name=f"burst of {pairs} echo jobs: per job",
        unit="ms",
        samples=tuple(1000 * (done - claimed) / pairs for claimed, done in samples),
        floor=None,
        how="pairs of a JPEG of 160 x 120 pixels and a YAML are renamed in at once; from the line"
        " of the first claim to the line of the last result, by the jobs",
    )
    yield Measure(
        name=f"burst of {pairs} echo jobs: jobs a minute",
        unit="jobs/min",
        samples=tuple(60 * pairs / (done - claimed) for claimed, done in samples),
        floor=None,
        how="the same, the other way round",
    )


def _burst(hot: HotFolder, pairs: int) -> tuple[float, float]:
    hot.write_settings(f"defaults: {{settle_seconds: {SETTLE_SECONDS:g}}}")
    waiting = hot.cwd / "waiting"
    waiting.mkdir()
    for number in range(pairs):
        write_pair(waiting, f"picture{number}", small())
    with Running(hot) as running:
        running.wait_for("action=editor_ready")
        waiting.rename(hot.inbox / "burst")
        done = wait_for_all(running, pairs)
        return running.wait_for("action=job_claimed"), done


def wait_for_all(running: Running, jobs: int) -> float:
    """The Unix time of the last result; patient for as long as results come."""
    for part in range(_PART, jobs, _PART):
        running.wait_for("action=job_done", count=part)
    return running.wait_for("action=job_done", count=jobs)
