"""The part of a picture that the model sees: around a region or a mask, with context, or all."""

from __future__ import annotations

import math

from config.keys import Region

CONTEXT = 0.25  # of the longer side, around what may change
LEAST_PART = 0.25  # of the model's area: a smaller part would only be blown up
MOST_PART = 0.6  # of the picture: from here on the model sees all of it
LONGEST = 2.0  # long by short side, where the picture allows it


def window(target: Region, width: int, height: int, *, working_pixels: int | None) -> Region:
    """Return the part of a picture of this size to edit so that `target` may change.

    The part holds `target` and a margin of context, is no blow-up of a few pixels, and no strip.
    Pixels of the upright original.
    """
    margin = CONTEXT * max(target.width, target.height)
    wide, high = target.width + 2 * margin, target.height + 2 * margin
    wide, high = max(wide, high / LONGEST), max(high, wide / LONGEST)
    growth = math.sqrt(max(1.0, LEAST_PART * (working_pixels or 0) / (wide * high)))
    x, across = _span(target.x, target.width, wide * growth, width)
    y, down = _span(target.y, target.height, high * growth, height)
    if across * down > MOST_PART * width * height:
        return Region(0, 0, width, height)
    return Region(x, y, across, down)


def _span(start: int, length: int, wanted: float, most: int) -> tuple[int, int]:
    """Where a stretch around another one begins and how long it is, inside the picture."""
    whole = min(most, max(length, math.ceil(wanted)))
    begin = start + length // 2 - whole // 2
    begin = min(max(begin, 0), most - whole)
    begin = max(min(begin, start), start + length - whole)
    return begin, whole
