"""The canvas that a model works on: its area and sizes, the window it shows, the mask on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from config.values import Region
from pipeline.picture.icc import to_srgb
from pipeline.picture.open import Picture, open_picture
from pipeline.pixel_requests import PictureError, Placement

Sides = tuple[int, int]  # width and height in pixels
CONTEXT = 0.25  # of the longer side, around what may change
LEAST_PART = 0.25  # of the model's area: a smaller part would only be blown up
MOST_PART = 0.6  # of the picture: from here on the model sees all of it
LONGEST = 2.0  # long by short side, where the picture allows it
NOISE_LEVELS = 8  # by so much JPEG strays from black and white


def part_area(own: int | None, asked: int | None) -> int | None:
    """The area for what more pixels would only enlarge: the model's own, or less if so asked."""
    return own if own is None or asked is None else min(own, asked)


def canvas_area(own: int | None, asked: int | None, *, shown: int | None) -> int | None:
    """The area to edit at: as asked, but beyond the model's own no more than will be shown.

    `own` is the model's (None: any), `shown` the pixels that the edited part has in the original
    or will have in the result, whichever are more; None: the canvas itself is the result.
    """
    if own is None or asked is None:
        return own
    return asked if shown is None else min(asked, max(own, shown))


def place(width: int, height: int, *, working_pixels: int | None, multiple: int) -> Placement:
    """Lay a whole picture on a canvas whose sides are multiples of `multiple`.

    The picture is scaled by one factor, to about `working_pixels` (None: not at all), and centred;
    what is left of the canvas is padding. Between 1:4 and 4:1, and mostly beyond, the canvas is
    one that the model library, at that area and multiple, keeps as it is.
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


def scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture in this size (Lanczos), or itself where it has that size."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS)


def padded(content: Image.Image, placement: Placement) -> Image.Image:
    """Return the RGB canvas of scaled content, its surroundings a reflection of it."""
    canvas = placement.canvas_width, placement.canvas_height
    if content.size == canvas:
        return content
    right = canvas[0] - placement.left - placement.content_width
    bottom = canvas[1] - placement.top - placement.content_height
    edges = ((placement.top, bottom), (placement.left, right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(content), edges, mode="reflect"))


def content(canvas: Image.Image, placement: Placement) -> Image.Image:
    """Return the part of a canvas that is no padding."""
    size = placement.content_width, placement.content_height
    if canvas.size == size:
        return canvas
    right, bottom = placement.left + size[0], placement.top + size[1]
    return canvas.crop((placement.left, placement.top, right, bottom))


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


def open_mask(path: Path, name: str, *, of: Picture, region: Region) -> Image.Image:
    """Return the mask in L, 255 = may change, values between are blended.

    White may change; where the mask has transparency, transparent may change instead. Raises
    PictureError for an unusable file, another size than the upright original's, and a mask that
    lets nothing change inside the region.
    """
    width, height = of.pixels.size
    picture = open_picture(path, name, most_pixels=max(width * height, 1 << 26))
    if picture.pixels.size != (width, height):
        size = "x".join(map(str, picture.pixels.size))
        cause = f"the mask {name} has {size} pixels, {of.name} has {width}x{height} (upright)"
        raise PictureError(cause, "Make the mask in the size of the picture, pixel for pixel.")
    mask = _levels(picture).point(_cleaned)
    if mask.crop(box(region)).getextrema() == (0, 0):
        cause = f"the mask {name} lets nothing change: it is black where the edit goes"
        raise PictureError(cause, "Paint white what may change, or make it transparent.")
    return mask


def box(region: Region) -> tuple[int, int, int, int]:
    """The region as left, top, right, bottom."""
    return region.x, region.y, region.x + region.width, region.y + region.height


def _levels(picture: Picture) -> Image.Image:
    """A wholly opaque alpha channel says nothing, so white counts there."""
    if picture.alpha is not None and picture.alpha.getextrema() != (255, 255):
        return ImageChops.invert(picture.alpha)
    return to_srgb(picture.pixels, picture.colours).convert("L")


def _cleaned(level: int) -> int:
    if level <= NOISE_LEVELS:
        return 0
    return 255 if level >= 255 - NOISE_LEVELS else level
