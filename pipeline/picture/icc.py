"""The colours that a file's ICC profile gives its pixels, to sRGB and back."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

SRGB_TOLERANCE = 2  # levels of 255; the sRGB profiles of different makers differ by as much
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}


@dataclass(frozen=True, slots=True)
class Srgb:
    """The numbers are sRGB, or taken for it; pixels are RGB or L."""

    profile: bytes | None  # a profile that says no more than sRGB


@dataclass(frozen=True, slots=True)
class Own:
    """The numbers mean what an RGB or grey profile says, and sRGB can be brought to it."""

    profile: bytes


@dataclass(frozen=True, slots=True)
class OneWay:
    """Colours that become sRGB for good: CMYK, LAB, and RGB or grey profiles for reading only."""

    profile: bytes | None


Colours = Srgb | Own | OneWay


class UnusableProfileError(Exception):
    """A profile that is broken or does not fit the pixels."""


def settle(
    pixels: Image.Image, profile: bytes | None, name: str
) -> tuple[Image.Image, Colours, tuple[str, ...]]:
    """Say what the numbers of RGB, L, CMYK or LAB pixels mean, with notes about `name`.

    Grey pixels with an RGB profile become RGB for it. A profile that is broken or does not fit is
    left out, and said.
    """
    if profile is None:
        unsaid: Colours = Srgb(None) if pixels.mode in {"RGB", "L"} else OneWay(None)
        return pixels, unsaid, _farewell(pixels.mode, name, "without a profile, by rule of thumb")
    try:
        if pixels.mode == "L" and _space(profile) == "RGB ":
            pixels = pixels.convert("RGB")
        colours = _read(pixels.mode, profile)
    except UnusableProfileError as error:
        pixels, unsaid, notes = settle(pixels, None, name)
        note = f"{name} has a colour profile that cannot be used ({error}); it was left out."
        return pixels, unsaid, (note, *notes)
    return pixels, colours, _farewell(pixels.mode, name, "by its profile")


def _read(mode: str, profile: bytes) -> Colours:
    if mode == "RGB" and _is_srgb(profile):
        return Srgb(profile)
    _transform(profile, mode, to_srgb=True)
    if mode not in {"RGB", "L"}:
        return OneWay(profile)
    try:
        _transform(profile, mode, to_srgb=False)
    except UnusableProfileError:
        return OneWay(profile)
    return Own(profile)


def _farewell(mode: str, name: str, how: str) -> tuple[str, ...]:
    if mode in {"RGB", "L"}:
        return ()
    return (f"{name} is {mode}; it was converted to sRGB {how}, and the result is RGB.",)


def to_srgb(pixels: Image.Image, colours: Colours) -> Image.Image:
    """Return the pixels as sRGB in RGB."""
    match colours:
        case Srgb():
            return pixels.convert("RGB")
        case OneWay(None) if pixels.mode != "LAB":
            return pixels.convert("RGB")
        case Own(profile) | OneWay(profile):
            return _apply(_transform(profile, pixels.mode, to_srgb=True), pixels)
        case _:
            assert_never(colours)


def from_srgb(pixels: Image.Image, profile: bytes, mode: str) -> Image.Image:
    """Return sRGB pixels in the colours of a profile, in `mode` RGB or L."""
    return _apply(_transform(profile, mode, to_srgb=False), pixels)


def _apply(transform: ImageCms.ImageCmsTransform, pixels: Image.Image) -> Image.Image:
    converted = transform.apply(pixels)
    converted.info.clear()  # Pillow would write the profile noted there into the result
    return converted


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str, *, to_srgb: bool) -> ImageCms.ImageCmsTransform:
    """Build a transform between a profile (None = CIELAB) and sRGB; relative colorimetric."""
    from PIL import ImageCms  # noqa: PLC0415 - few pictures need it, all workers start faster

    own = _opened(profile, mode)
    try:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        source, target, modes = (
            (own, srgb, (mode, "RGB")) if to_srgb else (srgb, own, ("RGB", mode))
        )
        return ImageCms.buildTransform(
            source,
            target,
            *modes,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise UnusableProfileError(str(error)) from error


def _opened(profile: bytes | None, mode: str) -> ImageCms.ImageCmsProfile:
    from PIL import ImageCms  # noqa: PLC0415 - as above

    if profile is None:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if _space(profile) != SPACES[mode]:
        why = f"it is for {_space(profile).strip()} pixels, these are {mode}"
        raise UnusableProfileError(why)
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except OSError as error:
        raise UnusableProfileError(str(error)) from error


def _space(profile: bytes) -> str:
    """The kind of pixels that a profile is for: bytes 16 to 20 of its header (ICC.1, 7.2)."""
    return profile[16:20].decode("latin-1")


@lru_cache(maxsize=16)
def _is_srgb(profile: bytes) -> bool:
    """Whether a profile moves no colour of a 9 x 9 x 9 cube by more than the tolerance."""
    levels = [round(i * 255 / 8) for i in range(9)]
    triples = [(r, g, b) for r in levels for g in levels for b in levels]
    cube = bytes(value for triple in triples for value in triple)
    before = Image.frombytes("RGB", (len(triples), 1), cube)
    after = _apply(_transform(profile, "RGB", to_srgb=True), before).tobytes()
    return all(abs(a - b) <= SRGB_TOLERANCE for a, b in zip(cube, after, strict=True))
