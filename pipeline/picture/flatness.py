"""Whether an edit is a picture at all, or the black or flat surface of a model that broke down."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from PIL import Image, ImageStat

from pipeline.pictures import PictureError

FLAT_DEVIATION = 1.0  # levels of 255; a broken decoder strays by less, a photo of fog by more
BLACK_MEAN = 1.0
GROUND_LEVELS = 8  # an edit with the colour of the input's ground strays by less

NUMBERS = (
    "Try again with another seed. If it happens again the model computed no numbers: "
    "run it with DTYPE=bf16, not fp16, and check the model folder."
)


class Surface(IntEnum):
    """How much there is to see, from nothing upwards."""

    BLACK = 0
    FLAT = 1
    PICTURE = 2


def surface(image: Image.Image) -> Surface:
    """Judge an RGB picture by the spread of its channels."""
    statistics = ImageStat.Stat(image)
    if max(statistics.stddev) >= FLAT_DEVIATION:
        return Surface.PICTURE
    return Surface.BLACK if max(statistics.mean) < BLACK_MEAN else Surface.FLAT


def require_picture(name: str, before: Image.Image, after: Image.Image) -> None:
    """Raise PictureError when an edit has become black or flat and the input was not so.

    A plain ground on which nothing stands any more is a picture.
    """
    found = surface(after)
    if found < Surface.PICTURE and found < surface(before) and not _is_ground(before, after):
        look = "black all over" if found is Surface.BLACK else "of one colour all over"
        cause = f"the edited picture of {name} is {look}"
        raise PictureError(cause, NUMBERS)


def _is_ground(before: Image.Image, after: Image.Image) -> bool:
    """Whether at least half of the input has the colour of a flat edit, too."""
    colour = np.rint(ImageStat.Stat(after).mean)
    apart = np.abs(np.asarray(before, np.float32) - colour).max(axis=2)
    return bool((apart <= GROUND_LEVELS).mean() >= 0.5)
