"""The tone that an edit has drifted by: a gain and an offset per channel, and a slow rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.align import Aligned, Alignment, Unaligned, around
from pipeline.composite.arrays import Canvas, Colours, Flags, blurred, largest, luma, slope

MOST_GAIN = 0.08  # more or less than 1
MOST_LEVELS = 16.0  # by so much drift moves a level at most; more is an edit of the tone
START_LEVELS = 28.0  # what differs by more before the fit has been edited
LEAST_LEVELS = 4.0
PIXELS = 60_000  # enough to fit six numbers
ROUNDS = 10
Weights = npt.NDArray[np.floating]

STEADY_GAIN, STEADY_OFFSET = (
    0.05,
    6.0,
)  # how far drift strays; decides where a picture says nothing
NEAR_POINT = 8  # pixels around a point that both pictures share

LEAST_SPAN = 0.6  # of the edit's levels: a tone read from fewer says nothing of the others

FIELD_REACH = 0.035  # of the long side: deviation of the average
FIELD_LEVELS = 6.0  # by so much the slow rest moves a level at most
FIELD_CUTS = (12.0, 7.0)  # levels; what differs by more is no slow rest
FIELD_STEP = 4  # pixels: it is averaged at a part of the size
FIELD_LOOK, FIELD_FLAT = 2.0, 3.0  # pixels; levels a pixel
FIELD_EVERY = 2  # pixels of which one is read
FIELD_PRIOR = 0.05  # of the neighbourhood: where less is known, the rest is nothing


@dataclass(frozen=True, slots=True)
class Tone:
    """What brings the edit's levels to the original's: level * gain + offset, red, green, blue."""

    gains: tuple[float, float, float]
    offsets: tuple[float, float, float]

    def applied(self, colours: npt.NDArray[np.uint8] | Colours) -> Colours:
        """Return the colours in the original's tone, not clipped."""
        result = np.multiply(colours, np.array(self.gains, np.float32), dtype=np.float32)
        result += np.array(self.offsets, np.float32)
        return result


SAME = Tone((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """What moved all levels of an edit that nobody asked to change."""

    tone: Tone
    rest: Colours | None  # levels to be added on the canvas after the tone; None = nothing

    @property
    def is_none(self) -> bool:
        """Whether no level moved."""
        return self.tone == SAME and self.rest is None

    def undone(self, laid: Colours) -> Colours:
        """Return an edit that lies on the canvas in the original's tone."""
        toned = self.tone.applied(laid)
        if self.rest is not None:
            toned += self.rest
        return np.clip(toned, 0, 255)


NO_DRIFT = Drift(SAME, None)


def drift(before: Canvas, laid: Colours, tone: Tone, known: Flags) -> Drift:
    """Complete a tone by what varies slowly; `known` marks where the edit may be read."""
    return Drift(tone, _slow_rest(before, np.clip(tone.applied(laid), 0, 255), known))


def spans(laid: Colours, kept: Flags) -> bool:
    """Whether the levels of a part say something of the levels of all the edit.

    A tone that is read in the dark would burn out what is light.
    """
    grid = _grid(kept.size)
    levels = laid[grid]
    low, high = np.quantile(levels[kept[grid]], (0.02, 0.98), axis=0)
    least, most = np.quantile(levels.reshape(-1, 3), (0.02, 0.98), axis=0)
    shared = np.minimum(high, most) - np.maximum(low, least)
    return bool((shared >= LEAST_SPAN * (most - least)).all())


def _grid(pixels: int) -> tuple[slice, slice]:
    """Of a picture with so many pixels, evenly as many as are enough."""
    step = max(1, int(np.sqrt(pixels / PIXELS)))
    return slice(step // 2, None, step), slice(step // 2, None, step)


def fit(before: Canvas, after: Colours, valid: Flags, alignment: Alignment) -> Tone:
    """Fit the tone of an aligned edit where it was not edited.

    Weighted least squares again and again, each time with less weight for what does not follow
    (Tukey's biweight), under a prior for what drift can be; most of the picture may be edited.
    Where both show the same points, they count most.
    """
    grid = _grid(valid.size)
    kept = valid[grid].ravel()
    source = blurred(after, 1.5)[grid].reshape(-1, 3)[kept]
    target = blurred(before.astype(np.float32), 1.5)[grid].reshape(-1, 3)[kept]
    near = near_points(alignment, valid.shape)[grid].ravel()[kept]
    trusted = 1 + 20 * near.astype(np.float64)
    unclipped = ((target > 4) & (target < 251) & (source > 4) & (source < 251)).all(axis=1)
    fitted = _fitted(source, target, trusted * np.where(unclipped, 1.0, 0.05))
    return fitted if _is_drift(fitted, source) else SAME


def _slow_rest(before: Canvas, toned: Colours, known: Flags) -> Colours:
    """Return what is left of a drifted tone after its gains and offsets, in levels to be added.

    It varies slowly over the picture; read in flat places, with less weight for what differs more
    (Tukey's biweight), and bounded. `known` marks where the edit may be read.
    """
    height, width = known.shape
    flat = slope(blurred(luma(before), FIELD_LOOK / 2 + 0.5)) < FIELD_FLAT
    target, source = (blurred(np.asarray(it, np.float32), FIELD_LOOK) for it in (before, toned))
    every = np.s_[::FIELD_EVERY, ::FIELD_EVERY]
    off, usable = (target - source)[every], (known & flat)[every]
    full = usable.shape[1], usable.shape[0]
    size = max(1, width // FIELD_STEP), max(1, height // FIELD_STEP)
    reach = FIELD_REACH * max(height, width) / FIELD_STEP
    rest = np.zeros((size[1], size[0], 3), np.float32)
    for cut in FIELD_CUTS:
        left = off - cv2.resize(rest, full, interpolation=cv2.INTER_LINEAR)
        weight = np.maximum(1 - (largest(left) / cut) ** 2, 0) ** 2 * usable
        total = cv2.resize(left * weight[..., None], size, interpolation=cv2.INTER_AREA)
        share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        rest += blurred(total, reach) / (blurred(share, reach) + FIELD_PRIOR)[..., None]
    rest = np.clip(rest, -FIELD_LEVELS, FIELD_LEVELS)
    return np.asarray(
        cv2.resize(rest, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def near_points(alignment: Alignment, shape: tuple[int, ...]) -> Flags:
    """Mark what surrounds the points that both pictures show."""
    match alignment:
        case Aligned():
            return around(alignment.points, shape, NEAR_POINT)
        case Unaligned():
            return np.zeros(shape, bool)
        case _:
            assert_never(alignment)


def _fitted(source: Colours, target: Colours, trust: Weights) -> Tone:
    gains, offsets = np.ones(3), np.zeros(3)
    cut = START_LEVELS
    for _ in range(ROUNDS):
        off = np.abs(source * gains + offsets - target).max(axis=1)
        weight = trust * np.maximum(1 - (off / cut) ** 2, 0) ** 2
        for channel in range(3):
            gains[channel], offsets[channel] = _line(
                source[:, channel], target[:, channel], weight
            )
        cut = max(LEAST_LEVELS, cut * 0.75)
    return Tone(_three(gains), _three(offsets))


def _line(
    source: npt.NDArray[np.float32],
    target: npt.NDArray[np.float32],
    weight: Weights,
) -> tuple[float, float]:
    """Fit gain and offset at the middle level, so that the prior of one says nothing of both."""
    total = max(float(weight.sum()), 1e-6)
    weight = weight * (min(total, 500.0) / total)  # pixels beside each other say the same
    x, y = source.astype(np.float64) - 128, target.astype(np.float64) - 128
    noise = 4.0**2
    normal = np.array(
        [[(weight * x * x).sum(), (weight * x).sum()], [(weight * x).sum(), weight.sum()]]
    )
    normal += noise * np.diag([1 / STEADY_GAIN**2, 1 / STEADY_OFFSET**2])
    change = np.array([(weight * x * (y - x)).sum(), (weight * (y - x)).sum()])
    extra, lift = np.linalg.solve(normal, change)
    if abs(extra) > MOST_GAIN:  # what two colours say of a slope, say: the offset alone is sure
        extra = np.clip(extra, -MOST_GAIN, MOST_GAIN)
        lift = float((weight * (y - x - extra * x)).sum()) / max(float(weight.sum()), 1e-6)
    return 1 + float(extra), float(lift - 128 * extra)


def _is_drift(tone: Tone, source: Colours) -> bool:
    levels = np.quantile(source, (0.01, 0.99), axis=0).astype(np.float32)
    return bool(np.abs(tone.applied(levels) - levels).max() <= MOST_LEVELS)


def _three(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
