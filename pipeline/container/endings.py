"""How whole JPEG, PNG, WEBP and BMP files end; a check raises CutShortError on any other end."""

from __future__ import annotations

from pipeline.container.window import CutShortError, Window

MOST_SEGMENTS = 100_000  # a picture of 800 MB in PNG chunks of 8 KiB

JPEG_END = b"\xff\xd9"
JPEG_SCAN = 0xDA
JPEG_WITHOUT_LENGTH = frozenset({0x01, 0xFF, *range(0xD0, 0xD9)})

PNG_END = bytes.fromhex("0000000049454e44ae426082")

WEBP_PICTURES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})

BMP_OLD_HEADER = 12
BMP_UNCOMPRESSED = frozenset({0, 3, 6})  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS


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
    """A BMP is whole when its declared length and its pixels fit and do not end in zeros."""
    start = window.number(10, 4)
    end = start + _bmp_pixel_bytes(window)
    window.require(0, max(end, window.number(2, 4)))
    window.require_tail(start, end)


def _bmp_pixel_bytes(window: Window) -> int:
    if window.number(14, 4) == BMP_OLD_HEADER:
        width, height = window.number(18, 2), window.number(20, 2)
        return _rows(width, window.number(24, 2)) * height
    if window.number(30, 4) not in BMP_UNCOMPRESSED:
        return window.number(34, 4)
    height = int.from_bytes(window.at(22, 4), "little", signed=True)
    return _rows(window.number(18, 4), window.number(28, 2)) * abs(height)


def _rows(width: int, bits: int) -> int:
    """Bytes of one row: BMP rows end at a multiple of four bytes."""
    return (width * bits + 31) // 32 * 4
