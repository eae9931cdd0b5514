"""Colours of what is seen grow into what transparency hides, so that nothing hidden comes near."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.arrays import Plane, disc, near

Levels = npt.NDArray[np.uint8]  # height x width (x 3)

REACH = 6  # pixels: interpolation needs two, what a model blurs and moves the rest
SOFT = 1.5  # pixels: deviation of the window whose colours grow
BESIDE, SHARP = 1, 12.0  # pixels; a power: 90 % seen counts for a quarter of what is all seen
FARTHEST = REACH + BESIDE
STRIP_PIXELS = 1 << 20  # 20 MB of floats at once


def grown(levels: Levels, seen: Levels, *, strip_pixels: int = STRIP_PIXELS) -> Levels:
    """Return 8-bit colours (height x width (x 3)) with those that are seen grown into the others.

    What is seen in part has a part of other colours in an edit; it keeps its own only where
    nothing beside it is seen better. What lies farther than REACH from all that is seen stays.
    """
    result = levels.copy()
    height, width = seen.shape
    for rows, around in _strips(height, width, strip_pixels):
        share = seen[around]
        if int(share.max()) > 0 and int(share.min()) < 255:
            inner = slice(rows.start - around.start, rows.stop - around.start)
            _grow(result[rows], levels[around], share, inner)
    return result


def _strips(height: int, width: int, pixels: int) -> Iterator[tuple[slice, slice]]:
    """Rows, and the same with all that grows into them."""
    rows = max(FARTHEST, pixels // width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        yield slice(top, bottom), slice(max(0, top - FARTHEST), min(height, bottom + FARTHEST))


def _grow(result: Levels, levels: Levels, seen: Levels, inner: slice) -> None:
    """Fill the inner rows of `levels` into `result`."""
    filled = near(seen > 0, REACH)[inner] & (seen[inner] < 255)
    trust = _trust(seen)
    own, total = trust[inner][filled], _window(trust)[inner][filled]
    for channel in range(1 if levels.ndim == 2 else levels.shape[2]):
        plane = levels if levels.ndim == 2 else levels[..., channel]
        made = result if levels.ndim == 2 else result[..., channel]
        around = _window(plane * trust)[inner][filled] / total
        made[filled] = np.rint(around + (plane[inner][filled] - around) * own)


def _trust(seen: Levels) -> Plane:
    """How far the colour of each pixel is that of what is seen, 0 to 1."""
    most = cv2.dilate(seen, disc(BESIDE), borderValue=0)
    return np.asarray((seen / np.maximum(most, 1, dtype=np.float32)) ** SHARP, np.float32)


def _window(plane: Plane) -> Plane:
    size = 2 * REACH + 1, 2 * REACH + 1
    soft = cv2.GaussianBlur(plane, size, SOFT, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(soft, np.float32)
