"""How samples of more than 8 bits become 8 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})


def to_eight_bits(image: Image.Image, *, white: int | None, is_inverted: bool) -> Image.Image:
    """Return an L picture of a grey one with 16- or 32-bit samples.

    `white` is the value of white where the file tells it (4095 in 12-bit scans). Else the range of
    the values decides: 0 to 1 in floats, 0 to 255, 0 to 65535, or from the least to the greatest.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = _range(values, white, is_float=image.mode == "F")
    grey = (values - low) * (255.0 / (high - low))
    if is_inverted:
        grey = 255.0 - grey
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def _range(
    values: npt.NDArray[np.float32], white: int | None, *, is_float: bool
) -> tuple[float, float]:
    if white is not None:
        return 0.0, float(white)
    low, high = float(values.min()), float(values.max())
    plausible = (1.0, 255.0, 65535.0) if is_float else (255.0, 65535.0)
    for top in plausible:
        if low >= 0 and high <= top:
            return 0.0, top
    return low, high
