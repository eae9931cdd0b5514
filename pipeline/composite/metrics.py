"""Pictures measured against their original outside an edit, strip by strip."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from pipeline.composite.arrays import Flags, Plane, blurred
from pipeline.composite.blend import (
    STRIP_PIXELS,
    Bound,
    ColourMap,
    Floats,
    Levels,
    Shown,
    Strip,
    sampled,
    scale_of,
)
from pipeline.picture.fidelity import IDENTICAL_DB, Likeness

SSIM_PIXELS = 2_000_000  # larger pictures are compared at a part of their size
SSIM_DEVIATION = 1.5  # pixels; this and the constants: Wang et al. 2004
SSIM_CONSTANTS = (0.01 * 255) ** 2, (0.03 * 255) ** 2
HALF = 0.5  # more of the edit than this is the edit

Part = Callable[[Strip], Levels]  # the same part of another picture


def measure_likeness(base: Levels, other: Part, shown: Shown) -> Likeness | None:
    """Compare another picture with `base` where less than half of the edit shows.

    None where the edit is everywhere.
    """
    if shown.bound is None and shown.weight.min() >= HALF:
        return None
    factor = max(1, math.ceil(math.sqrt(base.shape[0] * base.shape[1] / SSIM_PIXELS)))
    squares, count, first, second, places = 0.0, 0, [], [], []
    for strip in _rows(base, factor):
        mine = _seen(base[strip.top : strip.bottom], shown, strip)
        theirs = _seen(other(strip), shown, strip)
        outside = _outside(shown, strip, base)
        squares += cv2.norm(mine, theirs, cv2.NORM_L2SQR, outside)
        count += cv2.countNonZero(outside)
        small = strip.size[0] // factor, strip.size[1] // factor
        if min(small):
            first.append(_grey(mine, small))
            second.append(_grey(theirs, small))
            places.append(cv2.resize(outside, small, interpolation=cv2.INTER_AREA) > 254)
    if not count:
        return None
    channels = 1 if base.ndim == 2 else base.shape[2]
    white = 255.0 if base.dtype == np.uint8 else 65535.0
    error = squares / (count * channels)
    psnr = IDENTICAL_DB if not error else min(IDENTICAL_DB, 10 * math.log10(white**2 / error))
    return Likeness(psnr_db=psnr, ssim=_ssim(first, second, places))


def scaled(planes: Floats, base: Levels) -> Part:
    """An edit as it is, brought to the size of `base` and no more."""
    scale = base.shape[1] / planes.shape[1], base.shape[0] / planes.shape[0]
    white = np.float32(1 if base.dtype == np.uint8 else 257)

    def part(strip: Strip) -> Levels:
        plain = sampled(planes, np.eye(2, 3), strip, scale, cv2.INTER_CUBIC)
        result: Levels = np.rint(np.clip(plain, 0, 255) * white).astype(base.dtype)
        return result

    return part


def of(picture: Levels) -> Part:
    """The parts of a picture that is there."""
    return lambda strip: picture[strip.top : strip.bottom]


def _rows(base: Levels, factor: int) -> list[Strip]:
    height, width = base.shape[:2]
    rows = max(factor, STRIP_PIXELS // width // factor * factor)
    return [Strip(top, min(height, top + rows), 0, width) for top in range(0, height, rows)]


def changed_share(base: Levels, shown: Shown) -> float:
    """Return the share of the pixels of `base` that are more the edit's than the original's.

    Of those that are seen at all.
    """
    outside = sum(cv2.countNonZero(_outside(shown, strip, base)) for strip in _rows(base, 1))
    seen = base.shape[0] * base.shape[1]
    if shown.alpha is not None:
        seen = int(np.count_nonzero(shown.alpha))
    return float((seen - outside) / max(1, seen))


def mapped_share(found: ColourMap | None, shown: Shown) -> float:
    """Return the share of the pixels that are the original's own, recoloured."""
    if found is None:
        return 0.0
    size = found.drawn.shape[1], found.drawn.shape[0]
    mapped = (found.drawn < HALF) & (_resized(shown.weight, size) >= HALF)
    if shown.bound is not None:
        mapped &= _resized(shown.bound, size) >= HALF * 255
    if shown.alpha is not None:
        mapped = mapped[_resized(shown.alpha, size) > 0]
    return float(mapped.mean()) if mapped.size else 0.0


def _resized(plane: Plane | Bound, size: tuple[int, int]) -> Plane:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _outside(shown: Shown, strip: Strip, base: Levels) -> Bound:
    outside = shown.in_strip(strip, scale_of(base, shown)) < HALF
    if shown.alpha is not None:
        outside &= shown.alpha[strip.top : strip.bottom] > 0
    return np.where(outside, np.uint8(255), np.uint8(0))


def _seen(levels: Levels, shown: Shown, strip: Strip) -> Levels:
    """A strip of a picture, black where nothing is seen."""
    if shown.alpha is None:
        return levels
    seen = np.ascontiguousarray(shown.alpha[strip.top : strip.bottom])
    shown_alone = cv2.bitwise_and(levels, levels, mask=seen)
    if levels.dtype == np.uint8:
        return np.asarray(shown_alone, np.uint8)
    return np.asarray(shown_alone, np.uint16)


def _grey(levels: Levels, size: tuple[int, int]) -> Plane:
    small = cv2.resize(levels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    if levels.dtype == np.uint16:
        small /= 257
    grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.float32)


def _ssim(first: list[Plane], second: list[Plane], places: list[Flags]) -> float:
    """The mean over the places; 1 where they are none."""
    outside = np.concatenate(places) if places else np.zeros(0, bool)
    if not outside.any():
        return 1.0
    return float(similarity(np.concatenate(first), np.concatenate(second))[outside].mean())


def similarity(first: Plane, second: Plane) -> Plane:
    """Return the structural similarity of two planes at each pixel (Wang et al. 2004)."""
    mean_a, mean_b = blurred(first, SSIM_DEVIATION), blurred(second, SSIM_DEVIATION)
    variance_a = blurred(first * first, SSIM_DEVIATION) - mean_a**2
    variance_b = blurred(second * second, SSIM_DEVIATION) - mean_b**2
    shared = blurred(first * second, SSIM_DEVIATION) - mean_a * mean_b
    low, high = SSIM_CONSTANTS
    same = (2 * mean_a * mean_b + low) * (2 * shared + high)
    same /= (mean_a**2 + mean_b**2 + low) * (variance_a + variance_b + high)
    return np.asarray(same, np.float32)
