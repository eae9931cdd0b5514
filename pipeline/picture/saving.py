"""A finished picture into a file of its format, whole or not there at all."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from PIL import ExifTags, Image

from config.keys import Format
from pipeline.container.examination import Kind
from pipeline.picture.carried import Carried
from pipeline.picture.deep import DeepPixels
from pipeline.picture.deep_file import write_deep
from pipeline.picture.exif import upright
from pipeline.picture.images import open_own
from pipeline.pictures import PictureError

LONGEST_SIDE = {Kind.JPEG: 65500, Kind.WEBP: 16383}  # of libjpeg and of the WEBP container
LONGEST_JPEG_EXIF = 65533
PNG_LEVEL = 3  # a third of the time of Pillow's 6 for 3 % more bytes (docs/fidelity.md)
FINE_QUALITY = 90  # from here on colour keeps its full resolution
WITH_ALPHA = frozenset({Kind.PNG, Kind.WEBP, Kind.TIFF})
INCHES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A picture that only wants saving."""

    pixels: Image.Image  # RGB or L
    deep: DeepPixels | None  # the same with 16 bits a channel, for PNG and TIFF
    alpha: Image.Image | None
    profile: bytes | None
    carried: Carried
    kind: Kind
    quality: int


def result_kind(
    wanted: Format, source: Kind, size: tuple[int, int]
) -> tuple[Kind, tuple[str, ...]]:
    """The kind of file that a result becomes, and a sentence where its size forbids the wanted."""
    kind = _wanted(wanted, source)
    longest = LONGEST_SIDE.get(kind, max(size))
    if max(size) <= longest:
        return kind, ()
    note = (
        f"{kind} files end at {longest} pixels a side, the result has {max(size)}: saved as PNG."
    )
    return Kind.PNG, (note,)


def _wanted(wanted: Format, source: Kind) -> Kind:
    match wanted:
        case Format.SAME:
            return source
        case Format.PNG:
            return Kind.PNG
        case Format.JPG:
            return Kind.JPEG
        case Format.WEBP:
            return Kind.WEBP
        case _:
            assert_never(wanted)


def save(finished: Finished, result: Path) -> tuple[Path, str, tuple[str, ...]]:
    """Write `result` plus extension; return its path, its SHA-256 and what is to be said.

    The file is opened again and decoded before it gets its name. Raises PictureError when it is
    not whole, OSError from the file system.
    """
    pixels, alpha_notes = _with_alpha(finished)
    finished, exif_notes = _with_true_exif(finished)
    path = result.with_name(result.name + finished.kind.extension)
    part = path.with_name(path.name + ".part")
    if finished.deep is None:
        pixels.save(part, format=finished.kind, **_options(finished))
    else:
        write_deep(part, finished.deep, finished.kind, _options(finished))
    written = open_own(part, f"the result {path.name}")
    if written.size != pixels.size:
        cause = f"the result {path.name} came back as {written.size}, not {pixels.size}"
        raise PictureError(cause, "Choose another format for it, for example format: png.")
    part.replace(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path, digest, (*alpha_notes, *exif_notes)


def _with_alpha(finished: Finished) -> tuple[Image.Image, tuple[str, ...]]:
    """Put the alpha channel back; on white where the format has none."""
    pixels, alpha = finished.pixels, finished.alpha
    if alpha is None:
        return pixels, ()
    if finished.kind in WITH_ALPHA:
        merged = (*pixels.split(), alpha)
        return Image.merge("LA" if pixels.mode == "L" else "RGBA", merged), ()
    if alpha.getextrema() == (255, 255):
        return pixels, ()
    white = Image.new(pixels.mode, pixels.size, "white")
    note = f"{finished.kind} has no transparency: transparent parts became white."
    return Image.composite(pixels, white, alpha), (note,)


def _with_true_exif(finished: Finished) -> tuple[Finished, tuple[str, ...]]:
    carried = finished.carried
    exif = upright(carried.exif, *finished.pixels.size)
    notes: tuple[str, ...] = ()
    if finished.kind is Kind.JPEG and len(exif) > LONGEST_JPEG_EXIF:
        exif, notes = b"", ("The EXIF block is too long for JPEG; it is left out of the result.",)
    if finished.kind is Kind.WEBP and not exif and carried.dpi is not None:
        exif = _resolution(*carried.dpi)
    return dataclasses.replace(finished, carried=dataclasses.replace(carried, exif=exif)), notes


def _resolution(across: float, down: float) -> bytes:
    """WEBP has no other place for the resolution than EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = across
    exif[ExifTags.Base.YResolution] = down
    exif[ExifTags.Base.ResolutionUnit] = INCHES
    return exif.tobytes()


def _tiff_tags(exif: bytes) -> Image.Exif:
    """An EXIF block as tags of a TIFF; as bytes, since Pillow writes only ASCII of a text."""
    tags = Image.Exif()
    tags.load(exif)
    for tag, value in dict(tags).items():
        if isinstance(value, str):
            tags[tag] = value.encode("latin-1")
    return tags


Option = int | str | bool | bytes | tuple[float, float] | Image.Exif | None


def _options(finished: Finished) -> dict[str, Option]:
    """What Pillow is told about the file."""
    carried, quality = finished.carried, finished.quality
    described: dict[str, Option] = {"exif": carried.exif, "icc_profile": finished.profile}
    resolved: dict[str, Option] = {} if carried.dpi is None else {"dpi": carried.dpi}
    match finished.kind:
        case Kind.JPEG:
            subsampling = "4:4:4" if quality >= FINE_QUALITY else "4:2:0"
            return {**described, **resolved, "quality": quality, "subsampling": subsampling}
        case Kind.WEBP if carried.is_lossless_webp:
            return {**described, "lossless": True, "exact": True}
        case Kind.WEBP:
            return {**described, "quality": quality, "exact": True}
        case Kind.TIFF:
            tags = {"exif": _tiff_tags(carried.exif), "icc_profile": finished.profile}
            return {**tags, **resolved, "compression": carried.tiff_compression}
        case Kind.PNG:
            return {**described, **resolved, "compress_level": PNG_LEVEL}
        case Kind.BMP:
            return resolved
        case _:
            assert_never(finished.kind)
