"""Where an aligned edit differs from its canvas by more than a model's losses explain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.composite.planes import Colours, Flags, Plane, blurred, near, opponent, slope

BLURS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.2)  # pixels: what a model may lose of detail
NOISE, STEEP = (0.7, 2.5), (0.06, 0.6)  # bounds: levels, and levels for each level a pixel
LEAST_SHARED = 1500  # pixels
LIMIT = 15.0  # levels
ROUGH = 4.0  # looks: what varies over longer distances is no noise
FLAT = 1.5  # levels a pixel: no edge is there
AROUND = 6  # pixels around an edit whose border the looks have blurred
FINE, COARSE = 1.0, 3.5  # pixels: deviations of the two looks


@dataclass(frozen=True, slots=True)
class Change:
    """How improbable each pixel is as a loss of the model: 1 is usual, 3 rare, 6 an edit."""

    fine: Plane  # sharp borders, misses what is faint
    coarse: Plane  # finds what is faint, blurs the borders
    levels: Plane  # the difference itself, pixel by pixel
    blur: float  # pixels by which the edit is blurrier than the canvas
    noise: float  # levels


def change(before: Colours, after: Colours, valid: Flags, shared: Flags) -> Change:
    """Compare a canvas with its aligned edit in the same tone.

    The canvas is first blurred as the edit is. What is left is measured in units of what is
    expected there: noise, plus a part of the slope, since edges suffer most. Both are read from
    the differences themselves, where possible around the points that both pictures show.
    """
    first, second = opponent(before), opponent(after)
    shared = _enough(shared & valid, valid)
    blur = _blur(first[..., 0], second[..., 0], shared)
    first = blurred(first, blur)
    difference = second - first
    steep = slope(first)
    steep = np.asarray(cv2.dilate(steep, np.ones((3, 3), np.uint8)), np.float32)
    shared = _unedited(difference, steep, shared)
    fine, noise = _improbable(difference, steep, shared, FINE)
    limited = np.clip(difference, -LIMIT, LIMIT)  # or strong borders would shine far out
    coarse, _ = _improbable(limited, steep, shared, COARSE)
    levels = np.sqrt((blurred(difference, 0.6) ** 2).sum(axis=2))
    return Change(
        fine=_continued(fine, valid),
        coarse=_continued(coarse, valid),
        levels=_continued(levels, valid),
        blur=blur,
        noise=noise,
    )


def _unedited(difference: Colours, steep: Colours, shared: Flags) -> Flags:
    """Leave out what surrounds an edit that is beyond doubt: much differs where nothing is steep.

    Its borders are steep and differ too; taken for losses they would excuse themselves.
    """
    doubtless = (np.abs(difference).max(axis=2) > LIMIT) & (steep.max(axis=2) < FLAT)
    return _enough(shared & ~near(doubtless, AROUND), shared)


def _enough(flags: Flags, otherwise: Flags) -> Flags:
    return flags if flags.sum() >= LEAST_SHARED else otherwise


def _blur(first: Plane, second: Plane, known: Flags) -> float:
    """Return the blur of the canvas that explains the edit best where the canvas is steep.

    A difference above 30 levels counts as 30: that was edited.
    """
    steep = slope(first)
    places = known & (steep > max(3.0, float(np.quantile(steep[known], 0.8))))
    if int(places.sum()) < 100:
        return 0.0
    costs = [
        float(np.minimum(np.abs(blurred(first, blur) - second)[places], 30).mean())
        for blur in BLURS
    ]
    return BLURS[int(np.argmin(costs))]


def _improbable(
    difference: Colours, steep: Colours, known: Flags, look: float
) -> tuple[Plane, float]:
    """Return the size of the difference in units of what is expected, and the noise found.

    A difference that is the same all around is no noise, it may be an edit of all of it.
    """
    difference, steep = blurred(difference, look), blurred(steep, look)
    rough = np.abs(difference - blurred(difference, ROUGH * look))
    total, worst = np.zeros(known.shape, np.float32), 0.0
    for channel in range(3):
        off, edge = np.abs(difference[..., channel]), steep[..., channel]
        noise, share = _expected(rough[..., channel][known], edge[known])
        total += (off / np.sqrt(noise**2 + (share * edge) ** 2)) ** 2
        worst = max(worst, noise)
    return np.sqrt(total / 2), worst


def _expected(off: Plane, edge: Plane) -> tuple[float, float]:
    """Read noise and the share of slopes from the differences that are no edits."""
    step = max(1, off.size // 50_000)
    off, edge = off[::step], edge[::step]
    noise, share = 2.0, 0.25
    for _ in range(6):
        usual = off < 3 * np.sqrt(noise**2 + (share * edge) ** 2)
        flat, steep = usual & (edge < FLAT), usual & (edge > 4)
        if flat.sum() > 100:
            noise = float(np.clip(1.15 * np.sqrt((off[flat] ** 2).mean()), *NOISE))
        if steep.sum() > 100:
            rest = np.maximum(off[steep] ** 2 - noise**2, 0) / edge[steep] ** 2
            share = float(np.clip(1.1 * np.sqrt(rest.mean()), *STEEP))
    return noise, share


def _continued(plane: Plane, valid: Flags) -> Plane:
    """Carry the values on to the borders that the edit does not reach."""
    if valid.all():
        return plane
    rows, columns = (
        np.flatnonzero(valid.mean(axis=1) > 0.5),
        np.flatnonzero(valid.mean(axis=0) > 0.5),
    )
    if not len(rows) or not len(columns):
        return np.zeros_like(plane)
    top, bottom, left, right = rows[0] + 2, rows[-1] - 1, columns[0] + 2, columns[-1] - 1
    edges = (top, plane.shape[0] - bottom, left, plane.shape[1] - right)
    inner = plane[top:bottom, left:right]
    return np.asarray(cv2.copyMakeBorder(inner, *edges, cv2.BORDER_REPLICATE), np.float32)
