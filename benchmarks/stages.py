"""The stages of one composition, and what models do unasked, as pictures for the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rig.drift import Drift, canvas, drifted

from benchmarks import mapping
from benchmarks.restoring import RETITLED, Case, drawn, edited
from benchmarks.returning import Job, ours
from pipeline.composite.compare import Comparison, weight

Canvas = npt.NDArray[np.uint8]

CASE = Case(kind="face", name="write", drift="bad", seed=1, has_rivals=False)
WIDTH = 480
AMPLIFIED = 4
SIZE, SEED = (768, 512), 1  # of the pictures that show one fault each
PANEL = 300  # pixels
MAPPED = mapping.Case(kind="fabric", name="dusk", drift="bad", is_redrawn=True, scale=4.0)
MAPPED_PART = 200  # pixels of the original


class Fault(NamedTuple):
    """What a model does unasked to a picture, beside the edit that was asked for."""

    kind: str
    edit: str
    drift: Drift

    @property
    def case(self) -> Case:
        """The edit that was asked for."""
        return Case(kind=self.kind, name=self.edit, drift="", seed=SEED, has_rivals=False)


FAULTS = {
    "texture": Fault("meadow", "recolour", Drift(redrawn=1.0, texture_contrast=0.88, noise=1.0)),
    "slow-tone": Fault("wall", "write", Drift(slow_tone=3.0, noise=1.0)),
    "moved": Fault("poster", "recolour", Drift(strayed=4.0, noise=1.0)),
    "strokes": Fault("cover", RETITLED, Drift(redrawn=0.7, blur=0.4, noise=1.0)),
}


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
    strips = {f"fault-{name}": _fault_shown(fault) for name, fault in FAULTS.items()}
    strips["map"] = _map_shown()
    for name, strip in strips.items():
        Image.fromarray(strip).save(folder / f"{name}.jpg", quality=85)
    return [*stages, *strips]


def _fault_shown(fault: Fault) -> Canvas:
    """Original, edit, how the edit differs, and how the result does, side by side."""
    before, made = edited(fault.case, SIZE)
    after = drifted(canvas(made.pixels, *SIZE), fault.drift, SEED)
    job = Job(_levels(before), canvas(before, *SIZE), after)
    result, _ = ours(job)
    differences = (_difference(job.before, it) for it in (after, result))
    return np.hstack([np.asarray(_small(it, PANEL)) for it in (job.before, after, *differences)])


def _map_shown() -> Canvas:
    """A part of original, edit, result and ideal, pixel by pixel."""
    job, ideal, _ = mapping.drawn(MAPPED)
    result, _ = ours(job)
    middle = [(side - MAPPED_PART) // 2 for side in job.original.shape[:2]]
    part = tuple(slice(it, it + MAPPED_PART) for it in middle)
    plain = _levels(job.enlarged(job.after))
    shown = [np.asarray(it[part]) for it in (job.original, plain, result, ideal)]
    size = (PANEL, PANEL)
    return np.hstack([cv2.resize(it, size, interpolation=cv2.INTER_NEAREST) for it in shown])


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


def _small(stage: Canvas, width: int = WIDTH) -> Image.Image:
    height = round(stage.shape[0] * width / stage.shape[1])
    return Image.fromarray(
        np.asarray(cv2.resize(stage, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    )
