"""Where a TIFF file, classic or BigTIFF, says that its pixels lie, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.sniff.window import CutShortError, Order, Window

MOST_PAGES = 256
MOST_PIECES = 1_000_000

STRIP_OFFSETS, STRIP_LENGTHS = 273, 279
TILE_OFFSETS, TILE_LENGTHS = 324, 325

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tag with the place of its values."""

    tag: int
    value_bytes: int  # of one value
    count: int
    offset: int


def check_tiff(window: Window) -> None:
    """A TIFF is whole when every page's directory, values and pixels lie inside the file.

    The end of the pixels must not be zeros either: raw pixels hold no other sign of a half copy.
    """
    layout = _layout(window)
    start, end = window.size, 0
    for number, (offset, length) in enumerate(_all_pieces(window, layout), start=1):
        if number > MOST_PIECES:  # pages may share their lists: a small file could go on for ever
            why = f"its pages declare more than {MOST_PIECES} strips or tiles"
            raise CutShortError(why)
        window.require(offset, length)
        start, end = min(start, offset), max(end, offset + length)
    if end:
        window.require_tail(start, end)


def _all_pieces(window: Window, layout: Layout) -> Iterator[tuple[int, int]]:
    for page in _pages(window, layout):
        yield from _pieces(window, layout, page)


def _layout(window: Window) -> Layout:
    order: Order = "little" if window.at(0, 2) == b"II" else "big"
    if window.number(2, 2, order) == 43:
        return Layout(order=order, offset_bytes=8, count_bytes=8)
    return Layout(order=order, offset_bytes=4, count_bytes=2)


def _pages(window: Window, layout: Layout) -> Iterator[list[Entry]]:
    offset = window.number(layout.offset_bytes, layout.offset_bytes, layout.order)
    seen: set[int] = set()
    while offset not in seen and len(seen) < MOST_PAGES:
        seen.add(offset)
        count = window.number(offset, layout.count_bytes, layout.order)
        if offset == 0 or not 0 < count <= 4096:
            why = f"no page directory stands where it should, at byte {offset}"
            raise CutShortError(why)
        first = offset + layout.count_bytes
        yield [_entry(window, layout, first + i * layout.entry_bytes) for i in range(count)]
        offset = window.number(
            first + count * layout.entry_bytes, layout.offset_bytes, layout.order
        )
        if offset == 0:
            return


def _entry(window: Window, layout: Layout, offset: int) -> Entry:
    value_bytes = TYPE_BYTES.get(window.number(offset + 2, 2, layout.order), 1)
    count = window.number(offset + 4, layout.offset_bytes, layout.order)
    place = offset + 4 + layout.offset_bytes
    if value_bytes * count > layout.offset_bytes:
        place = window.number(place, layout.offset_bytes, layout.order)
    window.require(place, value_bytes * count)
    return Entry(
        tag=window.number(offset, 2, layout.order),
        value_bytes=value_bytes,
        count=count,
        offset=place,
    )


def _pieces(window: Window, layout: Layout, page: list[Entry]) -> Iterator[tuple[int, int]]:
    """Offset and length in bytes of every strip or tile of a page."""
    entries = {entry.tag: entry for entry in page}
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
