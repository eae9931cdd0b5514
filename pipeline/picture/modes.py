"""Every pixel mode that a file can have, as 8-bit colours and an alpha channel apart."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageFile, TiffImagePlugin

from pipeline.picture.samples import DEEP_MODES, to_eight_bits

TIFF_BITS, TIFF_PHOTOMETRIC = 258, 262
TIFF_WHITE_IS_ZERO = 0
GREY_MODES = frozenset({"1", "L", "LA", "La"})
READY_MODES = frozenset({"RGB", "L", "CMYK", "LAB"})


@dataclass(frozen=True, slots=True)
class Depth:
    """What a file says of its samples and Pillow's mode does not."""

    is_deep: bool  # more than 8 bits; Pillow has cut colours to 8 already
    white: int | None  # the value of white in 16-bit grey
    is_inverted: bool  # 16-bit grey in which 0 is white


def depth(image: ImageFile.ImageFile) -> Depth:
    """Read the depth of an opened picture that is not loaded yet."""
    is_deep = image.mode in DEEP_MODES or any(";16" in str(tile.args) for tile in image.tile)
    white = 65535 if image.mode.startswith("I;16") else None
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or white is None:
        return Depth(is_deep, white, is_inverted=False)
    bits = image.tag_v2.get(TIFF_BITS, (16,))[0]
    is_inverted = image.tag_v2.get(TIFF_PHOTOMETRIC) == TIFF_WHITE_IS_ZERO
    return Depth(is_deep, 2**bits - 1, is_inverted)


def split(image: Image.Image, depth: Depth) -> tuple[Image.Image, Image.Image | None]:
    """Return pixels in RGB, L, CMYK or LAB, and the alpha channel in L where there is one.

    Colours under transparent pixels stay as the file has them.
    """
    if image.mode in DEEP_MODES:
        grey = to_eight_bits(image, white=depth.white, is_inverted=depth.is_inverted)
        return grey, None
    if image.has_transparency_data:
        full = image.convert("LA" if image.mode in GREY_MODES else "RGBA")
        return full.convert("L" if full.mode == "LA" else "RGB"), full.getchannel("A")
    if image.mode in READY_MODES:
        return image, None
    return image.convert("L" if image.mode in GREY_MODES else "RGB"), None
