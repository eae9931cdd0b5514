"""A picture takes the same memory in its worker on few cores and on many."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rig.one_worker import OneWorker

from pipeline.pixel_requests import Composed

CORES = 256
# What OpenCV, OpenBLAS and glibc do by themselves on a machine of so many cores.
MANY_CORES = {
    "OPENCV_FOR_THREADS_NUM": str(CORES),
    "OPENBLAS_NUM_THREADS": str(CORES),
    "MALLOC_ARENA_MAX": str(8 * CORES),
}


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
    composing = made.composing(image, prepared, edited)
    peaks = []
    for environment in ({}, MANY_CORES):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with closing(OneWorker()) as worker:
            assert isinstance(worker.ask(composing), Composed)
            peaks.append(worker.memory_mib("VmPeak"))
    few, many = peaks
    assert many < 1.1 * few
