"""An edit laid over its original: region, mask and the size of the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from PIL import Image

from config.keys import ExactSize, ModelSize, OriginalSize, Size
from pipeline.picture.layers import Layers
from pipeline.picture.mask import box
from pipeline.picture.padding import scaled
from pipeline.pictures import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """All that the pixels of a result are made of."""

    layers: Layers
    alpha: Image.Image | None  # of the whole upright original
    mask: Image.Image | None  # of the whole upright original, 255 = may change
    placement: Placement
    size: Size

    @property
    def covers_all(self) -> bool:
        """Whether no pixel of the original shows in the result."""
        region = self.placement.region
        return self.mask is None and (region.width, region.height) == self.layers.base.size

    @property
    def shows_original(self) -> bool:
        """Whether pixels of the original stand in the result; a region alone has none."""
        if isinstance(self.size, ModelSize):
            return self.mask is not None
        return not self.covers_all


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


def compose_pixels(composite: Composite) -> tuple[Image.Image, Image.Image | None]:
    """Return the result's pixels, RGB or L, and its alpha channel.

    Pixels outside region and mask are the original's, bit for bit, at the original's size. At the
    model's size the result is the region alone, as the model left it. An exact size of another
    aspect is filled and cut at both ends, never stretched.
    """
    match composite.size:
        case OriginalSize():
            return _pasted(composite), composite.alpha
        case ModelSize():
            return _region_alone(composite)
        case ExactSize(width, height):
            whole = composite.layers.edit if composite.covers_all else _pasted(composite)
            pixels = _covering(whole, width, height)
            alpha = composite.alpha
            return pixels, None if alpha is None else _covering(alpha, width, height)
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


def _pasted(composite: Composite) -> Image.Image:
    region, base = composite.placement.region, composite.layers.base
    patch = scaled(composite.layers.edit, (region.width, region.height))
    if composite.covers_all:
        return patch
    result = base.copy()
    mask = None if composite.mask is None else composite.mask.crop(box(region))
    result.paste(patch, (region.x, region.y), mask)
    return result


def _region_alone(composite: Composite) -> tuple[Image.Image, Image.Image | None]:
    placement = composite.placement
    size = placement.content_width, placement.content_height
    part = box(placement.region)
    pixels = scaled(composite.layers.edit, size)
    if composite.mask is not None:
        base = scaled(composite.layers.base.crop(part), size)
        pixels = Image.composite(pixels, base, scaled(composite.mask.crop(part), size))
    alpha = composite.alpha
    return pixels, None if alpha is None else scaled(alpha.crop(part), size)


def _covering(image: Image.Image, width: int, height: int) -> Image.Image:
    part = _covering_box(*image.size, width, height)
    return image.resize((width, height), Image.Resampling.LANCZOS, box=part)


def _covering_box(
    width: int, height: int, wanted_width: int, wanted_height: int
) -> tuple[float, float, float, float]:
    """The largest centred part of a picture that has the wanted aspect."""
    scale = max(wanted_width / width, wanted_height / height)
    part_width = min(float(width), wanted_width / scale)
    part_height = min(float(height), wanted_height / scale)
    left, top = (width - part_width) / 2, (height - part_height) / 2
    return left, top, left + part_width, top + part_height
