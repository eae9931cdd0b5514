"""How long a pair waits for its claim, and what the daemon adds to every edit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from harness import HotFolder

from benchmarks.departures import Departures
from benchmarks.effort import Effort
from benchmarks.measure import Judged, Measure
from benchmarks.pictures import SIDECAR, megapixel, write_pair
from benchmarks.running import SETTLE_SECONDS, Running

_CLAIM_SECONDS = SETTLE_SECONDS + 1.0
_JOB_MS = 150
_STAGES = ("prepare", "encode", "denoise", "decode", "compose", "publish")


def measure(base: Path, effort: Effort) -> Iterator[Measure]:
    """Many jobs in a row, then single ones."""
    yield from _jobs_in_a_row(HotFolder(base / "row"), effort)
    yield from _single_drops(HotFolder(base / "single"), effort)


def _jobs_in_a_row(hot: HotFolder, effort: Effort) -> Iterator[Measure]:
    hot.write_settings()
    for number in range(effort.jobs):
        write_pair(hot.inbox, f"picture{number}", megapixel())
    with Departures(hot.inbox) as left, Running(hot) as running:
        last_done = running.wait_for("action=job_done", count=effort.jobs)
        first_claimed = running.wait_for("action=job_claimed")
    yield Measure(
        name=f"{effort.jobs} echo jobs in a row: claim to receipt",
        unit="ms",
        samples=_claim_to_receipt_ms(hot, left, [f"picture{it}.jpg" for it in range(effort.jobs)]),
        floor=_JOB_MS,
        how=f"{_picture()}; from the rename that takes the image out of the inbox to the one that"
        " gives the receipt its name; jobs overlap, so that this includes waiting for others",
    )
    yield from _stages(hot, effort)
    yield Measure(
        name=f"{effort.jobs} echo jobs in a row: per job",
        unit="ms",
        samples=(1000 * (last_done - first_claimed) / effort.jobs,),
        floor=None,
        how="from the line of the first claim to the line of the last result, by the jobs",
    )


def _stages(hot: HotFolder, effort: Effort) -> Iterator[Measure]:
    seconds = [hot.receipt(f"picture{it}.jpg")["seconds"] for it in range(effort.jobs)]
    for stage in _STAGES:
        samples = tuple(1000 * it[stage] for it in seconds)
        if median(samples) >= 1:
            yield Measure(
                name=f"- of which {stage}",
                unit="ms",
                samples=samples,
                floor=None,
                how="by the receipts",
            )


def _single_drops(hot: HotFolder, effort: Effort) -> Iterator[Measure]:
    hot.write_settings(f"defaults: {{settle_seconds: {SETTLE_SECONDS:g}}}")
    with Departures(hot.inbox) as left, Running(hot) as running:
        running.wait_for("action=editor_ready")
        seconds = tuple(_drop_to_claim(hot, running, it) for it in range(effort.drops))
    yield Measure(
        name="drop to claim",
        unit="s",
        samples=seconds,
        floor=_CLAIM_SECONDS,
        judged=Judged.GREATEST,
        how="from the rename that brings the sidecar in, the image being there already, to the"
        f" line of the claim; settle_seconds {SETTLE_SECONDS:g}, one pair at a time",
    )
    yield Measure(
        name="one echo job alone: claim to receipt",
        unit="ms",
        samples=_claim_to_receipt_ms(hot, left, [f"drop{it}.jpg" for it in range(effort.drops)]),
        floor=_JOB_MS,
        how=f"{_picture()}; measured in the same way; the next comes when this one is done",
    )


def _drop_to_claim(hot: HotFolder, running: Running, number: int) -> float:
    stem = f"drop{number}"
    write_pair(hot.cwd, stem, megapixel(), SIDECAR)
    (hot.cwd / f"{stem}.jpg").rename(hot.inbox / f"{stem}.jpg")
    dropped_at = time.time()
    (hot.cwd / f"{stem}.yaml").rename(hot.inbox / f"{stem}.yaml")
    claimed_at = running.wait_for("action=job_claimed", f"file={stem}.jpg")
    running.wait_for("action=job_done", f"file={stem}.jpg")
    return claimed_at - dropped_at


def _claim_to_receipt_ms(
    hot: HotFolder, left: Departures, names: Iterable[str]
) -> tuple[float, ...]:
    return tuple(1000 * (_receipt_time(hot, name) - left.at[name]) for name in names)


def _receipt_time(hot: HotFolder, name: str) -> float:
    # ctime: the receipt was written before it got its name, and is a receipt only since then.
    return (hot.outbox / f"{name}.json").stat().st_ctime


def _picture() -> str:
    return f"a JPEG of 1024 x 1024 pixels and {len(megapixel()) // 1024} KiB each"
