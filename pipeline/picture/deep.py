"""Pictures of 16 bits a channel, which Pillow would cut to 8: read beside it, and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.container.examination import Kind

Deep = npt.NDArray[np.uint16]

KINDS = frozenset({Kind.PNG, Kind.TIFF})  # what can hold them and is written as such
_TOLERANCE = 1  # levels of 255 between our reading and Pillow's
# EXIF orientation: mirrored first, then turned to the left so often
_TURNS = {1: (0, 0), 2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 1), 6: (0, 3), 7: (1, 3), 8: (0, 1)}


@dataclass(frozen=True, slots=True)
class DeepPixels:
    """The same upright picture as the 8-bit one, with all its bits."""

    pixels: Deep  # height x width (x 3)
    alpha: Deep | None


def read_deep(
    file: BinaryIO, pixels: Image.Image, alpha: Image.Image | None, *, orientation: int
) -> DeepPixels | None:
    """Return all bits of a picture that Pillow has read with 8, or None.

    None where OpenCV does not read 16 bits a channel, or not the same as Pillow: a file with 12
    bits, inverted or of another order, say.
    """
    file.seek(0)
    content = np.frombuffer(file.read(), np.uint8)
    try:
        read = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # Pillow has read it, so it is a picture, with 8 bits
        return None
    if read is None or read.dtype != np.uint16:
        return None
    found = _split(_upright(np.asarray(read, np.uint16), orientation))
    is_same = _agrees(found.pixels, pixels) and (
        (alpha is None) == (found.alpha is None)
        and (alpha is None or found.alpha is None or _agrees(found.alpha, alpha))
    )
    return found if is_same else None


def _upright(levels: Deep, orientation: int) -> Deep:
    mirrored, turns = _TURNS[orientation]
    return np.ascontiguousarray(np.rot90(levels[:, ::-1] if mirrored else levels, turns))


def _split(levels: Deep) -> DeepPixels:
    """OpenCV's channels are blue, green, red, alpha."""
    if levels.ndim == 2:
        return DeepPixels(levels, None)
    alpha = np.ascontiguousarray(levels[..., 3]) if levels.shape[2] == 4 else None
    return DeepPixels(np.ascontiguousarray(levels[..., 2::-1]), alpha)


def _agrees(levels: Deep, pixels: Image.Image) -> bool:
    eight = np.asarray(pixels)
    if eight.shape != levels.shape:
        return False
    off = cv2.absdiff((levels >> 8).astype(np.uint8), eight)
    return int(off.max()) <= _TOLERANCE
