"""Whether a file is a picture and whole, from its bytes alone: nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from pipeline.sniff.foreign import CANON_RAW, NotAPicture, describe, is_canon_raw
from pipeline.sniff.tiff import check_tiff
from pipeline.sniff.window import CutShortError, Window, ZerosAtEndError

MOST_SEGMENTS = 100_000  # a picture of 800 MB in PNG chunks of 8 KiB

JPEG_END = b"\xff\xd9"
JPEG_SCAN = 0xDA
JPEG_WITHOUT_LENGTH = frozenset({0x01, 0xFF, *range(0xD0, 0xD9)})

PNG_END = bytes.fromhex("0000000049454e44ae426082")

WEBP_PICTURES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})

BMP_OLD_HEADER = 12
BMP_UNCOMPRESSED = frozenset({0, 3, 6})  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS
HEAD_BYTES = 512
BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})


def check_jpeg(window: Window) -> None:
    """A JPEG is whole when its own end marker follows its first scan.

    Cameras append things after that marker: further pictures (MPF), videos, trailers, zeros. So
    where the file does not end with the marker it is looked for in the scan, where entropy coding
    (ITU-T T.81, B.1.1.5) lets it occur nowhere else. The thumbnail's own marker lies before the
    scan and never counts.
    """
    scan = _first_scan(window)
    if window.at(window.size - 2, 2) != JPEG_END and not window.find(JPEG_END, scan):
        why = f"its end marker (FF D9) is missing after {window.size} bytes"
        raise CutShortError(why)


def _first_scan(window: Window) -> int:
    """Where the first scan's header begins, found by going from segment to segment."""
    offset = 2
    for _ in range(MOST_SEGMENTS):
        lead, marker = window.at(offset, 2)
        if lead != 0xFF:
            break
        if marker == JPEG_SCAN:
            return offset
        if marker == 0xFF:
            offset += 1
        elif marker in JPEG_WITHOUT_LENGTH:
            offset += 2
        else:
            offset += 2 + window.number(offset + 2, 2, "big")
    why = f"its JPEG structure breaks off at byte {offset}"
    raise CutShortError(why)


def check_png(window: Window) -> None:
    """A PNG is whole when it ends with an IEND chunk, or when its chunks lead to one."""
    if window.size >= 20 and window.at(window.size - 12, 12) == PNG_END:
        return
    offset = 8
    for _ in range(MOST_SEGMENTS):
        name = window.at(offset + 4, 4)
        if not name.isalpha():
            break
        length = window.number(offset, 4, "big")
        window.require(offset, length + 12)
        if name == b"IEND":
            return
        offset += length + 12
    why = f"its PNG structure breaks off at byte {offset}"
    raise CutShortError(why)


def check_webp(window: Window) -> None:
    """A WEBP is whole when its RIFF length fits, its chunks are chunks and its end is no zeros."""
    end = 8 + window.number(4, 4)
    window.require(0, end)
    pictures = 0
    for name, start, length in webp_chunks(window):
        if not name.strip().isalnum():
            why = f"its WEBP structure breaks off at byte {start - 8}"
            raise CutShortError(why)
        if name in WEBP_PICTURES:
            pictures += 1
            window.require_tail(start, start + length)
    if pictures == 0:
        why = "it holds no picture data yet"
        raise CutShortError(why)


def webp_chunks(window: Window) -> list[tuple[bytes, int, int]]:
    """Name, start and length of the content of every chunk at the top of a WEBP file."""
    end = 8 + window.number(4, 4)
    chunks: list[tuple[bytes, int, int]] = []
    offset = 12
    while offset + 8 <= end and len(chunks) < MOST_SEGMENTS:
        length = window.number(offset + 4, 4)
        window.require(offset + 8, length)
        chunks.append((window.at(offset, 4), offset + 8, length))
        offset += 8 + length + length % 2
    return chunks


def check_bmp(window: Window) -> None:
    """A BMP is whole when its declared length and its pixels fit and do not end in zeros.

    Its rows run upwards: it ends so where its top is black.
    """
    start, (row_bytes, rows) = window.number(10, 4), _raw_bmp_rows(window)
    end = start + (row_bytes * rows if row_bytes else window.number(34, 4))
    window.require(0, max(end, window.number(2, 4)))
    window.require_tail(start, end, raw_row_bytes=row_bytes)


def _raw_bmp_rows(window: Window) -> tuple[int, int]:
    """Bytes of a row, and rows; no bytes of a packed one. Rows end at a multiple of four."""
    if window.number(14, 4) == BMP_OLD_HEADER:
        width, height, bits = (window.number(at, 2) for at in (18, 20, 24))
    elif window.number(30, 4) not in BMP_UNCOMPRESSED:
        return 0, 0
    else:
        width, bits = window.number(18, 4), window.number(28, 2)
        height = abs(int.from_bytes(window.at(22, 4), "little", signed=True))
    return (width * bits + 31) // 32 * 4, height


class Kind(StrEnum):
    """The kinds of picture that are edited, by content."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    TIFF = "TIFF"
    BMP = "BMP"

    @property
    def extension(self) -> str:
        """The extension of a file of this kind, in lower case."""
        return EXTENSIONS[self][0]

    def is_named_by(self, extension: str) -> bool:
        """Whether a name with this extension tells the truth about such a file."""
        return extension.lower() in EXTENSIONS[self]


EXTENSIONS = {
    Kind.JPEG: (".jpg", ".jpeg"),
    Kind.PNG: (".png",),
    Kind.WEBP: (".webp",),
    Kind.TIFF: (".tif", ".tiff"),
    Kind.BMP: (".bmp",),
}


@dataclass(frozen=True, slots=True)
class Whole:
    """A picture of this kind, with its end in its place."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A picture that has not arrived whole, or never will."""

    why: str  # "its end marker (FF D9) is missing after 512 bytes"


@dataclass(frozen=True, slots=True)
class EndsInZeros:
    """A picture of this kind that is dark at its end, or of which the end has not arrived.

    Its bytes cannot tell; how long it has rested can.
    """

    kind: Kind
    why: str  # as of an incomplete one
    is_abrupt: bool  # a dark bar from side to side, or a half copy


Verdict = Whole | EndsInZeros | Incomplete | NotAPicture

CHECKS: dict[Kind, Callable[[Window], None]] = {
    Kind.JPEG: check_jpeg,
    Kind.PNG: check_png,
    Kind.WEBP: check_webp,
    Kind.TIFF: check_tiff,
    Kind.BMP: check_bmp,
}

SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"II*\x00", Kind.TIFF),
    (b"MM\x00*", Kind.TIFF),
    (b"II+\x00", Kind.TIFF),
    (b"MM\x00+", Kind.TIFF),
)


def examine(file: BinaryIO, size: int) -> Verdict:
    """Say what a file of `size` bytes holds and whether its end has arrived.

    Reads the head, the places that the format itself names, and the tail; a JPEG with something
    appended is read once, in pieces. Moves the file's position. Raises OSError when reading fails.
    """
    if size == 0:
        return Incomplete("it is empty (0 bytes)")
    window = Window(file, size)
    try:
        head = window.at(0, min(size, HEAD_BYTES))
        if not any(head):
            return Incomplete("it begins with zeros: nothing of it has arrived")
        kind = recognise(head)
        if kind is None:
            return _beginning(head)
        if kind is Kind.TIFF and is_canon_raw(head):
            return CANON_RAW
        return _checked(kind, window)
    except CutShortError as cut:
        return Incomplete(str(cut))


def _checked(kind: Kind, window: Window) -> Whole | EndsInZeros:
    try:
        CHECKS[kind](window)
    except ZerosAtEndError as zeros:
        return EndsInZeros(kind, str(zeros), is_abrupt=zeros.is_abrupt)
    return Whole(kind)


def recognise(head: bytes) -> Kind | None:
    """The kind of picture that begins with these bytes, whatever its name says."""
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Kind.WEBP
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in BMP_HEADER_BYTES:
        return Kind.BMP
    return None


def _beginning(head: bytes) -> Incomplete | NotAPicture:
    """Tell the first bytes of a picture from something else."""
    starts = (*(signature for signature, _ in SIGNATURES), b"RIFF")
    if len(head) < 12 and any(start.startswith(head) or head == start for start in starts):
        return Incomplete(f"it has only {len(head)} bytes")
    return describe(head)
