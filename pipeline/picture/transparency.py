"""Colours under transparency never reach what is visible.

Programs leave any colour there, black above all. So pictures are scaled premultiplied (Porter and
Duff 1984), and a model is shown what is seen before a plain ground.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from pipeline.composite.arrays import near
from pipeline.composite.growth import REACH, Levels, grown

UNSEEN = 2  # of 255: by no more do black and white differ under such an alpha
GROUNDS = (255, 128)  # levels: white as in previews and JPEGs, grey around what is light
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

    What is hidden is a plain ground. It begins REACH pixels beside what is seen, those of the
    picture where it is enlarged.
    """
    seen = share_seen(alpha, size)
    if seen is None:
        return scaled_with_alpha(pixels, None, size)[0]
    if size[0] > pixels.width:  # premultiplied, faint colours would have few levels
        return scaled_with_alpha(opaque(pixels, alpha, pixels.size), None, size)[0]
    # Lobes of a filter would draw a rim along the outline, where alpha cannot exceed 255.
    small, _ = scaled_with_alpha(pixels, alpha, size, way=Image.Resampling.HAMMING)
    levels = grown(np.asarray(small), seen if size != pixels.size else seen_or_not(seen))
    reached = near(seen > 0, REACH)
    rim = levels[reached & (seen == 0)]
    if len(rim):
        ground = max(GROUNDS, key=lambda level: abs(level - float(rim.mean())))
        beyond = ~reached if levels.ndim == 2 else ~reached[..., None]
        np.copyto(levels, np.uint8(ground), where=beyond)
    return Image.fromarray(levels)


def share_seen(alpha: Image.Image | None, size: tuple[int, int]) -> Levels | None:
    """Return how much of each pixel of a picture in this size is not hidden; 255 = all of it.

    None where all are seen alike.
    """
    if alpha is None or _is_even(alpha):
        return None
    # Pillow's box filter takes pixels wholly or not at all, and is off by half of one.
    way = cv2.INTER_AREA if size[0] < alpha.width else cv2.INTER_NEAREST
    share = np.asarray(cv2.resize(np.asarray(alpha), size, interpolation=way), np.uint8)
    return share * (share > UNSEEN) if (share > UNSEEN).any() else None


def seen_or_not(seen: Levels) -> Levels:
    """Return seen or not: no pixel of the original itself shows a part of other colours."""
    return np.where(seen > 0, np.uint8(255), np.uint8(0))
