"""A picture takes the same memory in its worker on few cores and on many."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daemon.jobs.circuit_breaker import CircuitBreaker
from daemon.jobs.job_run import JobTable
from daemon.workers.child import Ended, Said
from daemon.workers.pixel_pool import Answered, PixelPool, Work
from pipeline.ipc import PixelsReady
from pipeline.pixel_requests import Composed

CORES = 256
# What OpenCV, OpenBLAS and glibc do by themselves on a machine of so many cores.
MANY_CORES = {
    "OPENCV_FOR_THREADS_NUM": str(CORES),
    "OPENBLAS_NUM_THREADS": str(CORES),
    "MALLOC_ARENA_MAX": str(8 * CORES),
}


def peak_mib(pool: PixelPool, mailbox: queue.SimpleQueue[Said | Ended], work: Work) -> float:
    """Address space that the one worker has taken at most, after it has answered."""
    breaker = CircuitBreaker(jobs=JobTable(), clock=time, tell=lambda _: None, at_once=False)
    pool.go_on(0.0, breaker)
    ready = mailbox.get(timeout=60)
    assert isinstance(ready, Said)
    assert isinstance(pool.heard(ready, 0.0), PixelsReady)
    pool.submit(work)
    pool.go_on(0.0, breaker)
    said = mailbox.get(timeout=120)
    assert isinstance(said, Said), said
    answer = pool.heard(said, 1.0)
    assert isinstance(answer, Answered)
    assert isinstance(answer.reply, Composed), answer.reply
    status = Path(f"/proc/{said.child.pid}/status").read_text()
    found = re.search(r"^VmPeak:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def test_many_cores_take_no_more_of_a_workers_memory_than_few(
    job: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "photo.png"
    grain = np.random.default_rng(1).integers(0, 255, (900, 1200, 3)).astype(np.uint8)
    Image.fromarray(grain).resize((2400, 1800)).save(image, compress_level=1)
    made = job(working_pixels=1024 * 1024)
    prepared = made.prepare(image)
    edited = made.into / "edited.png"
    with Image.open(prepared.canvases[0]) as canvas:
        canvas.paste((200, 40, 40), (300, 200, 500, 400))
        canvas.save(edited, compress_level=1)
    work = Work("job", 0, made.composing(image, prepared, edited))
    peaks = []
    for environment in ({}, MANY_CORES):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        mailbox: queue.SimpleQueue[Said | Ended] = queue.SimpleQueue()
        pool = PixelPool(1, mailbox.put)
        try:
            peaks.append(peak_mib(pool, mailbox, work))
        finally:
            pool.close()
    few, many = peaks
    assert many < 1.1 * few
