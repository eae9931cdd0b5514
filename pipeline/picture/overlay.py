"""An edit over its original at full size: what of it shows, in whose colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
from PIL import Image

from config.values import ExactSize, Keep, ModelSize, OriginalSize, Region, Size
from pipeline.composite.blend import Bound, Levels, softened
from pipeline.composite.compare import Comparison
from pipeline.composite.compose import Compared, Layer, Outside, Plain, Same, compose
from pipeline.picture.canvas import box, scaled
from pipeline.picture.edited import Layers, inside
from pipeline.picture.fidelity import Fidelity, Strategy
from pipeline.picture.sixteen_bit import Deep
from pipeline.picture.transparency import scaled_with_alpha
from pipeline.pixel_requests import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """All that the pixels of a result are made of."""

    layers: Layers
    deep: Deep | None  # all bits of the base, where the result can hold them
    alpha: Image.Image | None  # of the whole upright original
    mask: Image.Image | None  # of the whole upright original, 255 = may change
    within: Region | None  # where the recipe lets the edit show; None = anywhere
    placement: Placement
    size: Size
    keep: Keep
    comparison: Comparison | None  # None = the edit is taken as it is
    is_touched: bool  # whether the editor changed a single number

    def shows_original(self, strategy: Strategy) -> bool:
        """Whether pixels of the original stand in the result that a strategy made."""
        is_alone = isinstance(self.size, ModelSize)  # the region, without what is around it
        match strategy:
            case Strategy.UNCHANGED | Strategy.LOCAL:
                return True
            case Strategy.MASK | Strategy.WHOLE | Strategy.NONE:
                # The model may have seen more than the region in which its edit shows.
                part = self.within or self.placement.region
                is_part = (part.width, part.height) != self.layers.base.size
                return self.mask is not None or (is_part and not is_alone)
            case _:
                assert_never(strategy)


def result_size(size: Size, width: int, height: int, placement: Placement) -> tuple[int, int]:
    """Width and height of the result of an upright original of this width and height."""
    match size:
        case OriginalSize():
            return width, height
        case ModelSize():
            return placement.content_width, placement.content_height
        case ExactSize():
            return size.width, size.height
        case _:
            assert_never(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """A result that only wants saving, and how true it is."""

    pixels: Image.Image  # RGB or L
    deep: Deep | None  # the same with 16 bits a channel
    alpha: Image.Image | None
    fidelity: Fidelity
    outside: Outside | None  # to compare the file with; None = the result is cut to another size


def compose_pixels(composite: Composite) -> Pixels:
    """Return the result's pixels, its alpha channel, and how true it is.

    Pixels outside the edit are the original's, bit for bit, at the original's size. At the model's
    size the result is the region alone. An exact size of another aspect is filled and cut at both
    ends, never stretched.
    """
    ground, alpha, part = _ground(composite)
    bound = _bound(composite, part)
    base = np.asarray(ground, np.uint8) if composite.deep is None else composite.deep
    seen = None if alpha is None else np.asarray(alpha, np.uint8)
    laid = compose(base, part, _layer(composite), bound, seen)
    made = Pixels(
        pixels=Image.fromarray(_eight_bits(laid.pixels)),
        deep=None if composite.deep is None else np.asarray(laid.pixels, np.uint16),
        alpha=alpha,
        fidelity=laid.fidelity,
        outside=laid.outside,
    )
    return _cut(made, composite)


def _eight_bits(levels: Levels) -> Bound:
    if levels.dtype == np.uint8:
        return np.asarray(levels, np.uint8)
    return np.asarray((levels.astype(np.uint32) + 128) // 257, np.uint8)


def _cut(made: Pixels, composite: Composite) -> Pixels:
    """Bring the pixels and their alpha to an exact size."""
    match composite.size:
        case OriginalSize() | ModelSize():
            return made
        case ExactSize(width, height):
            pixels, alpha = _covering(made.pixels, made.alpha, width, height)
            return replace(made, pixels=pixels, alpha=alpha, outside=None)
        case _:
            assert_never(composite.size)


def cut_away(size: Size, width: int, height: int) -> tuple[str, ...]:
    """A sentence about what an exact size cuts off an original of this width and height."""
    if not isinstance(size, ExactSize):
        return ()
    left, top, _, _ = _covering_box(width, height, size.width, size.height)
    side, share = max(
        ("width", 2 * left / width), ("height", 2 * top / height), key=lambda x: x[1]
    )
    if share < 0.005:
        return ()
    return (f"To fill {size}, {share:.0%} of the {side} was cut away, half at each end.",)


def _ground(composite: Composite) -> tuple[Image.Image, Image.Image | None, Region]:
    """What is laid over, its alpha, and the part of it that the canvas shows.

    An exact size larger than the original gets an enlarged ground, so that an edit of the whole
    picture does not pass through the small original.
    """
    base, alpha, placement = composite.layers.base, composite.alpha, composite.placement
    region = placement.region
    if isinstance(composite.size, ModelSize):
        size = placement.content_width, placement.content_height
        part = box(region)
        small = None if alpha is None else alpha.crop(part)
        return *scaled_with_alpha(base.crop(part), small, size), Region(0, 0, *size)
    if isinstance(composite.size, ExactSize) and region == Region(0, 0, *base.size):
        factor = max(composite.size.width / base.width, composite.size.height / base.height)
        if factor > 1:
            size = round(base.width * factor), round(base.height * factor)
            return *scaled_with_alpha(base, alpha, size), Region(0, 0, *size)
    return base, alpha, region


def _bound(composite: Composite, part: Region) -> Bound | None:
    """How much of the edit may show in the part that is laid over; None = all of it."""
    if composite.mask is None and composite.within is None:
        return None
    region = composite.placement.region
    full = Image.new("L", (region.width, region.height), 255)
    if composite.mask is not None:
        full = composite.mask.crop(box(region))
    full = inside(full, composite.within, region)
    bound = np.array(scaled(full, (part.width, part.height)), np.uint8)
    if composite.keep is Keep.NONE:
        return bound
    return softened(bound, max(1, round(part.width / composite.placement.content_width)))


def _layer(composite: Composite) -> Layer:
    if not composite.is_touched:
        return Same()
    layers = composite.layers
    colours = np.asarray(layers.edit)
    if composite.comparison is None:
        return Plain(colours)
    return Compared(
        colours=colours,
        raw=np.asarray(layers.raw),
        canvas=None if layers.canvas is None else np.asarray(layers.canvas),
        comparison=composite.comparison,
        takes_all=composite.keep is Keep.MASK,
    )


def _covering(
    image: Image.Image, alpha: Image.Image | None, width: int, height: int
) -> tuple[Image.Image, Image.Image | None]:
    part = _covering_box(*image.size, width, height)
    if width in (image.width, image.height) or height == image.height:
        left, top = round(part[0]), round(part[1])
        if (round(part[2]) - left, round(part[3]) - top) == (width, height):
            whole = left, top, left + width, top + height
            return image.crop(whole), None if alpha is None else alpha.crop(whole)
    return scaled_with_alpha(image, alpha, (width, height), part)


def _covering_box(
    width: int, height: int, wanted_width: int, wanted_height: int
) -> tuple[float, float, float, float]:
    """The largest centred part of a picture that has the wanted aspect."""
    scale = max(wanted_width / width, wanted_height / height)
    part_width = min(float(width), wanted_width / scale)
    part_height = min(float(height), wanted_height / scale)
    left, top = (width - part_width) / 2, (height - part_height) / 2
    return left, top, left + part_width, top + part_height
