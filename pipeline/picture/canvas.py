"""Where a picture lies on the canvas that a model works on: exact aspect, nothing cut, pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from config.keys import Region
from pipeline.pictures import Placement

Sides = tuple[int, int]  # width and height in pixels


def place(width: int, height: int, *, working_pixels: int | None, multiple: int) -> Placement:
    """Lay a whole picture on a canvas whose sides are multiples of `multiple`.

    The picture is scaled by one factor, to about `working_pixels` (None: not at all), and centred;
    what is left of the canvas is padding. Between 1:4 and 4:1, and mostly beyond, the canvas is
    one that the model library keeps as it is, so nothing is ever stretched.
    """
    assert min(width, height, multiple) >= 1
    if working_pixels is None:
        canvas = _up(width, multiple), _up(height, multiple)
        return _laid((width, height), canvas, (width, height))
    laid = [
        _fitted((width, height), canvas)
        for canvas in _canvases(width / height, working_pixels, multiple)
    ]
    return min(laid, key=lambda placement: _cost(placement, working_pixels))


def library_size(area: int, ratio: float, multiple: int) -> Sides:
    """The size to which the model library scales a picture of this aspect ratio.

    `calculate_dimensions` of diffusers (pipeline_qwenimage_edit.py), whose multiple is 32.
    """
    width = math.sqrt(area * ratio)
    height = width / ratio
    return round(width / multiple) * multiple, round(height / multiple) * multiple


def _canvases(ratio: float, area: int, multiple: int) -> list[Sides]:
    """Canvases of about this area and ratio; where possible such that the library keeps."""
    near = list(_near(max(ratio, 1 / ratio), area, multiple))
    if ratio < 1:
        near = [(short, long) for long, short in near]
    kept = [size for size in near if library_size(area, size[0] / size[1], multiple) == size]
    return kept or near


def _near(ratio: float, area: int, multiple: int) -> Iterator[Sides]:
    """Long and short sides around the ideal ones, for a ratio of at least 1."""
    ideal = math.floor(math.sqrt(area / ratio) / multiple)
    for short in range(max(1, ideal - 1), ideal + 3):
        long = round(area / (short * multiple * multiple))
        for steps in range(max(1, long - 1), long + 2):
            yield steps * multiple, short * multiple


def _fitted(size: Sides, canvas: Sides) -> Placement:
    """The largest content of the picture's aspect in a canvas."""
    width, height = size
    canvas_width, canvas_height = canvas
    if width * canvas_height >= height * canvas_width:
        content = canvas_width, _scaled(height, canvas_width, width, canvas_height)
    else:
        content = _scaled(width, canvas_height, height, canvas_width), canvas_height
    return _laid(size, canvas, content)


def _scaled(side: int, numerator: int, denominator: int, most: int) -> int:
    """A side times a fraction, rounded to a whole number from 1 to `most`."""
    return max(1, min(most, (2 * side * numerator + denominator) // (2 * denominator)))


def _laid(size: Sides, canvas: Sides, content: Sides) -> Placement:
    return Placement(
        region=Region(0, 0, *size),
        canvas_width=canvas[0],
        canvas_height=canvas[1],
        content_width=content[0],
        content_height=content[1],
        left=(canvas[0] - content[0]) // 2,
        top=(canvas[1] - content[1]) // 2,
    )


def _cost(placement: Placement, area: int) -> int:
    """Pixels by which the content misses the area, plus pixels of padding."""
    content = placement.content_width * placement.content_height
    padding = placement.canvas_width * placement.canvas_height - content
    return abs(content - area) + padding


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
