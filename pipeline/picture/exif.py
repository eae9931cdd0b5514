"""The EXIF block of a photo, made true for an edited picture that stands upright.

The block is patched where it lies rather than written anew, because maker notes hold offsets into
it and texts are in no declared encoding. Tags: CIPA DC-008 (Exif 3.0), section 4.6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

PREFIX = b"Exif\x00\x00"
ENTRY_BYTES = 12
FIRST = 4  # where the offset of the first directory stands

ORIENTATION = 0x0112
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202
EXIF_DIRECTORY = 0x8769
WIDTHS = frozenset({0x0100, 0xA002})
HEIGHTS = frozenset({0x0101, 0xA003})
SHORT, LONG = 3, 4


class DamagedExifError(Exception):
    """The block contradicts itself, so nothing of it can be carried over."""


@dataclass(slots=True)
class Block:
    """An EXIF block (a TIFF file without pixels) that is being patched."""

    content: bytearray
    order: Literal["<", ">"]

    def read(self, form: str, offset: int) -> int:
        """Read one number in the form of `struct`."""
        (value,) = struct.unpack_from(self.order + form, self.content, offset)
        return int(value)

    def write(self, form: str, offset: int, value: int) -> None:
        """Replace one number in the form of `struct`."""
        struct.pack_into(self.order + form, self.content, offset, value)

    def entries(self, directory: int) -> dict[int, int]:
        """Tag and offset of every entry of a directory."""
        count = self.read("H", directory)
        places = [directory + 2 + i * ENTRY_BYTES for i in range(count)]
        return {self.read("H", place): place for place in places}

    def link(self, directory: int) -> int:
        """Where the offset of the following directory stands."""
        return directory + 2 + self.read("H", directory) * ENTRY_BYTES

    def value(self, place: int) -> int:
        """The single SHORT or LONG of an entry."""
        return self.read("H" if self.read("H", place + 2) == SHORT else "L", place + 8)

    def replace(self, place: int, value: int) -> None:
        """Put a single number into an entry, as LONG where SHORT is too small."""
        if value > 0xFFFF:
            self.write("H", place + 2, LONG)
        self.write("L", place + 4, 1)
        self.write("L", place + 8, 0)
        self.write("H" if self.read("H", place + 2) == SHORT else "L", place + 8, value)


def upright(exif: bytes, width: int, height: int) -> bytes:
    """Return the block for an upright picture of this size, without thumbnail, with its prefix.

    Everything else stays as it is, byte for byte. An empty block stays empty. Raises
    DamagedExifError.
    """
    if not exif.removeprefix(PREFIX):
        return b""
    with patched(exif) as block:
        first = block.read("L", FIRST)
        _drop_thumbnail(block, first)
        _describe(block, first, width, height)
    return PREFIX + bytes(block.content)


@contextmanager
def patched(exif: bytes) -> Iterator[Block]:
    """Give a block, with or without its prefix, to be patched.

    Raises DamagedExifError, also for what is found out while it is patched.
    """
    content = bytearray(exif.removeprefix(PREFIX))
    try:
        yield Block(content, _byte_order(content))
    except struct.error as damage:
        raise DamagedExifError(str(damage)) from damage


def _byte_order(content: bytearray) -> Literal["<", ">"]:
    match bytes(content[:4]):
        case b"II*\x00":
            return "<"
        case b"MM\x00*":
            return ">"
        case other:
            raise DamagedExifError(repr(other))


def _describe(block: Block, first: int, width: int, height: int) -> None:
    entries = block.entries(first)
    directories = [entries]
    if EXIF_DIRECTORY in entries:
        directories.append(block.entries(block.value(entries[EXIF_DIRECTORY])))
    for directory in directories:
        for tag, place in directory.items():
            if tag in WIDTHS:
                block.replace(place, width)
            elif tag in HEIGHTS:
                block.replace(place, height)
            elif tag == ORIENTATION:
                block.replace(place, 1)


def _drop_thumbnail(block: Block, first: int) -> None:
    """Unlink the second directory and overwrite its picture, which shows what was edited away."""
    link = block.link(first)
    second = block.read("L", link)
    if second == 0:
        return
    block.write("L", link, 0)
    entries = block.entries(second)
    if THUMBNAIL_OFFSET not in entries or THUMBNAIL_LENGTH not in entries:
        return
    start = block.value(entries[THUMBNAIL_OFFSET])
    end = start + block.value(entries[THUMBNAIL_LENGTH])
    if end >= len(block.content):
        del block.content[start:]
    else:
        block.content[start:end] = bytes(end - start)
