"""Pictures opened: refused with a reason or whole, upright, with eight bits or all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from config.comparison import told_apart
from pipeline.picture import sixteen_bit as deep_pixels
from pipeline.picture.icc import Colours, settle
from pipeline.picture.sixteen_bit import SixteenBitPixels
from pipeline.picture.source_metadata import (
    DECODER_ERRORS,
    SourceMetadata,
    orientation,
    read_source_metadata,
)
from pipeline.pixel_requests import PictureError
from pipeline.sniff.foreign import NotAPicture
from pipeline.sniff.whole_file import JPEG_END, JPEG_SCAN, Incomplete, Kind, Verdict, examine
from pipeline.sniff.window import CHUNK_BYTES

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

FURTHER_FRAMES = {
    Kind.JPEG: "carries further pictures, as phones add them; only the main one is edited",
    Kind.PNG: "is animated; only its first frame is edited",
    Kind.WEBP: "is animated; only its first frame is edited",
    Kind.TIFF: "has several pages; only the first is edited",
    Kind.BMP: "holds several pictures; only the first is edited",
}
TIFF_BITS, TIFF_PHOTOMETRIC = 258, 262
TIFF_WHITE_IS_ZERO = 0
GREY_MODES = frozenset({"1", "L", "LA", "La"})
READY_MODES = frozenset({"RGB", "L", "CMYK", "LAB"})
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
COPY_AGAIN = "Copy the picture again, or export it once more from the program that made it."
SMALLER = "Make the picture smaller."
# What a decoder says itself, and what comes of seeking where a damaged header leads.
_NOT_OF_THE_DISK = (None, errno.EINVAL, errno.EOVERFLOW)
MEMORY_BYTES = 8 << 30  # that a picture may take
_BYTES_A_PIXEL = 64  # at most: an 8192 x 8192 picture with 16 bits a channel takes half of it
_SMALL_PART = 4  # what needs less than a quarter of it is not why there is none left
MOST_SCANS = 500  # of a progressive JPEG
# Of each pass of a PNG: its first column and row, and the steps to the next ones.
_AT_ONCE = ((0, 0, 1, 1),)
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)  # no stuffing, restart or fill byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An opened picture: upright, 8 bits per channel, in the file's own colours."""

    name: str
    kind: Kind
    pixels: Image.Image  # RGB, L, CMYK or LAB
    alpha: Image.Image | None  # L, of the same size
    colours: Colours
    carried: SourceMetadata
    is_deep: bool  # the file has more than 8 bits a channel
    deep: SixteenBitPixels | None  # all of them, where they were asked for and can be kept
    notes: tuple[str, ...]  # plain sentences


def open_picture(path: Path, name: str, *, most_pixels: int, all_bits: bool = False) -> Picture:
    """Open a picture of at most `most_pixels`; `name` is what people call it.

    With `all_bits`, 16 bits a channel are read beside the 8 where the file has them. Colours
    under transparent parts are kept as they are. Raises PictureError for a file that can not be
    used, OSError where the file system fails.
    """
    with path.open("rb") as file, warnings.catch_warnings(record=True) as heard, readable(name):
        warnings.simplefilter("always")
        verdict = examine(file, file.seek(0, 2))
        _require_picture(name, verdict)
        with _header(file, name, verdict) as image:
            _require_small(image, name, most_pixels)
            _require_whole(name, verdict)
            _require_sound(image, file)
            _require_few_scans(image, file, name)
            picture = _decoded(image, file, name, all_bits=all_bits)
    said = dict.fromkeys(f"{name}: {warning.message}" for warning in heard)
    return dataclasses.replace(picture, notes=(*picture.notes, *said))


def open_own(path: Path, what: str) -> Image.Image:
    """Open a picture that lies on scratch because we, or an editor, wrote it there; as RGB or L.

    Raises PictureError, naming it `what`, when it is not whole; OSError from the file system.
    """
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with readable(what), Image.open(path) as image:
        image.load()
        return image


def _require_picture(name: str, verdict: Verdict) -> None:
    if isinstance(verdict, NotAPicture):
        cause = f"{name} is no picture that can be edited: it is {verdict.what}"
        raise PictureError(cause, f"{verdict.advice[:1].upper()}{verdict.advice[1:]}.")


def _require_whole(name: str, verdict: Verdict) -> None:
    if isinstance(verdict, Incomplete):
        cause = f"{name} is not complete: {verdict.why}"
        raise PictureError(cause, COPY_AGAIN)


def _require_small(image: Image.Image, name: str, most_pixels: int) -> None:
    width, height = image.size
    if width * height > most_pixels:
        megapixels = told_apart(width * height / 1e6, most_pixels / 1e6, 1)
        cause = (
            f"{name} says that it has {width}x{height} pixels "
            f"({megapixels} megapixels), {most_pixels / 1e6:g} are allowed"
        )
        advice = "Make the picture smaller, or raise limits.max_megapixels in the settings."
        raise PictureError(cause, advice)
    Image.MAX_IMAGE_PIXELS = most_pixels  # for whatever the decoder meets further inside


def _require_sound(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Compare the checksums of a PNG, which Pillow's decoder passes over."""
    if image.format == Kind.PNG:
        place = file.tell()
        file.seek(0)
        with Image.open(file, formats=(Kind.PNG,)) as twin:
            twin.verify()
        file.seek(place)


def _require_few_scans(image: ImageFile.ImageFile, file: BinaryIO, name: str) -> None:
    """Refuse a JPEG of which each few bytes cost a decoder as much as the whole picture."""
    if image.info.get("progression"):
        place = file.tell()
        file.seek(0)
        if _has_many_scans(file.read()):
            cause = f"{name} is a JPEG of more than {MOST_SCANS} scans; photos have a dozen"
            raise PictureError(cause, "Open it in a picture program and save it again.")
        file.seek(place)


def _has_many_scans(content: bytes) -> bool:
    """Go from marker to marker (ITU-T T.81, B.1.1.3) to the end of the picture."""
    scans, offset = 0, 2
    while (found := _MARKER.search(content, offset)) and found[0] != JPEG_END:
        scans += found[0][1] == JPEG_SCAN
        if scans > MOST_SCANS:
            return True
        offset = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    return False


def _require_all_rows(image: ImageFile.ImageFile, file: BinaryIO, name: str) -> None:
    """Refuse a loaded PNG whose stream ends before its rows; Pillow leaves those zero, unsaid.

    Where the last row is not zero, all are there; of an interlaced picture it tells nothing. To
    unpack once more costs 0.3 s at 24 megapixels.
    """
    if image.format != Kind.PNG:
        return
    last_row = image.crop((0, image.height - 1, *image.size))
    if any(last_row.tobytes()) and not image.info.get("interlace"):
        return
    place = file.tell()
    found, expected = _png_pixel_bytes(file)
    if found < expected:
        cause = f"{name} is not complete: it holds {found} of {expected} bytes of its pixels"
        raise PictureError(cause, COPY_AGAIN)
    file.seek(place)


def _png_pixel_bytes(file: BinaryIO) -> tuple[int, int]:
    """How many bytes a PNG's pixels have when unpacked, and how many its header asks for."""
    found, expected, unpacking = 0, 0, zlib.decompressobj()
    for kind, content in _png_pieces(file):
        if kind == b"IHDR":
            expected = _expected_bytes(content)
        elif kind == b"IDAT":
            packed = content
            while packed and not unpacking.eof and found < expected:
                found += len(unpacking.decompress(packed, CHUNK_BYTES))
                packed = unpacking.unconsumed_tail
        elif found:
            break
    return found, expected


def _png_pieces(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The chunks up to the last, in pieces: kind and content (PNG, third edition, 5.3)."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big")
        for offset in range(0, length, CHUNK_BYTES):
            yield head[4:], file.read(min(CHUNK_BYTES, length - offset))
        file.seek(4, 1)  # the checksum was compared before


def _expected_bytes(header: bytes) -> int:
    """The bytes of all scan lines, each with its filter (PNG, third edition, 7.2 and 8.1)."""
    width, height, bits, colours, _, _, is_interlaced = struct.unpack(">IIBBBBB", header)
    expected = 0
    for column, row, columns, rows in _ADAM7 if is_interlaced else _AT_ONCE:
        wide, high = -((column - width) // columns), -((row - height) // rows)
        if wide > 0 and high > 0:
            expected += high * (1 + (wide * bits * _PNG_CHANNELS[colours] + 7) // 8)
    return expected


@contextmanager
def _header(file: BinaryIO, name: str, verdict: Verdict) -> Iterator[ImageFile.ImageFile]:
    """Open a picture without decoding it."""
    Image.MAX_IMAGE_PIXELS = None  # the check that follows names the size
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    file.seek(0)
    try:
        image = Image.open(file, formats=tuple(Kind))
    except (OSError, SyntaxError):
        _require_whole(name, verdict)
        raise
    with image:
        yield image


def _decoded(image: ImageFile.ImageFile, file: BinaryIO, name: str, *, all_bits: bool) -> Picture:
    kind = Kind.JPEG if image.format == "MPO" else Kind(str(image.format))
    samples = depth(image)
    if kind is not Kind.TIFF:
        image.load()  # orientation() may do so, and hears of no damage
        _require_all_rows(image, file, name)
    turn = orientation(image)
    image.load()
    carried, carried_notes = read_source_metadata(image, file, name, kind, is_sideways=turn >= 5)
    # Pillow itself turns TIFF pictures while it loads them.
    stands = turn == 1 or kind is Kind.TIFF
    pixels, alpha = split(image.copy() if stands else image.transpose(TURNS[turn]), samples)
    deep = None
    if all_bits and samples.is_deep and kind in deep_pixels.KINDS:
        deep = deep_pixels.read_sixteen_bit(file, pixels, alpha, orientation=turn)
    pixels, colours, colour_notes = settle(pixels, image.info.get("icc_profile"), name)
    pixels.info.clear()  # Pillow would write what stands there into the result by itself
    notes = _surprises(image, name, kind, is_deep=samples.is_deep, has_alpha=alpha is not None)
    return Picture(
        name=name,
        kind=kind,
        pixels=pixels,
        alpha=alpha,
        colours=colours,
        carried=carried,
        is_deep=samples.is_deep,
        deep=deep,
        notes=(*notes, *carried_notes, *colour_notes),
    )


def _surprises(
    image: Image.Image, name: str, kind: Kind, *, is_deep: bool, has_alpha: bool
) -> list[str]:
    notes = []
    if not kind.is_named_by(Path(name).suffix):
        notes.append(f"{name} holds a {kind} picture, whatever its name says.")
    if getattr(image, "is_animated", False):
        notes.append(f"{name} {FURTHER_FRAMES[kind]}.")
    if is_deep:
        notes.append(f"{name} has more than 8 bits per channel; the model sees 8.")
    if has_alpha:
        notes.append(f"{name} has transparency; the model sees a plain ground there.")
    return notes


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


def to_eight_bits(image: Image.Image, *, white: int | None, is_inverted: bool) -> Image.Image:
    """Return an L picture of a grey one with 16- or 32-bit samples.

    `white` is the value of white where the file tells it (4095 in 12-bit scans). Else the range of
    the values decides: 0 to 1 in floats, 0 to 255, 0 to 65535, or from the least to the greatest.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = _range(values, white, is_float=image.mode == "F")
    grey = (values - low) * (255.0 / (high - low))
    if is_inverted:
        grey = 255.0 - grey
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def _range(
    values: npt.NDArray[np.float32], white: int | None, *, is_float: bool
) -> tuple[float, float]:
    if white is not None:
        return 0.0, float(white)
    low, high = float(values.min()), float(values.max())
    plausible = (1.0, 255.0, 65535.0) if is_float else (255.0, 65535.0)
    for top in plausible:
        if low >= 0 and high <= top:
            return 0.0, top
    return low, high


@contextmanager
def fitting(name: str, *paths: Path, made_pixels: int = 0) -> Iterator[None]:
    """Raise PictureError where the pictures, or what is made of them, need more memory than is.

    The MemoryError stays as it is where they need so little that it is the machine's.
    """
    try:
        with _memory_of_opencv():
            yield
    except MemoryError as error:
        needed = made_pixels * _BYTES_A_PIXEL + sum(map(_needed_bytes, paths))
        if needed < MEMORY_BYTES // _SMALL_PART:
            raise
        cause = f"{name} does not fit into the memory that a picture may take"
        raise PictureError(cause, SMALLER) from error


@contextmanager
def _memory_of_opencv() -> Iterator[None]:
    """Let the end of memory be a MemoryError in OpenCV, too."""
    try:
        yield
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        raise MemoryError from error


def _needed_bytes(path: Path) -> int:
    """About how much memory a picture takes, by its header."""
    pixels, Image.MAX_IMAGE_PIXELS = 0, None
    with contextlib.suppress(*DECODER_ERRORS, MemoryError), Image.open(path) as image:
        pixels = image.width * image.height
    return path.stat().st_size + pixels * _BYTES_A_PIXEL


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raise PictureError for what is the picture's fault; the disk's OSError stays as it is."""
    try:
        yield
    except UnidentifiedImageError as error:
        cause = f"{name} begins like a picture but its header makes no sense"
        raise PictureError(cause, COPY_AGAIN) from error
    except Image.DecompressionBombError as error:
        cause = f"{name} holds more pixels than its header says"
        raise PictureError(cause, COPY_AGAIN) from error
    except DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.errno not in _NOT_OF_THE_DISK:
            raise
        cause = f"{name} is damaged: {error}"
        raise PictureError(cause, COPY_AGAIN) from error
