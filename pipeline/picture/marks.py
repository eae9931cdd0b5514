"""What the XMP of a result says: what its original said and is still true, and how it was made.

XMP Specification Part 2 (ISO 16684-1, annex), IPTC Photo Metadata Standard 2025.1.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement

from pipeline.picture import packet
from pipeline.picture.packet import Packet, Value, add, name
from pipeline.provenance import Provenance, SourceType, prompt_information

# True of the original's file and pixels, not of the result's.
UNTRUE = (
    "tiff:Orientation",
    "tiff:ImageWidth",
    "tiff:ImageLength",
    "exif:PixelXDimension",
    "exif:PixelYDimension",
    "exif:UserComment",
    "dc:format",
    "photoshop:ColorMode",
    "photoshop:ICCProfile",
    "xmp:Thumbnails",  # they show what was edited away
    "xmpNote:HasExtendedXMP",  # the extension stays behind
)
LINEAGE = (
    "xmpMM:DocumentID",
    "xmpMM:InstanceID",
    "xmpMM:OriginalDocumentID",
    "xmpMM:DerivedFrom",
    "xmpMM:History",
)
OF_A_MODEL = (
    "Iptc4xmpExt:DigitalSourceType",
    "Iptc4xmpExt:AISystemUsed",
    "Iptc4xmpExt:AISystemVersionUsed",
    "Iptc4xmpExt:AIPromptInformation",
    "Iptc4xmpExt:AIPromptWriterName",
)
_OURS = uuid.UUID("6a1c6b0e-3f0d-5d7c-9a53-0b8d5c4e7f21")  # the name space of our ids
_STRUCTURE = {name("rdf:parseType"): "Resource"}
_POSITION = re.compile(r"\{http://ns\.adobe\.com/exif/1\.0/\}GPS")


def without_position(content: bytes) -> bytes:
    """A packet without the coordinates of EXIF, wherever they stand; raises DamagedXmpError."""
    if not content:
        return b""
    read = packet.read(content)
    for element in read.rdf.iter():
        for full in list(element.attrib):
            if _POSITION.match(full):
                del element.attrib[full]
        for child in list(element):
            if _POSITION.match(child.tag):
                element.remove(child)
    return packet.written(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lineage:
    """The ids that tie a result to its original (XMP Part 2, 2.3; Part 1, 8.3)."""

    document: str
    instance: str
    original: str  # the first document of the line
    parent: str
    parent_instance: str | None


def marked(
    original: bytes, told: Provenance, source: SourceType | None, further: Mapping[str, Value]
) -> bytes:
    """The packet of a result, out of that of its original (b"" = none).

    `further` is said where the original's packet does not say it. Raises DamagedXmpError.
    """
    of_it = packet.read(original) if original else packet.empty()
    lineage, history = _lineage(of_it, told), packet.items(of_it, "xmpMM:History")
    about, ours_to_say = packet.about(of_it), dict(_of_the_edit(of_it, told, source))
    packet.drop(of_it, *UNTRUE, *LINEAGE, *ours_to_say, *(OF_A_MODEL if source else ()))
    missing = {prop: it for prop, it in further.items() if not packet.has(of_it, prop)}
    ours = SubElement(of_it.rdf, name("rdf:Description"), {name("rdf:about"): about})
    for prop, value in {**missing, **ours_to_say}.items():
        add(ours, prop, value)
    _add_lineage(ours, lineage, told)
    events = SubElement(SubElement(ours, name("xmpMM:History")), name("rdf:Seq"))
    events.extend(history)
    _add_event(events, lineage, told)
    return packet.written(of_it)


def _of_the_edit(
    of_it: Packet, told: Provenance, source: SourceType | None
) -> Iterator[tuple[str, str]]:
    yield "xmp:ModifyDate", _moment(told)
    yield "xmp:MetadataDate", _moment(told)
    if packet.simple(of_it, "xmp:CreatorTool") is None:  # the first tool that is known
        yield "xmp:CreatorTool", told.software
    if source is None:
        return
    yield "Iptc4xmpExt:DigitalSourceType", source.value
    yield "Iptc4xmpExt:AISystemUsed", told.model_name
    yield "Iptc4xmpExt:AISystemVersionUsed", told.model.fingerprint
    if told.embeds_prompt:
        yield "Iptc4xmpExt:AIPromptInformation", prompt_information(told)


def _lineage(of_it: Packet, told: Provenance) -> _Lineage:
    parent = packet.simple(of_it, "xmpMM:DocumentID") or _id("did", told.source_sha256)
    result = f"{told.job_id} {told.recipe.seed}"
    return _Lineage(
        document=_id("did", result),
        instance=_id("iid", result),
        original=packet.simple(of_it, "xmpMM:OriginalDocumentID") or parent,
        parent=parent,
        parent_instance=packet.simple(of_it, "xmpMM:InstanceID"),
    )


def _id(kind: str, what: str) -> str:
    """An id that is the same for the same thing."""
    return f"xmp.{kind}:{uuid.uuid5(_OURS, what)}"


def _add_lineage(to: Element, lineage: _Lineage, told: Provenance) -> None:
    add(to, "xmpMM:DocumentID", lineage.document)
    add(to, "xmpMM:InstanceID", lineage.instance)
    add(to, "xmpMM:OriginalDocumentID", lineage.original)
    parent = SubElement(to, name("xmpMM:DerivedFrom"), _STRUCTURE)
    add(parent, "stRef:documentID", lineage.parent)
    if lineage.parent_instance is not None:
        add(parent, "stRef:instanceID", lineage.parent_instance)
    add(parent, "stRef:originalDocumentID", lineage.original)
    add(parent, "stRef:filePath", told.source_name)


def _add_event(to: Element, lineage: _Lineage, told: Provenance) -> None:
    event = SubElement(to, name("rdf:li"), _STRUCTURE)
    add(event, "stEvt:action", "edited" if told.has_model else "saved")
    add(event, "stEvt:instanceID", lineage.instance)
    add(event, "stEvt:when", _moment(told))
    add(event, "stEvt:softwareAgent", told.software)
    add(event, "stEvt:changed", "/")
    by = f" with {told.model_name}" if told.has_model else ", unchanged"
    origin = f"from {told.source_name} (SHA-256 {told.source_sha256})"
    add(event, "stEvt:parameters", f"{origin}{by}; job {told.job_id}")


def _moment(told: Provenance) -> str:
    local = datetime.fromtimestamp(told.made_at, UTC).astimezone()
    return local.isoformat(timespec="seconds")
