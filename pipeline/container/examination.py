"""What a file's own bytes say it is, and whether all of it has arrived; decodes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from pipeline.container.endings import check_bmp, check_jpeg, check_png, check_webp
from pipeline.container.foreign import CANON_RAW, NotAPicture, describe, is_canon_raw
from pipeline.container.tiff import check_tiff
from pipeline.container.window import CutShortError, Window

HEAD_BYTES = 512


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


Verdict = Whole | Incomplete | NotAPicture

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
BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})


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
        CHECKS[kind](window)
    except CutShortError as cut:
        return Incomplete(str(cut))
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
