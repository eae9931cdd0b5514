"""Bounded reads of a file that may still be arriving."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass
from typing import BinaryIO, Literal

Order = Literal["little", "big"]

LONGEST_TAIL_BYTES = 4096  # copiers and file systems fill up with zeros in blocks of this size
SHORTEST_TAIL_BYTES = 64  # flat pictures in WEBP end in up to ten zeros
CHUNK_BYTES = 1 << 20
ROW_END_BYTES = 5  # of the last pixel, and what fills a row up
DARK_SHARE = 0.25  # of the bytes above the end of a dark part; in a photo's rows few are zero


class CutShortError(Exception):
    """The file ends, or turns into zeros, before its picture does; the text says where."""


class ZerosAtEndError(CutShortError):
    """Raw pixels end in zeros that somebody wrote: dark ones, or room made for a copy."""

    def __init__(self, why: str, *, is_abrupt: bool) -> None:
        super().__init__(why)
        self.is_abrupt = is_abrupt  # they begin with a row, and the one before is not dark


@dataclass(frozen=True, slots=True)
class Window:
    """A file of `size` bytes, read piece by piece."""

    file: BinaryIO
    size: int

    def at(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes from `offset`; CutShortError where the file has fewer."""
        self.require(offset, count)
        self.file.seek(offset)
        found = self.file.read(count)
        if len(found) < count:
            why = f"it became shorter than {self.size} bytes while it was read"
            raise CutShortError(why)
        return found

    def number(self, offset: int, count: int, order: Order = "little") -> int:
        """Read an unsigned number of `count` bytes."""
        return int.from_bytes(self.at(offset, count), order)

    def require(self, offset: int, count: int) -> None:
        """Raise CutShortError unless these bytes lie inside the file."""
        if offset + count > self.size:
            why = f"it has {self.size} bytes, {offset + count} are needed"
            raise CutShortError(why)

    def find(self, needle: bytes, start: int) -> bool:
        """Whether `needle` occurs at or after `start`; never holds more than a chunk in memory."""
        overlap = len(needle) - 1
        for offset in range(start, self.size, CHUNK_BYTES):
            count = min(CHUNK_BYTES + overlap, self.size - offset)
            if needle in self.at(offset, count):
                return True
        return False

    def require_tail(self, start: int, end: int, *, raw_row_bytes: int = 0) -> None:
        """Raise CutShortError where the bytes from `start` to `end` finish in zeros.

        Looked at are the last 4 KiB, or the last quarter of less than 16 KiB. No packed pixels end
        so. Raw ones, in rows of so many bytes, do where they are dark: then it is ZerosAtEndError,
        unless nobody ever wrote those zeros, or they begin where the row before is not dark.
        """
        wanted = max(SHORTEST_TAIL_BYTES, (end - start) // 4)
        count = min(LONGEST_TAIL_BYTES, wanted, end - start)
        if count <= 0 or any(self.at(end - count, count)):
            return
        why = (
            f"the last {count} bytes of its picture are zeros, as in a copy that has not finished "
            "(if the picture really is dark there, save it as PNG)"
        )
        if raw_row_bytes == 0:
            raise CutShortError(why)
        if self._is_hole(end - 1):
            why += "; nobody wrote them"
            raise CutShortError(why)
        begin = self._end_of_content(start, end)
        rest = -(begin - start) % raw_row_bytes
        if rest > ROW_END_BYTES and self._goes_on(start, begin - raw_row_bytes, rest):
            why += "; they begin in the midst of a row, and the row before goes on"
            raise CutShortError(why)
        is_abrupt = rest <= ROW_END_BYTES and self._goes_on(
            start, begin + rest - raw_row_bytes, raw_row_bytes
        )
        raise ZerosAtEndError(why, is_abrupt=is_abrupt)

    def _goes_on(self, start: int, offset: int, count: int) -> bool:
        """Whether these bytes of a row are not dark; those before the first row say nothing."""
        return offset >= start and self.at(offset, count).count(0) < DARK_SHARE * count

    def _end_of_content(self, start: int, end: int) -> int:
        """Where the last zeros before `end` begin."""
        while end > start:
            first = max(start, end - CHUNK_BYTES)
            content = self.at(first, end - first).rstrip(b"\0")
            if content:
                return first + len(content)
            end = first
        return start

    def _is_hole(self, offset: int) -> bool:
        """Whether the file system says that this byte was never written; not all do (lseek(2))."""
        try:
            descriptor = self.file.fileno()
            # What was once read of unwritten blocks counts as data while it is in memory.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            return os.lseek(descriptor, offset, os.SEEK_DATA) > offset
        except io.UnsupportedOperation:  # no file at all
            return False
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.EINVAL, errno.EOPNOTSUPP):
                raise
            return error.errno == errno.ENXIO  # no data from there to the end
