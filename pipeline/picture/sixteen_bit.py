"""Pictures of more than eight bits a channel: their untouched pixels keep every bit."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from pipeline.sniff.whole_file import Kind

Deep = npt.NDArray[np.uint16]

KINDS = frozenset({Kind.PNG, Kind.TIFF})  # what can hold them and is written as such
_TOLERANCE = 1  # levels of 255 between our reading and Pillow's
# EXIF orientation: mirrored first, then turned to the left so often
_TURNS = {1: (0, 0), 2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 1), 6: (0, 3), 7: (1, 3), 8: (0, 1)}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_LEVEL = 1
TIFF_HEAD = b"II*\0\x08\0\0\0"  # little endian, the directory follows
STRIP_BYTES = 1 << 20
DEFLATE = 8  # TIFF 6.0 supplement 2
HORIZONTAL = 2  # the predictor: TIFF 6.0, section 14
# Tags that say how the pixels lie, which are ours.
_LAYOUT = frozenset(
    {256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 338, 339}  # TIFF 6.0, section 8 f.
)
_SHORT, _LONG = 3, 4


@dataclass(frozen=True, slots=True)
class SixteenBitPixels:
    """The same upright picture as the 8-bit one, with all its bits."""

    pixels: Deep  # height x width (x 3)
    alpha: Deep | None


def read_sixteen_bit(
    file: BinaryIO, pixels: Image.Image, alpha: Image.Image | None, *, orientation: int
) -> SixteenBitPixels | None:
    """Return all bits of a picture that Pillow has read with 8, or None.

    None where OpenCV does not read 16 bits a channel, or not the same as Pillow: a file with 12
    bits, inverted or of another order, say.
    """
    file.seek(0)
    content = np.frombuffer(file.read(), np.uint8)
    try:
        read = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # Pillow has read it, so it is a picture, with 8 bits
        return None
    if read is None or read.dtype != np.uint16:
        return None
    found = _split(_upright(np.asarray(read, np.uint16), orientation))
    is_same = _agrees(found.pixels, pixels) and (
        (alpha is None) == (found.alpha is None)
        and (alpha is None or found.alpha is None or _agrees(found.alpha, alpha))
    )
    return found if is_same else None


def _upright(levels: Deep, orientation: int) -> Deep:
    mirrored, turns = _TURNS[orientation]
    return np.ascontiguousarray(np.rot90(levels[:, ::-1] if mirrored else levels, turns))


def _split(levels: Deep) -> SixteenBitPixels:
    """OpenCV's channels are blue, green, red, alpha."""
    if levels.ndim == 2:
        return SixteenBitPixels(levels, None)
    alpha = np.ascontiguousarray(levels[..., 3]) if levels.shape[2] == 4 else None
    return SixteenBitPixels(np.ascontiguousarray(levels[..., 2::-1]), alpha)


def _agrees(levels: Deep, pixels: Image.Image) -> bool:
    eight = np.asarray(pixels)
    if eight.shape != levels.shape:
        return False
    off = cv2.absdiff((levels >> 8).astype(np.uint8), eight)
    return int(off.max()) <= _TOLERANCE


def write_sixteen_bit(
    path: Path, deep: SixteenBitPixels, kind: Kind, options: Mapping[str, Any]
) -> None:
    """Write a picture with what `options` make Pillow write: profile, EXIF, resolution, texts.

    A TIFF is uncompressed where `options` say so, else deflated. Raises OSError.
    """
    donor = BytesIO()
    channels = 1 if deep.pixels.ndim == 2 else 3
    plain = {**options, "compression": "raw"} if kind is Kind.TIFF else options
    mode = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA"}
    Image.new(mode[channels, deep.alpha is not None], (1, 1)).save(donor, kind, **plain)
    with path.open("wb") as file:
        if kind is Kind.PNG:
            _write_png(file, deep, donor.getvalue())
        else:
            _write_tiff(file, deep, donor, deflated=options.get("compression") != "raw")


def _write_png(file: IO[bytes], deep: SixteenBitPixels, donor: bytes) -> None:
    """OpenCV's file, with the chunks of Pillow's (PNG 3rd edition, 5.3)."""
    levels = deep.pixels[..., ::-1] if deep.pixels.ndim == 3 else deep.pixels
    if deep.alpha is not None:
        colours = levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)
        levels = np.dstack([colours, deep.alpha])
    setting = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
    done, content = cv2.imencode(".png", np.ascontiguousarray(levels), setting)
    assert done
    head = len(PNG_SIGNATURE) + 25  # signature and IHDR
    file.write(content[:head].tobytes())
    for name, chunk in _chunks(donor):
        if name not in {b"IHDR", b"IDAT", b"IEND"}:
            file.write(chunk)
    file.write(content[head:].data)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(PNG_SIGNATURE)
    while place < len(png):
        end = place + 12 + int.from_bytes(png[place : place + 4])
        yield png[place + 4 : place + 8], png[place:end]
        place = end


def _write_tiff(
    file: IO[bytes], deep: SixteenBitPixels, donor: BytesIO, *, deflated: bool
) -> None:
    """A TIFF in strips behind their directory, whose length does not depend on its numbers."""
    levels = deep.pixels if deep.pixels.ndim == 3 else deep.pixels[..., None]
    if deep.alpha is not None:
        levels = np.dstack([levels, deep.alpha])
    rows = max(1, STRIP_BYTES // (levels.shape[1] * levels.shape[2] * 2))
    tops = range(0, levels.shape[0], rows)
    directory = _directory(donor, levels, rows, deflated=deflated)
    _place_strips(directory, [0] * len(tops), [0] * len(tops))
    start = len(TIFF_HEAD) + len(directory.tobytes(len(TIFF_HEAD)))
    file.seek(start)
    offsets, sizes = [], []
    for top in tops:
        offsets.append(file.tell() - start)
        sizes.append(file.write(_strip(levels[top : top + rows], deflated=deflated)))
    file.seek(0)
    _place_strips(directory, offsets, sizes)
    file.write(TIFF_HEAD + directory.tobytes(len(TIFF_HEAD)))


def _place_strips(
    directory: TiffImagePlugin.ImageFileDirectory_v2, offsets: list[int], sizes: list[int]
) -> None:
    """Say where the strips are; Pillow counts from the end of the directory."""
    for tag, values in ((273, offsets), (279, sizes)):
        directory.tagtype[tag] = _LONG
        directory[tag] = tuple(values)


def _strip(levels: Deep, *, deflated: bool) -> bytes:
    if not deflated:
        return levels.astype("<u2").tobytes()
    steps = levels.copy()
    steps[:, 1:] -= levels[:, :-1]  # wraps around, as the predictor wants
    return zlib.compress(steps.astype("<u2").tobytes(), 1)


def _directory(
    donor: BytesIO, levels: Deep, rows: int, *, deflated: bool
) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The directory of Pillow's file, with our layout of pixels."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    with Image.open(donor) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        exif = image.getexif()
        for tag, value in image.tag_v2.items():
            if tag in _LAYOUT:
                continue
            directory.tagtype[tag] = image.tag_v2.tagtype[tag]
            directory[tag] = exif.get_ifd(tag) or value
    height, width, channels = levels.shape
    for tag, number in ((256, width), (257, height), (278, rows)):
        directory.tagtype[tag] = _LONG
        directory[tag] = number
    layout = {258: (16,) * channels, 259: DEFLATE if deflated else 1, 277: channels, 284: 1}
    layout |= {262: 2 if channels >= 3 else 1, 339: (1,) * channels}
    layout |= {317: HORIZONTAL} if deflated else {}
    layout |= {338: 2} if channels in {2, 4} else {}
    for tag, number in layout.items():
        directory.tagtype[tag] = _SHORT
        directory[tag] = number
    return directory
