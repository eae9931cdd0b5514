"""What an original carries beside its pixels, and whether it has content credentials.

With the same tables and the same subsampling, blocks of the original that come back unchanged lose
next to nothing a second time (ITU-T T.81, A.3.4: what was rounded is rounded to itself).

C2PA Technical Specification 2.2, annex A.3: where each format embeds its manifest store.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from pipeline.picture import iptc, xmp
from pipeline.picture.exif import DamagedExifError, upright
from pipeline.picture.xmp import DamagedXmpError
from pipeline.sniff.whole_file import Kind, webp_chunks
from pipeline.sniff.window import CutShortError, Window

_SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
_ENTRIES = 64  # of a table: one for each frequency of a block
_COMPONENTS = 3  # of what is written: brightness and two of colour
# Of a TIFF's own tags these describe the photo; the others describe the file's pixels.
DESCRIPTIONS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
)
DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
LOSSLESS_COMPRESSIONS = frozenset({"tiff_lzw", "packbits"})
# What Pillow raises over a damaged file.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
_X_RESOLUTION = 282  # TIFF 6.0
_TIFF_TAG = 52545
_JPEG_SEGMENT, _JPEG_LABEL = "APP11", b"c2pa"
_PNG_CHUNK, _WEBP_CHUNK = b"caBX", b"C2PA"


@dataclass(frozen=True, slots=True)
class Quantisation:
    """The tables, and the subsampling of colour."""

    tables: tuple[tuple[int, ...], ...]  # of brightness and colours; the last has to do for more
    subsampling: str


def read_quantisation(image: Image.Image) -> Quantisation | None:
    """What a loaded JPEG was packed with; None of another picture, and where it is incomplete.

    Of a grey JPEG the table of brightness has to do for colours, too. Where the subsampling is one
    that cannot be written, colours keep their full resolution.
    """
    if not isinstance(image, JpegImageFile):
        return None
    of_components = [number for _, _, _, number in image.layer[:_COMPONENTS]]
    found = [image.quantization.get(number) for number in of_components]
    tables = [tuple(table) for table in found if table and len(table) == _ENTRIES]
    if not tables or len(tables) < len(found):
        return None
    while tables[-1:] == tables[-2:-1]:
        tables.pop()
    return Quantisation(tuple(tables), _SAMPLINGS.get(get_sampling(image), "4:4:4"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMetadata:
    """What a result takes over from its original."""

    exif: bytes  # the block as it was, b"" = none
    xmp: bytes  # the packet as it was, b"" = none
    iim: bytes  # the older half of IPTC's data, b"" = none
    dpi: tuple[float, float] | None  # across and down the upright picture
    quantisation: Quantisation | None  # of a JPEG
    is_progressive: bool  # a JPEG that comes up as a whole, finer and finer
    tiff_compression: str
    is_lossless_webp: bool


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DECODER_ERRORS:
        return 1  # read_source_metadata says that the block is damaged
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_source_metadata(
    image: Image.Image, file: BinaryIO, name: str, kind: Kind, *, is_sideways: bool
) -> tuple[SourceMetadata, tuple[str, ...]]:
    """Collect what goes over from a loaded picture, and what is said about it."""
    notes: tuple[str, ...] = ()
    try:
        exif = _exif(image)
    except (*DECODER_ERRORS, DamagedExifError):
        exif = b""
        notes = (f"{name} has a damaged EXIF block; it is left out of the result.",)
    try:
        xmp = _xmp(image)
    except DamagedXmpError:
        xmp = b""
        notes += (f"{name} has XMP data that cannot be read; it is left out of the result.",)
    if has_credentials(image, file):
        notes += (f"{name} has signed Content Credentials; an edit ends them, they are left out.",)
    return SourceMetadata(
        exif=exif,
        xmp=xmp,
        iim=_iim(image, file),
        dpi=_dpi(image, is_sideways=is_sideways),
        quantisation=read_quantisation(image),
        is_progressive=kind is Kind.JPEG and "progressive" in image.info,
        tiff_compression=_compression(image, kind),
        is_lossless_webp=kind is Kind.WEBP and _is_lossless_webp(file),
    ), notes


def _compression(image: Image.Image, kind: Kind) -> str:
    """How a TIFF result is compressed: as its original was, if that loses nothing."""
    compression = str(image.info.get("compression")) if kind is Kind.TIFF else "raw"
    if compression == "raw" or _has_directories(image):
        return "raw"  # Pillow can write EXIF directories only into uncompressed files
    return compression if compression in LOSSLESS_COMPRESSIONS else "tiff_adobe_deflate"


def _has_directories(image: Image.Image) -> bool:
    exif = image.getexif()
    return any(exif.get_ifd(directory) for directory in DIRECTORIES)


def _exif(image: Image.Image) -> bytes:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _tiff_exif(image)
    exif = image.info.get("exif", b"")
    upright(exif, *image.size)
    return bytes(exif)


def _xmp(image: Image.Image) -> bytes:
    found = image.info.get("xmp", b"")
    found = found.encode() if isinstance(found, str) else found
    if not isinstance(found, bytes):
        raise DamagedXmpError
    if found:
        xmp.parse(found)
    return found


def _iim(image: Image.Image, file: BinaryIO) -> bytes:
    try:
        return iptc.read(image, file)
    except (*DECODER_ERRORS, CutShortError):
        return b""


def _tiff_exif(image: TiffImagePlugin.TiffImageFile) -> bytes:
    """Gather an EXIF block from a TIFF's own tags."""
    found, kept = image.getexif(), Image.Exif()
    for tag in DESCRIPTIONS:
        if tag in found:
            value = found[tag]
            # Pillow reads texts as Latin-1 and would write question marks for what is not ASCII.
            kept[tag] = value.encode("latin-1") if isinstance(value, str) else value
    for directory in DIRECTORIES:
        tags = dict(found.get_ifd(directory))
        tags.pop(ExifTags.IFD.Interop, None)
        if tags:
            kept[directory] = tags
    return kept.tobytes() if len(kept) else b""


def _dpi(image: Image.Image, *, is_sideways: bool) -> tuple[float, float] | None:
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _X_RESOLUTION not in image.tag_v2:
        return None  # Pillow makes up one dot an inch
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except DECODER_ERRORS:
        return None
    if not all(math.isfinite(value) and 1 <= value <= 65535 for value in (across, down)):
        return None
    return (down, across) if is_sideways else (across, down)


def _is_lossless_webp(file: BinaryIO) -> bool:
    window = Window(file, file.seek(0, 2))
    return any(name == b"VP8L" for name, _, _ in webp_chunks(window))


def has_credentials(image: Image.Image, file: BinaryIO) -> bool:
    """Whether a loaded picture carries a manifest store; nothing in it is verified."""
    match image:
        case JpegImagePlugin.JpegImageFile():
            segments = (text for name, text in image.applist if name == _JPEG_SEGMENT)
            return any(_JPEG_LABEL in text for text in segments)
        case PngImagePlugin.PngImageFile():
            return any(chunk[0] == _PNG_CHUNK for chunk in image.private_chunks)
        case TiffImagePlugin.TiffImageFile():
            return _TIFF_TAG in image.tag_v2
        case WebPImagePlugin.WebPImageFile():
            chunks = webp_chunks(Window(file, file.seek(0, 2)))
            return any(name == _WEBP_CHUNK for name, _, _ in chunks)
        case _:
            return False
