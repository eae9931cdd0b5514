"""The stages of one composition as pictures, for the documentation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.restoring import Case, drawn
from benchmarks.returning import Job, ours
from pipeline.composite.compare import Comparison, weight

Canvas = npt.NDArray[np.uint8]

CASE = Case(kind="face", name="write", drift="bad", seed=1, has_rivals=False)
WIDTH = 480
AMPLIFIED = 4


def draw(folder: Path) -> list[str]:
    """Write a picture of each stage; return their names in order."""
    folder.mkdir(parents=True, exist_ok=True)
    job, _, _ = drawn(CASE)
    result, found = ours(job)
    stages = {
        "1-original": job.original,
        "2-edit": job.after,
        "3-difference-as-it-lies": _difference(job.before, job.after),
        "4-difference-aligned-and-toned": _difference(job.before, found.aligned),
        "5-change": _change(found),
        "6-mask": _grey(weight(found.verdict, found.before.shape[:2]) * 255),
        "7-result": result,
        "8-difference-to-the-original": _difference(job.original, result),
    }
    for name, stage in stages.items():
        _small(stage).save(folder / f"{name}.jpg", quality=85)
    return list(stages)


def numbers() -> dict[str, object]:
    """What was found in the example, for the JSON."""
    job, _, _ = drawn(CASE)
    return {"picture": CASE.kind, "edit": CASE.name, "drift": CASE.drift, **_fidelity(job)}


def _fidelity(job: Job) -> dict[str, object]:
    from config.values import Region
    from pipeline.composite.compose import Compared, compose

    _, found = ours(job)
    toned = found.in_tone(job.after)
    layer = Compared(colours=toned, raw=job.after, comparison=found, takes_all=False)
    whole = Region(0, 0, job.original.shape[1], job.original.shape[0])
    return dict(compose(job.original, whole, layer, None).fidelity.as_json())


def _difference(first: Canvas, second: npt.NDArray[np.generic]) -> Canvas:
    off = np.abs(first.astype(np.float32) - second.astype(np.float32)) * AMPLIFIED
    return _levels(off)


def _change(found: Comparison) -> Canvas:
    """Black = usual for a model, white = certainly edited."""
    return _grey(np.maximum(found.change.fine, found.change.coarse) * (255 / 8))


def _grey(plane: npt.NDArray[np.floating]) -> Canvas:
    return np.repeat(_levels(plane)[..., None], 3, axis=2)


def _levels(values: npt.NDArray[np.floating]) -> Canvas:
    levels: Canvas = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels


def _small(stage: Canvas) -> Image.Image:
    height = round(stage.shape[0] * WIDTH / stage.shape[1])
    return Image.fromarray(
        np.asarray(cv2.resize(stage, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
    )
