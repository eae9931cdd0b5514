"""What files are that are no input: recognised only to say what to convert them to."""

from __future__ import annotations

from dataclasses import dataclass

AS_PICTURE = "convert it to JPEG, PNG or TIFF"
AS_RAW = "develop it to JPEG, PNG or TIFF"
FLATTEN = "export it flattened as PNG or TIFF"
STILL = "export one picture of it as PNG"
TEXT_BYTES = frozenset({*range(0x20, 0x7F), *range(0x80, 0x100), 9, 10, 12, 13})


@dataclass(frozen=True, slots=True)
class NotAPicture:
    """The file holds something that is never edited."""

    what: str  # "a HEIC picture"
    advice: str  # "convert it to JPEG, PNG or TIFF"


STARTS: tuple[tuple[bytes, NotAPicture], ...] = (
    (b"GIF8", NotAPicture("a GIF", "convert it to PNG")),
    (b"8BPS", NotAPicture("a Photoshop document", FLATTEN)),
    (b"gimp xcf", NotAPicture("a GIMP document", FLATTEN)),
    (b"%PDF", NotAPicture("a PDF document", STILL)),
    (b"%!PS", NotAPicture("a PostScript document", STILL)),
    (b"\x00\x00\x00\x0cjP  ", NotAPicture("a JPEG 2000 picture", AS_PICTURE)),
    (b"\xff\x4f\xff\x51", NotAPicture("a JPEG 2000 picture", AS_PICTURE)),
    (b"\x00\x00\x00\x0cJXL ", NotAPicture("a JPEG XL picture", AS_PICTURE)),
    (b"\xff\x0a", NotAPicture("a JPEG XL picture", AS_PICTURE)),
    (b"\x76\x2f\x31\x01", NotAPicture("an OpenEXR picture", AS_PICTURE)),
    (b"#?RADIANCE", NotAPicture("a Radiance HDR picture", AS_PICTURE)),
    (b"FUJIFILM", NotAPicture("a Fujifilm raw photo", AS_RAW)),
    (b"IIRO", NotAPicture("an Olympus raw photo", AS_RAW)),
    (b"IIU\x00", NotAPicture("a Panasonic raw photo", AS_RAW)),
    (b"\x00\x00\x01\x00", NotAPicture("a Windows icon", "convert it to PNG")),
    (b"PK\x03\x04", NotAPicture("a ZIP archive or an office document", "unpack or export it")),
    (b"RIFF", NotAPicture("a sound or a video", STILL)),
    (b"\x1a\x45\xdf\xa3", NotAPicture("a video", STILL)),
)

# ISO 14496-12: bytes 4 to 8 are "ftyp", the next four name the brand.
BRANDS: tuple[tuple[bytes, NotAPicture], ...] = (
    (b"avi", NotAPicture("an AVIF picture", AS_PICTURE)),
    (b"hei", NotAPicture("a HEIC picture", AS_PICTURE)),
    (b"hev", NotAPicture("a HEIC picture", AS_PICTURE)),
    (b"mif1", NotAPicture("a HEIF picture", AS_PICTURE)),
    (b"msf1", NotAPicture("a HEIF picture", AS_PICTURE)),
    (b"crx", NotAPicture("a Canon raw photo", AS_RAW)),
)
VIDEO = NotAPicture("a video", STILL)
CANON_RAW = NotAPicture("a Canon raw photo", AS_RAW)
SVG = NotAPicture("an SVG drawing", "export it as PNG")
TEXT = NotAPicture("a text", "give it the name of what it is, or put a picture in its place")
UNKNOWN = NotAPicture("of an unknown kind", AS_PICTURE)


def describe(head: bytes) -> NotAPicture:
    """Name a file by its first bytes."""
    for start, named in STARTS:
        if head.startswith(start):
            return named
    if head[4:8] == b"ftyp":
        return next((named for brand, named in BRANDS if head[8:].startswith(brand)), VIDEO)
    if b"<svg" in head.lower() or head.lstrip().startswith(b"<?xml"):
        return SVG
    if frozenset(head) <= TEXT_BYTES or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return TEXT
    return UNKNOWN


def is_canon_raw(head: bytes) -> bool:
    """Whether a file that begins like a TIFF is a CR2 photo, whose first page is a preview."""
    return head[8:10] == b"CR"
