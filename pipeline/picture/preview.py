"""A small picture of before and after, side by side, for whoever looks through many results."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline.picture.icc import Colours, to_srgb
from pipeline.picture.transparency import scaled_with_alpha
from pipeline.pixel_requests import Preview

LONGEST_SIDE = 1600
GAP = 8
GROUND = "white"
QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two pictures, as large as it is."""

    pixels: Image.Image
    alpha: Image.Image | None
    colours: Colours


def side_by_side(before: Side, after: Side) -> Image.Image:
    """Both in sRGB, the left before, the right after, at most LONGEST_SIDE across and down.

    Neither is enlarged or stretched; where they differ in shape, each stands in the middle of its
    half.
    """
    halves = [_small(side) for side in (before, after)]
    width, height = (max(it.size[axis] for it in halves) for axis in (0, 1))
    sheet = Image.new("RGB", (2 * width + GAP, height), GROUND)
    for index, half in enumerate(halves):
        left = index * (width + GAP) + (width - half.width) // 2
        sheet.paste(half, (left, (height - half.height) // 2))
    return sheet


def write(path: Path, before: Side, after: Side, xmp: bytes) -> Preview:
    """Write the sheet as a light JPEG with this packet; raises OSError from the file system."""
    sheet = side_by_side(before, after)
    sheet.save(path, format="JPEG", quality=QUALITY, xmp=xmp)
    with path.open("rb") as file:
        return Preview(path=path, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _small(side: Side) -> Image.Image:
    size = _fitting(side.pixels.size)
    pixels, alpha = scaled_with_alpha(side.pixels, side.alpha, size)
    small = to_srgb(pixels, side.colours)
    if alpha is None:
        return small
    return Image.composite(small, Image.new("RGB", size, GROUND), alpha)


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = min(1.0, (LONGEST_SIDE - GAP) / 2 / width, LONGEST_SIDE / height)
    return max(1, int(width * scale)), max(1, int(height * scale))
