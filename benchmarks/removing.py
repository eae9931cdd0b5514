"""What is left to be seen where the small model removed a thing, the right answer being drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from harness import HotFolder
from PIL import Image

from pipeline.qwen import offline

if TYPE_CHECKING:  # torch comes after the offline switches
    from training.scene import Scene
    from training.world import Edit

Pixels = npt.NDArray[np.float32]  # height x width x 3, levels 0 to 255

SIZE = (1600, 1200)
TOGETHER, ROUNDS = 8, 4  # pictures a run; runs
FINE, BROAD = 1.5, 10.0  # pixels: deviations; between them lies what the eye sees as an outline
AROUND = 48  # pixels around what should have changed
SEEN = 2.0  # levels
MODEL = Path(__file__).resolve().parents[1] / "models" / "small"


def measure(base: Path) -> dict[str, object]:
    """Remove things from photo-sized pictures by whole jobs, and compare with the empty place."""
    offline.enforce()
    rows = [row for number in range(ROUNDS) for row in _round(base / str(number), number)]
    outlines, likenesses = ([float(str(row[it])) for row in rows] for it in ("outline", "db"))
    return {
        "size": list(SIZE),
        "unit": "outline: 99th percentile of the error between two blurs, in levels",
        "median_outline": round(median(outlines), 2),
        "worst_tenth_outline": round(float(np.quantile(outlines, 0.9)), 2),
        "median_db": round(median(likenesses), 2),
        "rows": rows,
    }


def _round(base: Path, number: int) -> Iterator[dict[str, object]]:
    hot = HotFolder(base)
    hot.settle_fast()
    (hot.inbox / "_preset.yaml").write_text("{steps: 8, cfg: 1, seed: 7}", encoding="utf-8")
    edits = _edits(number)
    for index, edit in enumerate(edits):
        picture = Image.fromarray(_drawn(edit.before).astype(np.uint8))
        picture.save(hot.inbox / f"{index}.png")
        (hot.inbox / f"{index}.txt").write_text(edit.words, encoding="utf-8")
    done = hot.call("run", "--once", "--model", MODEL)
    assert done.returncode == 0, done.stderr
    for index, edit in enumerate(edits):
        with Image.open(hot.outbox / f"{index}.png") as opened:
            result = np.asarray(opened.convert("RGB"), np.float32)
        before, after = _drawn(edit.before), _drawn(edit.after)
        outline, likeness = _left(result, before, after)
        yield {"words": edit.words, "outline": round(outline, 2), "db": round(likeness, 2)}


def _edits(number: int) -> list[Edit]:
    from training.exam import questions
    from training.sayings import Kind

    return questions(TOGETHER, f"removing {number}", SIZE[0] / SIZE[1], [Kind.REMOVE])


def _drawn(scene: Scene) -> Pixels:
    import torch

    from training.drawing import draw, numbers

    rows = torch.from_numpy(numbers([scene], len(scene.things) + 1))
    (pixels,) = draw(rows, SIZE[1], SIZE[0])
    levels = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()) * 255
    return np.asarray(np.rint(levels), np.float32)


def _left(result: Pixels, before: Pixels, after: Pixels) -> tuple[float, float]:
    """How strong the outlines are that stay, in levels; how like the result is, in decibels."""
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * AROUND + 1, 2 * AROUND + 1))
    changed = (np.abs(after - before).max(axis=2) > SEEN).astype(np.uint8)
    where = cv2.dilate(changed, shape).astype(bool)
    error = result - after
    band = cv2.GaussianBlur(error, (0, 0), FINE) - cv2.GaussianBlur(error, (0, 0), BROAD)
    outline = float(np.quantile(np.abs(band).max(axis=2)[where], 0.99))
    square = float((error[where] ** 2).mean())
    return outline, float(10 * np.log10(255**2 / square))
