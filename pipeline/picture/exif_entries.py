"""Entries put into and taken out of an EXIF block, while all else in it stays where it lies.

Tags: CIPA DC-008 (Exif 3.0), section 4.6.
"""

from __future__ import annotations

import struct

from pipeline.picture.exif import (
    ENTRY_BYTES,
    EXIF_DIRECTORY,
    FIRST,
    LONG,
    PREFIX,
    Block,
    patched,
)

USER_COMMENT = 0x9286
GPS_DIRECTORY = 0x8825
EXIF_VERSION, VERSION_3 = 0x9000, b"0300"
UNDEFINED = 7
# By type, from BYTE to DOUBLE (TIFF 6.0, section 2).
BYTES_OF_TYPE = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8), start=1))
_EMPTY = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"


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
