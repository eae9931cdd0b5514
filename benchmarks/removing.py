"""What is left to be seen where the small model removed a thing, the right answer being drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from harness import HotFolder

from pipeline.composite.arrays import blurred, near
from pipeline.qwen import offline

if TYPE_CHECKING:  # torch comes after the offline switches
    import torch

    from training.world import Edit

Pixels = npt.NDArray[np.float32]  # height x width x 3, levels 0 to 255

SIZE = (1600, 1200)
TOGETHER, ROUNDS = 8, 4  # pictures a run; runs
FINE, BROAD = 1.5, 10.0  # pixels: deviations; between them lies what the eye sees as an outline
AROUND = 48  # pixels around what should have changed
SEEN = 2.0  # levels


def measure(base: Path) -> dict[str, object]:
    """Remove things from photo-sized pictures by whole jobs, and compare with the empty place."""
    offline.enforce()
    left = [it for number in range(ROUNDS) for it in _round(base / str(number), number)]
    outlines = [outline for _, outline, _ in left]
    return {
        "size": list(SIZE),
        "unit": "outline: 99th percentile of the error between two blurs, in levels",
        "median_outline": round(median(outlines), 2),
        "worst_tenth_outline": round(float(np.quantile(outlines, 0.9)), 2),
        "median_db": round(median(db for _, _, db in left), 2),
        "rows": [
            {"words": words, "outline": round(outline, 2), "db": round(db, 2)}
            for words, outline, db in left
        ],
    }


def _round(base: Path, number: int) -> Iterator[tuple[str, float, float]]:
    """Words, outline and likeness of each edit of one run."""
    from studio import SMALL_MODEL, load, picture, save

    hot = HotFolder(base)
    hot.settle_fast()
    (hot.inbox / "_preset.yaml").write_text("{steps: 8, cfg: 1, seed: 7}", encoding="utf-8")
    edits = _edits(number)
    drawn = [(picture(edit.before, *SIZE), picture(edit.after, *SIZE)) for edit in edits]
    for index, edit in enumerate(edits):
        save(drawn[index][0], hot.inbox / f"{index}.png")
        (hot.inbox / f"{index}.txt").write_text(edit.words, encoding="utf-8")
    done = hot.call("run", "--once", "--model", SMALL_MODEL)
    assert done.returncode == 0, done.stderr
    for index, edit in enumerate(edits):
        result = load(hot.outbox / f"{index}.png")
        yield (edit.words, *_left(*map(_levels, (result, *drawn[index]))))


def _edits(number: int) -> list[Edit]:
    from training.exam import questions
    from training.sayings import Kind

    return questions(TOGETHER, f"removing {number}", SIZE[0] / SIZE[1], [Kind.REMOVE])


def _levels(pixels: torch.Tensor) -> Pixels:
    levels = (pixels.permute(1, 2, 0) * 255).round().contiguous().numpy()
    return np.asarray(levels, np.float32)


def _left(result: Pixels, before: Pixels, after: Pixels) -> tuple[float, float]:
    """How strong the outlines are that stay, in levels; how like the result is, in decibels."""
    from training.exam import decibel

    where = near(np.abs(after - before).max(axis=2) > SEEN, AROUND)
    error = result - after
    band = np.abs(blurred(error, FINE) - blurred(error, BROAD)).max(axis=2)
    outline = float(np.quantile(band[where], 0.99))
    return outline, decibel(float((error[where] ** 2).mean()) / 255**2)
