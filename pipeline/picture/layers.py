"""The original and its edit in the same colours, so that one can be laid over the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from PIL import Image, ImageChops

from config.keys import Region
from pipeline.picture.colours import OneWay, Own, from_srgb, to_srgb
from pipeline.picture.images import Picture
from pipeline.picture.mask import box


@dataclass(frozen=True, slots=True)
class Edited:
    """What an editor made of the region, in sRGB, at the size of its content on the canvas."""

    pixels: Image.Image  # in the original's tone
    raw: Image.Image  # as the editor gave it


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
    match edit:
        case Untouched():
            pixels = raw = base.crop(box(region))
        case Edited(toned, given):
            own = picture.colours if keeps and isinstance(picture.colours, Own) else None
            pixels = _in_colours(toned, own, base.mode)
            raw = pixels if given is toned else _in_colours(given, own, base.mode)
        case _:
            assert_never(edit)
    return Layers(base=base, edit=pixels, raw=raw, profile=profile)


def _in_colours(srgb: Image.Image, own: Own | None, mode: str) -> Image.Image:
    return srgb.convert(mode) if own is None else from_srgb(srgb, own.profile, mode)


def _is_grey(edit: Edit) -> bool:
    match edit:
        case Untouched():
            return True
        case Edited(pixels, _):
            red, green, blue = pixels.split()
            pairs = ((red, green), (green, blue))
            return all(ImageChops.difference(*pair).getbbox() is None for pair in pairs)
        case _:
            assert_never(edit)
