"""Colours under transparency never reach what is visible.

Programs leave any colour there, black above all. So pictures are scaled premultiplied (Porter and
Duff 1984), and where all has to be opaque the colours of what is seen grow into what is not.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from pipeline.composite.arrays import Plane, disc, near
from pipeline.composite.blend import Bound

UNSEEN = 2  # of 255: by no more do black and white differ under such an alpha
REACH = 6  # pixels: interpolation needs two, what a model blurs and moves the rest
SOFT = 1.5  # pixels: deviation of the window whose colours grow
BESIDE, SHARP = 1, 12.0  # pixels; a power: 90 % seen counts for a quarter of what is all seen
FARTHEST = REACH + BESIDE
GROUNDS = (255, 128)  # levels: white as in previews and JPEGs, grey around what is light
STRIP_PIXELS = 1 << 20  # 20 MB of floats at once
Box = tuple[float, float, float, float]  # left, top, right, bottom


def scaled_with_alpha(
    pixels: Image.Image,
    alpha: Image.Image | None,
    size: tuple[int, int],
    part: Box | None = None,
    way: Image.Resampling = Image.Resampling.LANCZOS,
) -> tuple[Image.Image, Image.Image | None]:
    """Return RGB or L pixels, or a part of them, and their alpha in this size.

    Colours under full transparency become black, unless nothing is visible at all.
    """
    if pixels.size == size and part in {None, (0, 0, *size)}:
        return pixels, alpha
    if alpha is None:
        return pixels.resize(size, way, box=part), None
    if _is_even(alpha):
        return pixels.resize(size, way, box=part), alpha.resize(size, way, box=part)
    mode = "LA" if pixels.mode == "L" else "RGBA"
    merged = Image.merge(mode, (*pixels.split(), alpha))
    *colours, small = merged.resize(size, way, box=part).split()  # Pillow premultiplies
    return Image.merge(pixels.mode, colours), small


def _is_even(alpha: Image.Image) -> bool:
    """Whether all is as transparent: then no colour counts more than another."""
    lowest, highest = alpha.getextrema()
    return lowest == highest


def opaque(pixels: Image.Image, alpha: Image.Image | None, size: tuple[int, int]) -> Image.Image:
    """Return a picture in this size as a model sees it, without transparency, in its own mode.

    What is hidden is a plain ground, which begins REACH pixels beside what is seen.
    """
    seen = share_seen(alpha, size)
    if seen is None:
        return scaled_with_alpha(pixels, None, size)[0]
    # Lobes of a filter would draw a rim along the outline, where alpha cannot exceed 255.
    small, _ = scaled_with_alpha(pixels, alpha, size, way=Image.Resampling.HAMMING)
    levels = grown(np.asarray(small), seen)
    reached = near(seen > 0, REACH)
    rim = levels[reached & (seen == 0)]
    if len(rim):
        ground = max(GROUNDS, key=lambda level: abs(level - float(rim.mean())))
        beyond = ~reached if levels.ndim == 2 else ~reached[..., None]
        np.copyto(levels, np.uint8(ground), where=beyond)
    return Image.fromarray(levels)


def share_seen(alpha: Image.Image | None, size: tuple[int, int]) -> Bound | None:
    """Return how much of each pixel of a picture in this size is not hidden; 255 = all of it.

    Alpha, where the size is another; pixels of the same size are seen or not. None where all are
    seen alike.
    """
    if alpha is None or _is_even(alpha):
        return None
    if alpha.size == size:
        share = alpha.point(lambda level: 255 * (level > UNSEEN))
    else:
        small = alpha.resize(size, Image.Resampling.BOX)
        share = small.point(lambda level: level * (level > UNSEEN))
    return None if share.getextrema() == (0, 0) else np.array(share, np.uint8)


def grown(levels: Bound, seen: Bound) -> Bound:
    """Return 8-bit colours (height x width (x 3)) with those that are seen grown into the others.

    What is seen in part has a part of other colours in an edit; it keeps its own only where
    nothing beside it is seen better. What lies farther than REACH from all that is seen stays.
    """
    result = levels.copy()
    for rows, around in _strips(*seen.shape):
        share = seen[around]
        if int(share.max()) > 0 and int(share.min()) < 255:
            inner = slice(rows.start - around.start, rows.stop - around.start)
            _grow(result[rows], levels[around], share, inner)
    return result


def _strips(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows, and the same with all that grows into them."""
    rows = max(4 * FARTHEST, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        yield slice(top, bottom), slice(max(0, top - FARTHEST), min(height, bottom + FARTHEST))


def _grow(result: Bound, levels: Bound, seen: Bound, inner: slice) -> None:
    """Fill the inner rows of `levels` into `result`."""
    filled = near(seen > 0, REACH)[inner] & (seen[inner] < 255)
    trust = _trust(seen)
    own, total = trust[inner][filled], _window(trust)[inner][filled]
    for channel in range(1 if levels.ndim == 2 else levels.shape[2]):
        plane = levels if levels.ndim == 2 else levels[..., channel]
        made = result if levels.ndim == 2 else result[..., channel]
        around = _window(plane * trust)[inner][filled] / total
        made[filled] = np.rint(around + (plane[inner][filled] - around) * own)


def _trust(seen: Bound) -> Plane:
    """How far the colour of each pixel is that of what is seen, 0 to 1."""
    most = cv2.dilate(seen, disc(BESIDE), borderValue=0)
    return np.asarray((seen / np.maximum(most, 1, dtype=np.float32)) ** SHARP, np.float32)


def _window(plane: Plane) -> Plane:
    size = 2 * REACH + 1, 2 * REACH + 1
    soft = cv2.GaussianBlur(plane, size, SOFT, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(soft, np.float32)
