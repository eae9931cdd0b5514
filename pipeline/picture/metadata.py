"""All that a result's file says beside its pixels: what it takes over, and how it was made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ExifTags, Image

from config.settings import Gps
from pipeline.picture import iptc
from pipeline.picture.exif import (
    DamagedExifError,
    has_photo_directory,
    upright,
    with_comment,
    without_position,
)
from pipeline.picture.source_metadata import SourceMetadata
from pipeline.picture.xmp import marked
from pipeline.picture.xmp import without_position as without_position_in_xmp
from pipeline.provenance import Provenance, SourceType, parameters
from pipeline.sniff.whole_file import Kind

LONGEST_JPEG_EXIF = 65533
LONGEST_JPEG_XMP = 65504  # a segment without its length and the name of the namespace
INCHES = 2
_WITH_IIM = frozenset({Kind.JPEG, Kind.TIFF})


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is written beside the pixels; b"" and "" = nothing."""

    exif: bytes = b""
    xmp: bytes = b""
    iim: bytes = b""
    parameters: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What is to be said of one result."""

    told: Provenance
    source: SourceType | None
    worked_at: tuple[int, int]  # width and height that the model saw
    gps: Gps

    @property
    def parameters(self) -> str:
        """The text of `parameters`."""
        return parameters(self.told, *self.worked_at)

    @property
    def of_preview(self) -> bytes:
        """What a picture of both, original and result, says in XMP."""
        source = None if self.source is None else SourceType.COMPOSITE
        return marked(b"", self.without_prompt.told, source, {})

    @property
    def without_prompt(self) -> Label:
        """The same without what somebody wrote."""
        told = dataclasses.replace(self.told, embeds_prompt=False)
        return dataclasses.replace(self, told=told)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One way to say it, and what is to be noted where this one is taken."""

    write: Callable[[], bytes]
    note: str | None = None


def metadata(
    carried: SourceMetadata, label: Label, kind: Kind, size: tuple[int, int]
) -> tuple[Metadata, tuple[str, ...]]:
    """Return what a result of this kind and size says, and sentences on what it cannot."""
    if kind is Kind.BMP:
        note = "BMP files hold nothing but pixels: this one does not say that a model edited it."
        return Metadata(), () if label.source is None else (note,)
    exif, exif_notes = _exif(carried, label, kind, size)
    xmp, xmp_notes = _xmp(carried, label, kind)
    iim, iim_notes = _iim(carried, kind)
    said = Metadata(exif=exif, xmp=xmp, iim=iim, parameters=label.parameters)
    return said, (*exif_notes, *xmp_notes, *iim_notes)


def _exif(
    carried: SourceMetadata, label: Label, kind: Kind, size: tuple[int, int]
) -> tuple[bytes, tuple[str, ...]]:
    try:
        exif = upright(carried.exif, *size)
        if label.gps is Gps.STRIP:
            exif = without_position(exif)
        return _commented(exif, carried, label, kind)
    except DamagedExifError:
        exif, notes = _commented(b"", carried, label, kind)
        return exif, ("The EXIF block is damaged; it is left out of the result.", *notes)


def _commented(
    exif: bytes, carried: SourceMetadata, label: Label, kind: Kind
) -> tuple[bytes, tuple[str, ...]]:
    if kind is Kind.WEBP and not exif and carried.dpi is not None:
        exif = _resolution(*carried.dpi)
    if kind in (Kind.PNG, Kind.TIFF) and not has_photo_directory(exif):
        return exif, ()  # they have another place for the parameters
    choices = [
        _Choice(lambda: with_comment(exif, label.parameters)),
        _Choice(
            lambda: with_comment(exif, label.without_prompt.parameters),
            "The prompt is too long for JPEG's EXIF; it is left out there.",
        ),
        _Choice(
            lambda: exif,
            "The EXIF block leaves no room in a JPEG for how it was made; XMP says it.",
        ),
        _Choice(
            lambda: with_comment(b"", label.without_prompt.parameters),
            "The EXIF block is too long for JPEG; it is left out of the result.",
        ),
    ]
    return _first_fitting(choices, LONGEST_JPEG_EXIF if kind is Kind.JPEG else None)


def _xmp(carried: SourceMetadata, label: Label, kind: Kind) -> tuple[bytes, tuple[str, ...]]:
    strips = label.gps is Gps.STRIP
    original = without_position_in_xmp(carried.xmp) if strips else carried.xmp
    further = {} if kind in _WITH_IIM else iptc.as_xmp(carried.iim)
    bare = label.without_prompt

    def write(original: bytes, label: Label) -> bytes:
        return marked(original, label.told, label.source, further)

    choices = [
        _Choice(lambda: write(original, label)),
        _Choice(
            lambda: write(original, bare),
            "The prompt is too long for JPEG's XMP; it is left out there.",
        ),
        _Choice(
            lambda: write(b"", bare),
            "The XMP data is too long for JPEG; the original's is left out of the result.",
        ),
    ]
    return _first_fitting(choices, LONGEST_JPEG_XMP if kind is Kind.JPEG else None)


def _first_fitting(choices: list[_Choice], longest: int | None) -> tuple[bytes, tuple[str, ...]]:
    """The first that is not too long; the last is short."""
    *others, last = choices
    for choice in others:
        written = choice.write()
        if longest is None or len(written) <= longest:
            return written, () if choice.note is None else (choice.note,)
    return last.write(), () if last.note is None else (last.note,)


def _iim(carried: SourceMetadata, kind: Kind) -> tuple[bytes, tuple[str, ...]]:
    if kind not in _WITH_IIM:
        return b"", ()
    if kind is Kind.JPEG and len(carried.iim) > iptc.LONGEST_BLOCK:
        return b"", ("The IPTC data is too long for JPEG; it is left out of the result.",)
    return carried.iim, ()


def _resolution(across: float, down: float) -> bytes:
    """WEBP has no other place for the resolution than EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = across
    exif[ExifTags.Base.YResolution] = down
    exif[ExifTags.Base.ResolutionUnit] = INCHES
    return exif.tobytes()
