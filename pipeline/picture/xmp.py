"""XMP packets: read, marked with how a result came about, and written.

ElementTree keeps names of prefixes for a whole process; here they are the packet's own.
XMP Specification Part 1 (ISO 16684-1), section 7.

XMP Specification Part 2 (ISO 16684-1, annex), IPTC Photo Metadata Standard 2025.1.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, count
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError, SubElement
from xml.sax.saxutils import escape, quoteattr

from pipeline.provenance import Provenance, SourceType, prompt_information

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
META = "adobe:ns:meta/"
XML = "http://www.w3.org/XML/1998/namespace"
PREFIXES = {
    XML: "xml",
    RDF: "rdf",
    META: "x",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#": "stEvt",
    "http://ns.adobe.com/xap/1.0/sType/ResourceRef#": "stRef",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/xmp/note/": "xmpNote",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
}
MOST_BYTES = 4 << 20
MOST_LEVELS = 100
# What XML 1.0 cannot hold, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_URIS = {prefix: uri for uri, prefix in PREFIXES.items()}
_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY")  # XMP has neither; entities can grow without end
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_TAIL = '<?xpacket end="w"?>'
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
_POSITION = re.compile(r"\{http://ns\.adobe\.com/exif/1\.0/\}GPS")


class DamagedXmpError(Exception):
    """The packet is no XMP, or none that is safe to read."""


class Form(StrEnum):
    """How the items of an array belong together."""

    BAG = "rdf:Bag"
    SEQ = "rdf:Seq"
    ALT = "rdf:Alt"  # of languages; ours has one


@dataclass(frozen=True, slots=True)
class Array:
    """A value of several texts."""

    form: Form
    items: tuple[str, ...]


Value = str | Array


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet; its tree is changed in place."""

    rdf: Element
    prefixes: Mapping[str, str]  # those that its maker used, by namespace


def expanded_name(short: str) -> str:
    """The full name of `xmp:CreatorTool` and its like, as ElementTree has it."""
    prefix, _, local = short.partition(":")
    return f"{{{_URIS[prefix]}}}{local}"


def empty() -> Packet:
    """A packet that says nothing."""
    return Packet(Element(expanded_name("rdf:RDF")), {})


def parse(content: bytes) -> Packet:
    """Read a packet; raises DamagedXmpError."""
    if not content.startswith(_UTF_16):
        content = content.strip(b"\0 \t\r\n")
    if len(content) > MOST_BYTES or any(it in content.replace(b"\0", b"") for it in _FORBIDDEN):
        raise DamagedXmpError
    builder = _Builder()
    parser = ElementTree.XMLParser(target=builder)  # noqa: S314 - entities are refused above
    try:
        parser.feed(content)
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise DamagedXmpError(str(error)) from error
    rdf = next(root.iter(expanded_name("rdf:RDF")), None)
    if rdf is None:
        raise DamagedXmpError
    return Packet(rdf, builder.prefixes)


class _Builder(ElementTree.TreeBuilder):
    """Takes note of the prefixes that are declared anywhere, and refuses bottomless trees."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: dict[str, str] = {}
        self._levels = 0

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> Element:
        """Called by the parser where an element begins."""
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise DamagedXmpError
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        """Called by the parser where an element ends."""
        self._levels -= 1
        return super().end(tag)

    def start_ns(self, prefix: str | None, uri: str) -> None:
        """Called by the parser at a declaration."""
        if prefix:
            self.prefixes.setdefault(uri, prefix)


def descriptions(packet: Packet) -> list[Element]:
    """The elements whose attributes and children are the properties of the picture."""
    return packet.rdf.findall(expanded_name("rdf:Description"))


def rdf_about(packet: Packet) -> str:
    """What all descriptions are about: the same thing (section 7.4), mostly unnamed."""
    named = (it.get(expanded_name("rdf:about")) for it in descriptions(packet))
    return next(filter(None, named), "")


def simple(packet: Packet, prop: str) -> str | None:
    """A simple property, in whichever of the two forms it was written."""
    for description in descriptions(packet):
        found = description.get(expanded_name(prop)) or description.findtext(expanded_name(prop))
        if found and found.strip():
            return found.strip()
    return None


def items(packet: Packet, prop: str) -> list[Element]:
    """The items of a property that is an array."""
    places = (one.find(expanded_name(prop)) for one in descriptions(packet))
    return [item for it in places if it is not None for item in it.iter(expanded_name("rdf:li"))]


def has(packet: Packet, prop: str) -> bool:
    """Whether a property is there, whatever it says."""
    full = expanded_name(prop)
    return any(full in it.attrib or it.find(full) is not None for it in descriptions(packet))


def add(to: Element, prop: str, value: Value) -> None:
    """Put a property into a description or a structure."""
    element = SubElement(to, expanded_name(prop))
    match value:
        case Array(form, items):
            inside = SubElement(element, expanded_name(form))
            for item in items:
                add(inside, "rdf:li", item)
            if form is Form.ALT:
                for one in inside:
                    one.set(expanded_name("xml:lang"), "x-default")
        case text:
            element.text = _UNWRITABLE.sub("\ufffd", text)


def drop(packet: Packet, *props: str) -> None:
    """Remove properties in both of their forms."""
    unwanted = frozenset(map(expanded_name, props))
    for description in descriptions(packet):
        _keep_only(description, lambda full: full not in unwanted)


def _keep_only(element: Element, is_wanted: Callable[[str], bool]) -> None:
    """Remove all other attributes and children, in one go: there may be a million."""
    for full in [it for it in element.attrib if not is_wanted(it)]:
        del element.attrib[full]
    element[:] = [child for child in element if is_wanted(child.tag)]


def serialised(packet: Packet) -> bytes:
    """The packet as it is stored: UTF-8, without room for changes in place."""
    used = dict.fromkeys(_namespaces(packet.rdf))
    prefixes = _chosen(used, packet.prefixes)
    declared = "".join(
        f" xmlns:{prefixes[uri]}={quoteattr(uri)}" for uri in used if uri not in (XML, META)
    )
    body: list[str] = []
    _append_element(body, packet.rdf, prefixes, declared)
    meta = f'<x:xmpmeta xmlns:x="{META}">{"".join(body)}</x:xmpmeta>'
    return f"{_HEAD}{meta}{_TAIL}".encode("utf-8", "replace")


def _namespaces(root: Element) -> Iterator[str]:
    for element in root.iter():
        for full in (element.tag, *element.attrib):
            if full.startswith("{"):
                yield full[1:].partition("}")[0]


def _chosen(uris: Mapping[str, None], wished: Mapping[str, str]) -> Mapping[str, str]:
    """A prefix of its own for each namespace: the usual one, else its maker's, else a number."""
    chosen: dict[str, str] = {}
    taken = set(_URIS)
    numbered = map("ns{}".format, count())
    for uri in uris:
        usual, wish = PREFIXES.get(uri), wished.get(uri)
        names = chain([wish] if wish else [], numbered)
        chosen[uri] = usual or next(it for it in names if it not in taken)
        taken.add(chosen[uri])
    return chosen


def _append_element(
    to: list[str], element: Element, prefixes: Mapping[str, str], declared: str = ""
) -> None:
    """Append the texts of an element; each is handled once, however deep it stands."""
    tag = _short(element.tag, prefixes)
    to.append(f"<{tag}{declared}")
    for full, value in element.attrib.items():
        to.append(f" {_short(full, prefixes)}={quoteattr(value)}")
    if element.text is None and not len(element):
        to.append("/>")
    else:
        to.append(f">{escape(element.text or '')}")
        for child in element:
            _append_element(to, child, prefixes)
            to.append(escape(child.tail or ""))
        to.append(f"</{tag}>")


def _short(full: str, prefixes: Mapping[str, str]) -> str:
    uri, is_qualified, local = full[1:].partition("}")
    return f"{prefixes[uri]}:{local}" if is_qualified and full.startswith("{") else full


_STRUCTURE = {expanded_name("rdf:parseType"): "Resource"}


def without_position(content: bytes) -> bytes:
    """A packet without the coordinates of EXIF, wherever they stand; raises DamagedXmpError."""
    if not content:
        return b""
    read = parse(content)
    for element in read.rdf.iter():
        _keep_only(element, lambda full: not _POSITION.match(full))
    return serialised(read)


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
    of_it = parse(original) if original else empty()
    lineage, history = _lineage(of_it, told), items(of_it, "xmpMM:History")
    about, ours_to_say = rdf_about(of_it), dict(_of_the_edit(of_it, told, source))
    drop(of_it, *UNTRUE, *LINEAGE, *ours_to_say, *(OF_A_MODEL if source else ()))
    missing = {prop: it for prop, it in further.items() if not has(of_it, prop)}
    ours = SubElement(
        of_it.rdf, expanded_name("rdf:Description"), {expanded_name("rdf:about"): about}
    )
    for prop, value in {**missing, **ours_to_say}.items():
        add(ours, prop, value)
    _add_lineage(ours, lineage, told)
    events = SubElement(SubElement(ours, expanded_name("xmpMM:History")), expanded_name("rdf:Seq"))
    events.extend(history)
    _add_event(events, lineage, told)
    return serialised(of_it)


def _of_the_edit(
    of_it: Packet, told: Provenance, source: SourceType | None
) -> Iterator[tuple[str, str]]:
    yield "xmp:ModifyDate", _moment(told)
    yield "xmp:MetadataDate", _moment(told)
    if simple(of_it, "xmp:CreatorTool") is None:  # the first tool that is known
        yield "xmp:CreatorTool", told.software
    if source is None:
        return
    yield "Iptc4xmpExt:DigitalSourceType", source.value
    yield "Iptc4xmpExt:AISystemUsed", told.model_name
    yield "Iptc4xmpExt:AISystemVersionUsed", told.model.fingerprint
    if told.embeds_prompt:
        yield "Iptc4xmpExt:AIPromptInformation", prompt_information(told)


def _lineage(of_it: Packet, told: Provenance) -> _Lineage:
    parent = simple(of_it, "xmpMM:DocumentID") or _id("did", told.source_sha256)
    result = f"{told.job_id} {told.recipe.seed}"
    return _Lineage(
        document=_id("did", result),
        instance=_id("iid", result),
        original=simple(of_it, "xmpMM:OriginalDocumentID") or parent,
        parent=parent,
        parent_instance=simple(of_it, "xmpMM:InstanceID"),
    )


def _id(kind: str, what: str) -> str:
    """An id that is the same for the same thing."""
    return f"xmp.{kind}:{uuid.uuid5(_OURS, what)}"


def _add_lineage(to: Element, lineage: _Lineage, told: Provenance) -> None:
    add(to, "xmpMM:DocumentID", lineage.document)
    add(to, "xmpMM:InstanceID", lineage.instance)
    add(to, "xmpMM:OriginalDocumentID", lineage.original)
    parent = SubElement(to, expanded_name("xmpMM:DerivedFrom"), _STRUCTURE)
    add(parent, "stRef:documentID", lineage.parent)
    if lineage.parent_instance is not None:
        add(parent, "stRef:instanceID", lineage.parent_instance)
    add(parent, "stRef:originalDocumentID", lineage.original)
    add(parent, "stRef:filePath", told.source_name)


def _add_event(to: Element, lineage: _Lineage, told: Provenance) -> None:
    event = SubElement(to, expanded_name("rdf:li"), _STRUCTURE)
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
