"""What a model gave back, read and compared with what it was given; a flat picture is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageStat

from config.values import Keep, Region
from pipeline.composite.arrays import Canvas, Flags
from pipeline.composite.colour_map import UNMOVED
from pipeline.composite.compare import Comparison, compare
from pipeline.composite.growth import Levels, grown
from pipeline.picture.canvas import box, content, scaled
from pipeline.picture.icc import OneWay, Own, from_srgb, to_srgb
from pipeline.picture.open import Picture, open_own
from pipeline.picture.transparency import seen_or_not, share_seen
from pipeline.pixel_requests import Compose, PictureError

FLAT_DEVIATION = 1.0  # levels of 255; a broken decoder strays by less, a photo of fog by more
BLACK_MEAN = 1.0
GROUND_LEVELS = 8  # an edit with the colour of the input's ground strays by less
NUMBERS = (
    "Try again with another seed. If it happens again the model computed no numbers: "
    "run it with DTYPE=bf16, not fp16, and check the model folder."
)


def read_edit(
    request: Compose, mask: Image.Image | None, alpha: Image.Image | None = None
) -> tuple[Edit, Comparison | None]:
    """Return the edit, in the original's tone where it is compared, and what is known of it.

    `mask` has the upright original's size, 255 = may change; so has its alpha. Raises PictureError
    for an edit of another size and for a black or flat one.
    """
    placement = request.prepared.placement
    before, after = _canvases(request)
    if ImageChops.difference(before, after).getbbox() is None:
        return Untouched(), None
    before, after = content(before, placement), content(after, placement)
    if not request.allow_flat:
        require_picture(request.name, before, after)
    seen = _seen(request, alpha)
    canvas = None if seen is None else before
    if request.recipe.keep is Keep.NONE:
        return Edited(_without_hidden(request, after, seen, None), after, canvas), None
    outside = _outside(request, mask)
    comparison = compare(_array(before), _array(after), outside=outside, seen=seen)
    toned = after
    if not comparison.drift.is_none:
        toned = Image.fromarray(comparison.in_tone(_array(after)))
    laid = _without_hidden(request, toned, seen, comparison)
    return Edited(laid, after, canvas), comparison


def _seen(request: Compose, alpha: Image.Image | None) -> Levels | None:
    """How much of each pixel of the content the original's alpha lets be seen; None = all."""
    placement = request.prepared.placement
    size = placement.content_width, placement.content_height
    return None if alpha is None else share_seen(alpha.crop(box(placement.region)), size)


def _without_hidden(
    request: Compose, edit: Image.Image, seen: Levels | None, found: Comparison | None
) -> Image.Image:
    """Let what an editor drew under transparency come near nothing that is seen."""
    if seen is None:
        return edit
    region = request.prepared.placement.region
    if edit.size == (region.width, region.height) and (found is None or found.lies_still):
        seen = seen_or_not(seen)
    matrix = UNMOVED if found is None else found.alignment.matrix
    moved = cv2.warpAffine(seen, matrix, edit.size, borderMode=cv2.BORDER_REPLICATE)
    return Image.fromarray(grown(_array(edit), np.asarray(moved, np.uint8)))


def _canvases(request: Compose) -> tuple[Image.Image, Image.Image]:
    before = open_own(request.prepared.canvases[0], f"the canvas of {request.name}")
    after = open_own(request.edited, f"the edited picture of {request.name}").convert("RGB")
    if after.size != before.size:
        cause = f"the editor returned {request.name} as {after.size}, not {before.size}"
        raise PictureError(cause, "Check the model folder and its hotfolder.json.")
    return before, after


def _outside(request: Compose, mask: Image.Image | None) -> Flags | None:
    """Mark what neither mask nor region let change, at the size of the content."""
    placement, within = request.prepared.placement, request.recipe.region
    region, size = placement.region, (placement.content_width, placement.content_height)
    if mask is None and within is None:
        return None
    free = Image.new("L", (region.width, region.height), 255)
    if mask is not None:
        free = mask.crop(box(region))
    may = _array(scaled(inside(free, within, region), size))
    outside: Flags = may == 0
    return outside


def inside(free: Image.Image, within: Region | None, region: Region) -> Image.Image:
    """Return what is free to change in a part of the original, limited to another part of it."""
    if within is None:
        return free
    left, top = within.x - region.x, within.y - region.y
    part = left, top, left + within.width, top + within.height
    limited = Image.new("L", free.size, 0)
    limited.paste(free.crop(part), part)
    return limited


def _array(image: Image.Image) -> Canvas:
    return np.asarray(image, np.uint8)


@dataclass(frozen=True, slots=True)
class Edited:
    """What an editor made of the region, in sRGB, at the size of its content on the canvas."""

    pixels: Image.Image  # in the original's tone
    raw: Image.Image  # as the editor gave it
    canvas: Image.Image | None  # what the editor was given; None where it is all seen alike


@dataclass(frozen=True, slots=True)
class Untouched:
    """The editor gave back what it got, so the original's own pixels stand for the edit."""


Edit = Edited | Untouched


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Two pictures in one mode, RGB or L, and in the colours of one profile."""

    base: Image.Image  # the whole upright original
    edit: Image.Image  # the region, at any size, in the original's tone
    raw: Image.Image  # the same as the editor gave it
    canvas: Image.Image | None  # the same as the editor was given it; None as in Edited
    profile: bytes | None  # None = sRGB


def lay(picture: Picture, edit: Edit, region: Region, *, may_be_grey: bool) -> Layers:
    """Bring original and edit together without touching a number of the original, if possible.

    The original's numbers stay where it is RGB, or grey with an edit that is exactly grey too.
    Else both become sRGB.
    """
    grey_stays = may_be_grey and _is_grey(edit)
    keeps = not isinstance(picture.colours, OneWay) and (
        picture.pixels.mode == "RGB" or grey_stays
    )
    base = picture.pixels if keeps else to_srgb(picture.pixels, picture.colours)
    profile = picture.colours.profile if keeps else None
    canvas = None
    match edit:
        case Untouched():
            pixels = raw = base.crop(box(region))
        case Edited(toned, given, seen):
            own = picture.colours if keeps and isinstance(picture.colours, Own) else None
            pixels = _in_colours(toned, own, base.mode)
            raw = pixels if given is toned else _in_colours(given, own, base.mode)
            if seen is not None:
                canvas = _in_colours(seen, own, base.mode)
        case _:
            assert_never(edit)
    return Layers(base=base, edit=pixels, raw=raw, canvas=canvas, profile=profile)


def _in_colours(srgb: Image.Image, own: Own | None, mode: str) -> Image.Image:
    return srgb.convert(mode) if own is None else from_srgb(srgb, own.profile, mode)


def _is_grey(edit: Edit) -> bool:
    match edit:
        case Untouched():
            return True
        case Edited(pixels):
            red, green, blue = pixels.split()
            pairs = ((red, green), (green, blue))
            return all(ImageChops.difference(*pair).getbbox() is None for pair in pairs)
        case _:
            assert_never(edit)


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
