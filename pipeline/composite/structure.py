"""Whether two canvases show the same things, whatever colours they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.composite.planes import Colours, Flags, Plane, blurred, luma

WINDOW = 2.5  # pixels: deviation of the neighbourhood
LEAST_CONTRAST = 2.5  # levels; flatter places show nothing that could be compared
SAME = 0.75  # a correlation


@dataclass(frozen=True, slots=True)
class Structure:
    """Where there is something to see in the canvas, and where the edit shows it too."""

    visible: Flags
    same: Flags  # of the visible
    gain: Plane  # by what the canvas' contrast is multiplied in the edit, where it is the same


def structure(before: Colours, after: Colours) -> Structure:
    """Correlate the brightness of two aligned canvases in small neighbourhoods.

    Inverted brightness is the same structure, with a gain below 0.
    """
    first, second = blurred(luma(before), 0.7), blurred(luma(after), 0.7)
    mean_first, mean_second = blurred(first, WINDOW), blurred(second, WINDOW)
    variance_first = np.maximum(blurred(first * first, WINDOW) - mean_first**2, 0)
    variance_second = np.maximum(blurred(second * second, WINDOW) - mean_second**2, 0)
    shared = blurred(first * second, WINDOW) - mean_first * mean_second
    visible = variance_first > LEAST_CONTRAST**2
    floor = np.float32(0.5)
    correlation = np.abs(shared) / np.sqrt((variance_first + floor) * (variance_second + floor))
    return Structure(visible, visible & (correlation > SAME), shared / (variance_first + floor))
