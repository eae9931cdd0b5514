"""The older half of IPTC's data (IIM): where a file holds it, and what it is called in XMP.

IPTC-NAA Information Interchange Model 4.2; IPTC Photo Metadata Standard, "IIM" of each property;
Adobe Photoshop File Formats, image resource 0x0404.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from PIL import Image, PngImagePlugin, TiffImagePlugin

from pipeline.picture.exif import BYTES_OF_TYPE, ENTRY_BYTES
from pipeline.picture.xmp import Array, Form, Value
from pipeline.sniff.window import Order, Window

TIFF_TAG = 33723
MOST_BYTES = 4 << 20
LONGEST_BLOCK = 65506  # what a JPEG segment leaves beside the names of its resource
_RESOURCE = 0x0404
_SIGNATURE, _PHOTOSHOP = b"8BIM", b"Photoshop 3.0\0"
_PNG_KEY = "Raw profile type iptc"  # ImageMagick's and ExifTool's way
_MARKER, _EDITORIAL = 0x1C, 2
_NAMES: Mapping[int, tuple[str, Form | None]] = {
    5: ("dc:title", Form.ALT),
    25: ("dc:subject", Form.BAG),
    40: ("photoshop:Instructions", None),
    80: ("dc:creator", Form.SEQ),
    85: ("photoshop:AuthorsPosition", None),
    90: ("photoshop:City", None),
    92: ("Iptc4xmpCore:Location", None),
    95: ("photoshop:State", None),
    100: ("Iptc4xmpCore:CountryCode", None),
    101: ("photoshop:Country", None),
    103: ("photoshop:TransmissionReference", None),
    105: ("photoshop:Headline", None),
    110: ("photoshop:Credit", None),
    115: ("photoshop:Source", None),
    116: ("dc:rights", Form.ALT),
    120: ("dc:description", Form.ALT),
    122: ("photoshop:CaptionWriter", None),
}


def read(image: Image.Image, file: BinaryIO) -> bytes:
    """The IIM block of a loaded picture, b"" where it has none or where it makes no sense."""
    match image:
        case TiffImagePlugin.TiffImageFile():
            found = _in_tiff(Window(file, file.seek(0, 2)))
        case PngImagePlugin.PngImageFile():
            found = _from_hex(str(image.text.get(_PNG_KEY, "")))
        case _:
            resources = image.info.get("photoshop")
            found = resources.get(_RESOURCE, b"") if isinstance(resources, dict) else b""
    return found if isinstance(found, bytes) and found[:1] == bytes([_MARKER]) else b""


def jpeg_segment(block: bytes) -> bytes:
    """The segment that holds a block of at most LONGEST_BLOCK bytes in a JPEG; b"" for none."""
    if not block:
        return b""
    resource = _SIGNATURE + struct.pack(">HHL", _RESOURCE, 0, len(block)) + block
    content = _PHOTOSHOP + resource + bytes(len(block) % 2)
    return struct.pack(">HH", 0xFFED, len(content) + 2) + content


def as_xmp(block: bytes) -> Mapping[str, Value]:
    """What the block says, as properties of XMP."""
    said: dict[str, Value] = {}
    for number, texts in _texts(block).items():
        prop, form = _NAMES[number]
        said[prop] = texts[0] if form is None else Array(form, texts)
    return said


def _texts(block: bytes) -> Mapping[int, tuple[str, ...]]:
    texts: dict[int, list[str]] = {}
    for number, content in _datasets(block):
        text = _text(content)
        if number in _NAMES and text:
            texts.setdefault(number, []).append(text)
    return {number: tuple(found) for number, found in texts.items()}


def _datasets(block: bytes) -> Iterator[tuple[int, bytes]]:
    """The datasets of the editorial record; what follows damage is left out."""
    place = 0
    while place + 5 <= len(block) and block[place] == _MARKER:
        _, record, number, size = struct.unpack_from(">BBBH", block, place)
        place += 5
        if record == _EDITORIAL:
            yield number, block[place : place + size]
        place += size


def _text(content: bytes) -> str:
    # The declared character set is missing or wrong more often than not.
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.strip("\0 \r\n")


def _in_tiff(window: Window) -> bytes:
    """The bytes of the tag, whatever type it claims: Adobe writes LONGs, and Pillow keeps one."""
    order: Order = "little" if window.at(0, 2) == b"II" else "big"
    first = window.number(4, 4, order)
    for index in range(window.number(first, 2, order)):
        place = first + 2 + index * ENTRY_BYTES
        if window.number(place, 2, order) == TIFF_TAG:
            kind, count = window.number(place + 2, 2, order), window.number(place + 4, 4, order)
            size = BYTES_OF_TYPE.get(kind, 1) * count
            if not 4 < size <= MOST_BYTES:
                return b""
            return window.at(window.number(place + 8, 4, order), size)
    return b""


def _from_hex(profile: str) -> bytes:
    found = re.fullmatch(r"\s*\S+\s+\d+\s+([0-9a-fA-F\s]*)", profile)
    try:
        content = bytes.fromhex(found[1]) if found else b""
    except ValueError:
        return b""
    return _of_resources(content.removeprefix(_PHOTOSHOP))


def _of_resources(content: bytes) -> bytes:
    """The block in a row of Photoshop's image resources, or alone."""
    place = 0
    while content.startswith(_SIGNATURE, place) and len(content) - place >= 12:
        number, length_of_name = struct.unpack_from(">HB", content, place + 4)
        start = place + 7 + length_of_name + (length_of_name + 1) % 2
        if start + 4 > len(content):
            return b""
        (size,) = struct.unpack_from(">L", content, start)
        if number == _RESOURCE:
            return content[start + 4 : start + 4 + size]
        place = start + 4 + size + size % 2
    return content[place:]
