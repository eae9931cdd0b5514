"""Where a TIFF file, classic or BigTIFF, says that its pixels lie, and whether they are there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.sniff.window import CutShortError, Order, Window

MOST_PAGES = 256
MOST_PIECES = 1_000_000

STRIP_OFFSETS, STRIP_LENGTHS = 273, 279
TILE_OFFSETS, TILE_LENGTHS = 324, 325
COMPRESSION, UNCOMPRESSED = 259, 1
PLANAR, CHUNKY = 284, 1
WIDTH, BITS, SAMPLES, TILE_WIDTH = 256, 258, 277, 322
_OF_PLACES = frozenset({STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS})
_OF_PIXELS = _OF_PLACES | {COMPRESSION, PLANAR, WIDTH, BITS, SAMPLES, TILE_WIDTH}

# TIFF 6.0, section 2, and the BigTIFF extension: bytes of one value of each type.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8} | {
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How this file writes its numbers."""

    order: Order
    offset_bytes: int  # 4 classic, 8 BigTIFF
    count_bytes: int  # of the number of entries: 2 or 8

    @property
    def entry_bytes(self) -> int:
        """Tag, type, count and value."""
        return 4 + 2 * self.offset_bytes

    @property
    def entry(self) -> struct.Struct:
        """An entry's tag, type, count, and value or the offset of its values."""
        order = "<" if self.order == "little" else ">"
        return struct.Struct(order + ("HHI4s" if self.offset_bytes == 4 else "HHQ8s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where the values of a tag are."""

    value_bytes: int  # of one value
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class Page:
    """A directory: where it stands, and its entries about pixels, by tag."""

    offset: int
    entries: dict[int, Entry]


def check_tiff(window: Window) -> None:
    """A TIFF is whole when every page's directory, values and pixels lie inside the file.

    The end of the pixels must not be zeros either, unless a directory lies behind them: raw pixels
    hold no other sign of a half copy.
    """
    layout = _layout(window)
    start, end, number, last_directory, row_bytes = window.size, 0, 0, 0, 0
    for page in _pages(window, layout):
        last_directory = max(last_directory, page.offset)
        row_bytes_here = _raw_row_bytes(window, layout, page)
        for offset, length in _pieces(window, layout, page):
            number += 1
            if number > MOST_PIECES:  # pages may share lists: a small file could go on for ever
                why = f"its pages declare more than {MOST_PIECES} strips or tiles"
                raise CutShortError(why)
            window.require(offset, length)
            if offset + length > end:
                end, row_bytes = offset + length, row_bytes_here
            start = min(start, offset)
    if end > last_directory:
        window.require_tail(start, end, raw_row_bytes=row_bytes)


def _raw_row_bytes(window: Window, layout: Layout, page: Page) -> int:
    """The bytes of a row of a page's pixels; 0 where they are packed (TIFF 6.0, section 8)."""

    def said(tag: int, usual: int) -> int:
        entry = page.entries.get(tag)
        if entry is None:
            return usual
        return window.number(entry.offset, entry.value_bytes, layout.order)

    if said(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED:
        return 0
    samples = said(SAMPLES, 1) if said(PLANAR, CHUNKY) == CHUNKY else 1
    width = said(TILE_WIDTH, said(WIDTH, 1))
    return max(1, (width * samples * said(BITS, 1) + 7) // 8)


def _layout(window: Window) -> Layout:
    order: Order = "little" if window.at(0, 2) == b"II" else "big"
    if window.number(2, 2, order) == 43:
        return Layout(order=order, offset_bytes=8, count_bytes=8)
    return Layout(order=order, offset_bytes=4, count_bytes=2)


def _pages(window: Window, layout: Layout) -> Iterator[Page]:
    offset = window.number(layout.offset_bytes, layout.offset_bytes, layout.order)
    seen: set[int] = set()
    while offset not in seen and len(seen) < MOST_PAGES:
        seen.add(offset)
        count = window.number(offset, layout.count_bytes, layout.order)
        if offset == 0 or not 0 < count <= 4096:
            why = f"no page directory stands where it should, at byte {offset}"
            raise CutShortError(why)
        first = offset + layout.count_bytes
        yield Page(offset, _entries(window, layout, first, count))
        offset = window.number(
            first + count * layout.entry_bytes, layout.offset_bytes, layout.order
        )
        if offset == 0:
            return


def _entries(window: Window, layout: Layout, first: int, count: int) -> dict[int, Entry]:
    """The entries that say where pixels lie; the values of all have to lie inside the file.

    Read at once: a hostile file has a million of them.
    """
    table = window.at(first, count * layout.entry_bytes)
    found = {}
    for number, (tag, kind, values, value) in enumerate(layout.entry.iter_unpack(table)):
        value_bytes = TYPE_BYTES.get(kind, 1)
        place = first + number * layout.entry_bytes + 4 + layout.offset_bytes
        if value_bytes * values > layout.offset_bytes:
            place = int.from_bytes(value, layout.order)
            window.require(place, value_bytes * values)
        if tag in _OF_PIXELS:
            found[tag] = Entry(value_bytes=value_bytes, count=values, offset=place)
    return found


def _pieces(window: Window, layout: Layout, page: Page) -> Iterator[tuple[int, int]]:
    """Offset and length in bytes of every strip or tile of a page."""
    entries = page.entries
    for offsets, lengths in ((STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)):
        if offsets in entries and lengths in entries:
            places = _values(window, layout, entries[offsets])
            return zip(places, _values(window, layout, entries[lengths]), strict=False)
    return iter(())


def _values(window: Window, layout: Layout, entry: Entry) -> Iterator[int]:
    if entry.count > MOST_PIECES:
        why = f"it declares {entry.count} strips or tiles"
        raise CutShortError(why)
    raw = window.at(entry.offset, entry.count * entry.value_bytes)
    return (
        int.from_bytes(raw[i : i + entry.value_bytes], layout.order)
        for i in range(0, len(raw), entry.value_bytes)
    )
