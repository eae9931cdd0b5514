"""Pictures of 16 bits a channel, written with all that Pillow writes beside pixels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from pipeline.container.examination import Kind
from pipeline.picture.deep import Deep, DeepPixels

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


def write_deep(path: Path, deep: DeepPixels, kind: Kind, options: Mapping[str, Any]) -> None:
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


def _write_png(file: IO[bytes], deep: DeepPixels, donor: bytes) -> None:
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


def _write_tiff(file: IO[bytes], deep: DeepPixels, donor: BytesIO, *, deflated: bool) -> None:
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
