"""Which pixels of the upright original may change."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageChops

from config.keys import Region
from pipeline.picture.colours import to_srgb
from pipeline.picture.images import Picture, open_picture
from pipeline.pictures import PictureError

NOISE_LEVELS = 8  # by so much JPEG strays from black and white


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
