"""What an editor made, read, refused where it is no picture, and compared with its canvas."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops

from config.keys import Keep, Region
from pipeline.composite.comparison import Comparison, compare
from pipeline.composite.planes import Canvas, Flags
from pipeline.composite.tone import SAME
from pipeline.picture.flatness import require_picture
from pipeline.picture.images import open_own
from pipeline.picture.layers import Edit, Edited, Untouched
from pipeline.picture.mask import box
from pipeline.picture.padding import content, scaled
from pipeline.pictures import Compose, PictureError


def read_edit(request: Compose, mask: Image.Image | None) -> tuple[Edit, Comparison | None]:
    """Return the edit, in the original's tone where it is compared, and what is known of it.

    `mask` has the upright original's size, 255 = may change. Raises PictureError for an edit of
    another size and for a black or flat one.
    """
    placement = request.prepared.placement
    before, after = _canvases(request)
    if ImageChops.difference(before, after).getbbox() is None:
        return Untouched(), None
    before, after = content(before, placement), content(after, placement)
    if not request.allow_flat:
        require_picture(request.name, before, after)
    if request.recipe.keep is Keep.NONE:
        return Edited(after, after), None
    comparison = compare(_array(before), _array(after), outside=_outside(request, mask))
    return Edited(_toned(after, comparison), after), comparison


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


def _toned(after: Image.Image, comparison: Comparison) -> Image.Image:
    if comparison.tone == SAME:
        return after
    toned = np.clip(np.rint(comparison.tone.applied(_array(after))), 0, 255)
    return Image.fromarray(toned.astype(np.uint8))


def _array(image: Image.Image) -> Canvas:
    return np.asarray(image, np.uint8)
