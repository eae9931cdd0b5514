import contextlib
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.picture import iptc, xmp
from pipeline.picture.xmp import DamagedXmpError, without_position

PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="a tool">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="it" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:my="urn:mine" xmlns:ns0="urn:other"
    xmp:CreatorTool="A &amp; B" exif:GPSLatitude="48,12N" my:Own="1" ns0:Their="2">
   <xmp:Label>red &lt;5</xmp:Label>
   <my:Place rdf:parseType="Resource"><exif:GPSLongitude>16,3E</exif:GPSLongitude></my:Place>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def tree(content: bytes) -> list[tuple[str, dict[str, str], str]]:
    """What a packet says, without the names of its prefixes."""
    root = ElementTree.fromstring(content.decode())
    rdf = next(root.iter(xmp.expanded_name("rdf:RDF")))
    return [(it.tag, dict(it.attrib), (it.text or "").strip()) for it in rdf.iter()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_packet_says_the_same_after_it_was_read_and_written(encoding: str) -> None:
    content = PACKET.encode(encoding)
    assert tree(xmp.serialised(xmp.parse(content))) == tree(PACKET.encode())


def test_its_makers_prefixes_stay() -> None:
    text = xmp.serialised(xmp.parse(PACKET.encode())).decode()
    assert 'my:Own="1"' in text
    assert 'xmlns:ns0="urn:other"' in text


def test_a_property_is_found_and_dropped_in_both_of_its_forms() -> None:
    of_it = xmp.parse(PACKET.encode())
    assert xmp.simple(of_it, "xmp:CreatorTool") == "A & B"
    assert xmp.has(of_it, "exif:GPSLatitude")
    xmp.drop(of_it, "xmp:CreatorTool", "exif:GPSLatitude")
    assert not xmp.has(of_it, "xmp:CreatorTool")
    assert not xmp.has(of_it, "exif:GPSLatitude")


def test_a_position_is_taken_out_wherever_it_stands() -> None:
    text = without_position(PACKET.encode()).decode()
    assert "GPS" not in text
    assert "16,3E" not in text
    assert "my:Place" in text


RDF = f'<rdf:RDF xmlns:rdf="{xmp.RDF}" xmlns:exif="http://ns.adobe.com/exif/1.0/">'


def calls(work: Callable[[], object]) -> Counter[str]:
    """How often each function is called, and each generator resumed, while this is done."""
    counted: Counter[str] = Counter()

    def count(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            counted[frame.f_code.co_name] += 1
        elif event == "c_call":
            counted[argument.__name__] += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def test_an_element_costs_the_same_to_write_however_deep_it_stands() -> None:
    def packet(levels: int) -> bytes:
        inside = "<b/>" * (1000 - levels)
        return f"{RDF}{'<a>' * levels}{inside}{'</a>' * levels}</rdf:RDF>".encode()

    shallow, deep = (xmp.parse(packet(levels)) for levels in (9, 90))
    assert xmp.serialised(deep).count(b"<a>") == 90
    at_most = calls(lambda: xmp.serialised(shallow)).total() * 1.1
    assert calls(lambda: xmp.serialised(deep)).total() < at_most


def test_a_crowd_of_unwanted_properties_goes_at_once() -> None:
    """One after the other, each of them would move all those behind it."""
    inside = "<rdf:Description>" + "<exif:GPSAltitude/>" * 100 + "<b/></rdf:Description>"
    content = f"{RDF}{inside}</rdf:RDF>".encode()
    of_it = xmp.parse(content)
    assert calls(lambda: xmp.drop(of_it, "exif:GPSAltitude"))["remove"] == 0
    assert not xmp.has(of_it, "exif:GPSAltitude")
    assert [it.tag for it in xmp.descriptions(of_it)[0]] == ["b"]
    assert calls(lambda: without_position(content))["remove"] == 0
    assert b"GPS" not in without_position(content)


def test_a_text_that_xml_cannot_hold_is_written_as_far_as_it_can() -> None:
    of_it = xmp.empty()
    xmp.add(of_it.rdf, "xmp:Label", "a\x00b\x1b\udcff\U0001f600 <&\"'>")
    root = ElementTree.fromstring(xmp.serialised(of_it).decode())
    label = next(root.iter(xmp.expanded_name("xmp:Label")))
    assert label.text == "a\ufffdb\ufffd\ufffd\U0001f600 <&\"'>"


def test_damage_anywhere_is_found_or_does_no_harm() -> None:
    chance = Random(5)
    content = PACKET.encode()
    for _ in range(3000):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        del damaged[chance.randrange(len(damaged)) :: chance.choice((10_000, 300))]
        with contextlib.suppress(DamagedXmpError):
            ElementTree.fromstring(without_position(bytes(damaged)).decode())


def test_damaged_iptc_data_gives_what_there_is() -> None:
    chance = Random(5)
    block = b"".join(b"\x1c\x02\x50\x00\x03Ann" for _ in range(5))
    assert iptc.as_xmp(block)["dc:creator"] == xmp.Array(xmp.Form.SEQ, ("Ann",) * 5)
    for _ in range(1000):
        damaged = bytearray(block)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        iptc.as_xmp(bytes(damaged[: chance.randrange(len(damaged))]))
