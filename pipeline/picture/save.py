"""Results written as files: the kind, the quality, the original's own tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from PIL import ExifTags, Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from config.values import Format
from pipeline.picture import iptc
from pipeline.picture.exif import user_comment
from pipeline.picture.metadata import Metadata
from pipeline.picture.open import open_own
from pipeline.picture.sixteen_bit import SixteenBitPixels, write_sixteen_bit
from pipeline.picture.source_metadata import SourceMetadata
from pipeline.pixel_requests import PictureError
from pipeline.sniff.whole_file import Kind

LONGEST_SIDE = {Kind.JPEG: 65500, Kind.WEBP: 16383}  # of libjpeg and of the WEBP container
PNG_LEVEL = 3  # a third of the time of Pillow's 6 for 3 % more bytes (docs/fidelity.md)
USUAL_QUALITY = 95
FINE_QUALITY = 90  # from here on colour keeps its full resolution
WITH_ALPHA = frozenset({Kind.PNG, Kind.WEBP, Kind.TIFF})
XMP_TAG = 700  # of a TIFF
# Of a JPEG: libjpeg-turbo (tj3JPEGBufSize) counts two for each sample of the finest.
_MOST_BYTES_A_PIXEL = 9
_MOST_METADATA_BYTES = 32 << 20  # a colour profile has at most 255 segments of 64 KiB
_LONGEST_BLOCK = 16  # pixels a side, by which a JPEG is filled up


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedPicture:
    """A picture that only wants saving."""

    pixels: Image.Image  # RGB or L
    deep: SixteenBitPixels | None  # the same with 16 bits a channel, for PNG and TIFF
    alpha: Image.Image | None
    profile: bytes | None
    carried: SourceMetadata
    metadata: Metadata
    kind: Kind
    quality: int | None  # None = as the original, if that was a JPEG


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


def save(finished: FinishedPicture, result: Path) -> tuple[Path, str, tuple[str, ...]]:
    """Write `result` plus extension; return its path, its SHA-256 and what is to be said.

    The file is opened again and decoded before it gets its name. Raises PictureError when it is
    not whole, OSError from the file system.
    """
    pixels, alpha_notes = _with_alpha(finished)
    path = result.with_name(result.name + finished.kind.extension)
    part = path.with_name(path.name + ".part")
    if finished.deep is not None:
        write_sixteen_bit(part, finished.deep, finished.kind, _options(finished))
    elif finished.kind is Kind.JPEG:
        with _room_for_a_jpeg(pixels.size):
            pixels.save(part, format=finished.kind, **_options(finished))
    else:
        pixels.save(part, format=finished.kind, **_options(finished))
    written = open_own(part, f"the result {path.name}")
    if written.size != pixels.size:
        cause = f"the result {path.name} came back as {written.size}, not {pixels.size}"
        raise PictureError(cause, "Choose another format for it, for example format: png.")
    part.replace(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path, digest, alpha_notes


@contextmanager
def _room_for_a_jpeg(size: tuple[int, int]) -> Iterator[None]:
    """Let Pillow take a buffer that holds the whole file, as libjpeg wants it for two passes.

    What it takes by itself is too small for fine tables, and saving fails. Memory of which nothing
    is written costs only address space.
    """
    width, height = (side + _LONGEST_BLOCK for side in size)
    before = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = width * height * _MOST_BYTES_A_PIXEL + _MOST_METADATA_BYTES
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = before


def _with_alpha(finished: FinishedPicture) -> tuple[Image.Image, tuple[str, ...]]:
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


def _tiff_tags(metadata: Metadata) -> Image.Exif:
    """EXIF, XMP and IPTC as tags of a TIFF; as bytes, since Pillow writes only ASCII of a text."""
    tags = Image.Exif()
    tags.load(metadata.exif)
    for tag, value in dict(tags).items():
        if isinstance(value, str):
            tags[tag] = value.encode("latin-1")
    if not tags.get_ifd(ExifTags.IFD.Exif):
        # A compressed TIFF cannot have that directory; readers find the comment here, too.
        tags[ExifTags.Base.UserComment] = user_comment(metadata.parameters)
    tags[XMP_TAG] = metadata.xmp
    if metadata.iim:
        tags[iptc.TIFF_TAG] = metadata.iim
    return tags


def _png_texts(metadata: Metadata) -> PngInfo:
    texts = PngInfo()
    texts.add_text("parameters", metadata.parameters)
    texts.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode())
    return texts


Option = (
    int | str | bool | bytes | list[list[int]] | tuple[float, float] | Image.Exif | PngInfo | None
)


def _jpeg_packing(finished: FinishedPicture) -> dict[str, Option]:
    """The quality that was asked for, else that of the original, else the usual.

    Huffman tables are made for the picture, which never makes it larger (docs/fidelity.md).
    """
    order: dict[str, Option] = {"optimize": True, "progressive": finished.carried.is_progressive}
    if finished.quality is None and (as_before := finished.carried.quantisation) is not None:
        tables = [list(table) for table in as_before.tables]
        return {**order, "qtables": tables, "subsampling": as_before.subsampling}
    quality = _quality(finished)
    subsampling = "4:4:4" if quality >= FINE_QUALITY else "4:2:0"
    return {**order, "quality": quality, "subsampling": subsampling}


def _quality(finished: FinishedPicture) -> int:
    return USUAL_QUALITY if finished.quality is None else finished.quality


def _options(finished: FinishedPicture) -> dict[str, Option]:
    """What Pillow is told about the file."""
    carried, metadata = finished.carried, finished.metadata
    described: dict[str, Option] = {"exif": metadata.exif, "icc_profile": finished.profile}
    described_in_xmp = {**described, "xmp": metadata.xmp}
    resolved: dict[str, Option] = {} if carried.dpi is None else {"dpi": carried.dpi}
    match finished.kind:
        case Kind.JPEG:
            iim = {"extra": iptc.jpeg_segment(metadata.iim)}
            return {**described_in_xmp, **resolved, **iim, **_jpeg_packing(finished)}
        case Kind.WEBP if carried.is_lossless_webp:
            return {**described_in_xmp, "lossless": True, "exact": True}
        case Kind.WEBP:
            return {**described_in_xmp, "quality": _quality(finished), "exact": True}
        case Kind.TIFF:
            described["exif"] = _tiff_tags(metadata)
            return {**described, **resolved, "compression": carried.tiff_compression}
        case Kind.PNG:
            texts = {"pnginfo": _png_texts(metadata)}
            return {**described, **resolved, **texts, "compress_level": PNG_LEVEL}
        case Kind.BMP:
            return resolved
        case _:
            assert_never(finished.kind)
