"""EXIF, changed in place entry by entry, so that what is not understood stays.

The block is patched where it lies rather than written anew, because maker notes hold offsets into
it and texts are in no declared encoding. Tags: CIPA DC-008 (Exif 3.0), section 4.6.

Tags: CIPA DC-008 (Exif 3.0), section 4.6.
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
USER_COMMENT = 0x9286
GPS_DIRECTORY = 0x8825
EXIF_VERSION, VERSION_3 = 0x9000, b"0300"
UNDEFINED = 7
# By type, from BYTE to DOUBLE (TIFF 6.0, section 2).
BYTES_OF_TYPE = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8), start=1))
_EMPTY = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"


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


def user_comment(text: str) -> bytes:
    """A text as a UserComment. Readers of `parameters` expect it in big-endian UTF-16."""
    return b"UNICODE\0" + text.encode("utf-16-be", "replace")


def has_photo_directory(exif: bytes) -> bool:
    """Whether the block has the directory in which user comments stand; raises as all here."""
    if not exif:
        return False
    with patched(exif) as block:
        return EXIF_DIRECTORY in block.entries(block.read("L", FIRST))


def with_comment(exif: bytes, text: str) -> bytes:
    """Return the block, made where there is none, with this user comment in place of its own.

    Raises DamagedExifError.
    """
    with patched(exif or _EMPTY) as block:
        first = block.read("L", FIRST)
        entries = block.entries(first)
        if EXIF_DIRECTORY in entries:
            place = entries[EXIF_DIRECTORY]
            old = block.value(place)
            _blank_value(block, block.entries(old).get(USER_COMMENT))
            block.replace(place, _extended(block, old, _undefined(block, USER_COMMENT, text)))
        else:
            version = struct.pack(f"{block.order}HHL4s", EXIF_VERSION, UNDEFINED, 4, VERSION_3)
            comment = _undefined(block, USER_COMMENT, text)
            directory = _appended(block, _directory(block, [version, comment], 0))
            link = struct.pack(f"{block.order}HHLL", EXIF_DIRECTORY, LONG, 1, directory)
            block.write("L", FIRST, _extended(block, first, link))
    return PREFIX + bytes(block.content)


def without_position(exif: bytes) -> bytes:
    """Return the block without its GPS directory, of which no byte is left.

    Raises DamagedExifError.
    """
    if not exif:
        return b""
    with patched(exif) as block:
        first = block.read("L", FIRST)
        place = block.entries(first).get(GPS_DIRECTORY)
        if place is not None:
            _blank_directory(block, block.value(place))
            _remove(block, first, place)
    return PREFIX + bytes(block.content)


def _undefined(block: Block, tag: int, text: str) -> bytes:
    """An entry whose value is put at the end of the block."""
    value = user_comment(text)
    return struct.pack(f"{block.order}HHLL", tag, UNDEFINED, len(value), _appended(block, value))


def _extended(block: Block, old: int, entry: bytes) -> int:
    """Copy a directory to the end of the block with an entry in it; returns where it is."""
    tag = entry[:2]
    kept = [
        bytes(block.content[place : place + ENTRY_BYTES]) for place in block.entries(old).values()
    ]
    others = [it for it in kept if it[:2] != tag]
    return _appended(block, _directory(block, [*others, entry], block.read("L", block.link(old))))


def _directory(block: Block, entries: list[bytes], following: int) -> bytes:
    ordered = sorted(entries, key=lambda it: struct.unpack_from(f"{block.order}H", it))
    count = struct.pack(f"{block.order}H", len(ordered))
    return count + b"".join(ordered) + struct.pack(f"{block.order}L", following)


def _appended(block: Block, content: bytes) -> int:
    block.content.extend(bytes(len(block.content) % 2))  # values begin at even offsets
    place = len(block.content)
    block.content.extend(content)
    return place


def _blank_directory(block: Block, directory: int) -> None:
    for place in block.entries(directory).values():
        _blank_value(block, place)
    _blank(block, directory, block.link(directory) + 4)


def _blank_value(block: Block, place: int | None) -> None:
    if place is None:
        return
    size = BYTES_OF_TYPE.get(block.read("H", place + 2), 1) * block.read("L", place + 4)
    if size > 4:
        start = block.read("L", place + 8)
        _blank(block, start, start + size)


def _blank(block: Block, start: int, end: int) -> None:
    start, end = max(start, 8), min(end, len(block.content))
    if start < end:
        block.content[start:end] = bytes(end - start)


def _remove(block: Block, directory: int, place: int) -> None:
    """Close the gap of an entry; the offset of the next directory moves up with the others."""
    end = block.link(directory) + 4
    block.content[place:end] = block.content[place + ENTRY_BYTES : end] + bytes(ENTRY_BYTES)
    block.write("H", directory, block.read("H", directory) - 1)
