from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exiftool
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from config.settings import Gps
from config.values import Format, ModelSize, Region

Scene = Callable[[int, int], Image.Image]
MakeJob = Callable[..., Any]  # the fixture `job`

TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype"
COMPOSITE, GENERATED = (
    f"{TERMS}/compositeWithTrainedAlgorithmicMedia",
    f"{TERMS}/trainedAlgorithmicMedia",
)
PROMPT = "Ersetze „alles“ durch 蓝色: a, b\nand one more line"
FILES = ["photo.jpg", "photo.png", "photo.webp", "raw.tif", "packed.tif"]
PLACES = ("PNG:Parameters", "ExifIFD:UserComment", "IFD0:UserComment")
POSITION = ["-GPSLatitude=48.2", "-GPSLatitudeRef=N", "-GPSLongitude=16.3", "-GPSLongitudeRef=E"]
FURTHER = {"packed.tif": {"compression": "tiff_lzw"}}


@pytest.fixture
def photo(tmp_path: Path, scene: Scene) -> Callable[[str], Path]:
    """photo(name) -> a picture of that format without any metadata."""

    def make(name: str) -> Path:
        scene(60, 40).save(tmp_path / name, **FURTHER.get(name, {}))
        return tmp_path / name

    return make


def painted(canvas: Image.Image) -> Image.Image:
    return ImageOps.invert(canvas)


def comment_of(path: Path) -> str:
    """The text of `parameters`, wherever this format has it."""
    said = exiftool.said(path)
    return str(next(said[place] for place in PLACES if place in said))


@pytest.mark.parametrize("file", FILES)
def test_a_result_says_that_a_model_edited_it_and_how(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    said = exiftool.said(job(prompt=PROMPT).run(photo(file), painted).path)
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED
    assert said["XMP-iptcExt:AISystemUsed"] == "Qwen-Image-Edit-2511"
    assert said["XMP-iptcExt:AISystemVersionUsed"] == "0170b198c0ffee"
    assert said["XMP-iptcExt:AIPromptInformation"] == PROMPT


@pytest.mark.parametrize("file", FILES)
def test_a_result_in_which_the_original_shows_is_a_composite(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    said = exiftool.said(job(region=Region(10, 5, 30, 20)).run(photo(file), painted).path)
    assert said["XMP-iptcExt:DigitalSourceType"] == COMPOSITE


@pytest.mark.parametrize("file", FILES)
def test_the_parameters_stand_where_tools_look_for_them(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    path = job(prompt=PROMPT).run(photo(file), painted).path
    text = comment_of(path)
    assert text.startswith(f"{PROMPT}\nSteps: 4, Sampler: Euler, CFG scale: 1, Seed: 7, Size: ")
    assert "Model hash: 0170b198c0, Model: Qwen-Image-Edit-2511, " in text
    if path.suffix == ".png":
        with Image.open(path) as result:
            assert result.info["parameters"] == text


@pytest.mark.parametrize("file", FILES)
def test_a_result_is_tied_to_its_original(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    source = photo(file)
    said = exiftool.said(job().run(source, painted).path)
    derived, (event,) = said["XMP-xmpMM:DerivedFrom"], said["XMP-xmpMM:History"]
    assert derived["FilePath"] == file
    assert derived["DocumentID"] == said["XMP-xmpMM:OriginalDocumentID"]
    assert said["XMP-xmpMM:DocumentID"] != derived["DocumentID"]
    assert (event["Action"], event["SoftwareAgent"]) == ("edited", "Hotfolder 0.1.0")
    assert event["InstanceID"] == said["XMP-xmpMM:InstanceID"]
    assert job().told(source).source_sha256 in event["Parameters"]
    assert event["When"].startswith("2026:09:")


@pytest.mark.parametrize("file", FILES)
def test_without_a_model_nothing_is_marked(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    said = exiftool.said(job(has_model=False).run(photo(file)).path)
    assert not any("DigitalSource" in tag or ":AI" in tag for tag in said)
    assert said["XMP-xmpMM:History"][0]["Action"] == "saved"


@pytest.mark.parametrize("file", FILES)
def test_a_prompt_that_is_not_to_be_embedded_is_nowhere_in_the_file(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    source = photo(file)
    exiftool.write(source, "-UserComment=an older secret", "-XMP-iptcExt:DigitalSourceType=x")
    path = job(prompt="secret of the client", embeds_prompt=False).run(source, painted).path
    content = path.read_bytes()
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        assert "secret".encode(encoding) not in content
    assert comment_of(path).startswith("Steps: 4, Sampler: Euler, CFG scale: 1, Seed: 7")
    said = exiftool.said(path)
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED
    assert "XMP-iptcExt:AIPromptInformation" not in said


@pytest.mark.parametrize("file", FILES)
def test_what_the_original_says_in_xmp_goes_over(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    source = photo(file)
    exiftool.write(
        source,
        *("-XMP-dc:Creator=Änn", "-XMP-dc:Creator=Bob", "-XMP-dc:Rights=© Ann", "-XMP:Rating=4"),
        *("-XMP-dc:Title-de=Hafen", "-XMP-iptcExt:PersonInImage=Carl", "-XMP-tiff:Orientation=6"),
        *("-XMP-xmpMM:DocumentID=doc-1", "-XMP-xmpMM:InstanceID=inst-1", "-XMP:CreatorTool=Cam"),
        *("-XMP-xmpMM:OriginalDocumentID=doc-0", "-XMP-xmpMM:HistoryAction=created"),
        *("-XMP-iptcExt:DigitalSourceType=older", "-XMP-xmp:ThumbnailsImage=dGh1bWI="),
    )
    said = exiftool.said(job().run(source, painted).path)
    assert said["XMP-dc:Creator"] == ["Änn", "Bob"]
    assert (said["XMP-dc:Rights"], said["XMP-xmp:Rating"]) == ("© Ann", 4)
    assert said["XMP-dc:Title-de"] == "Hafen"
    assert said["XMP-iptcExt:PersonInImage"] == ["Carl"]
    assert said["XMP-xmp:CreatorTool"] == "Cam"
    assert said["XMP-xmpMM:OriginalDocumentID"] == "doc-0"
    assert said["XMP-xmpMM:DerivedFrom"]["DocumentID"] == "doc-1"
    assert said["XMP-xmpMM:DerivedFrom"]["InstanceID"] == "inst-1"
    assert [it["Action"] for it in said["XMP-xmpMM:History"]] == ["created", "edited"]
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED
    assert not any("Thumbnail" in tag or tag == "XMP-tiff:Orientation" for tag in said)


IIM = ["-IPTC:By-line=Änn", "-IPTC:Keywords=Hafen", "-IPTC:Keywords=Boot", "-IPTC:City=Köln"]


@pytest.mark.parametrize("file", ["photo.jpg", "raw.tif", "packed.tif"])
def test_iptc_data_of_the_older_kind_goes_over(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    source = photo(file)
    exiftool.write(source, *IIM)
    said = exiftool.said(job().run(source, painted).path)
    assert said["IPTC:By-line"] == "Änn"
    assert said["IPTC:Keywords"] == ["Hafen", "Boot"]
    assert said["IPTC:City"] == "Köln"


@pytest.mark.parametrize("wanted", [Format.PNG, Format.WEBP])
def test_where_a_format_has_no_place_for_it_xmp_says_the_same(
    photo: Callable[[str], Path], job: MakeJob, wanted: Format
) -> None:
    source = photo("photo.jpg")
    exiftool.write(source, *IIM, "-XMP-photoshop:City=Bonn")
    said = exiftool.said(job(format=wanted).run(source, painted).path)
    assert said["XMP-dc:Creator"] == ["Änn"]
    assert said["XMP-dc:Subject"] == ["Hafen", "Boot"]
    assert said["XMP-photoshop:City"] == "Bonn"


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("gps", Gps)
def test_the_position_is_kept_or_stripped(
    photo: Callable[[str], Path], job: MakeJob, file: str, gps: Gps
) -> None:
    source = photo(file)
    in_xmp = [f"-XMP-exif:{it.removeprefix('-')}" for it in POSITION[::2]]
    exiftool.write(source, "-Artist=Ann", *POSITION, *in_xmp, "-GPSMapDatum=a known place")
    said = exiftool.said(job(gps=gps).run(source, painted).path)
    positions = {tag for tag in said if "GPS" in tag and not tag.startswith("Composite")}
    assert said["IFD0:Artist"] == "Ann"
    if gps is Gps.KEEP:
        assert {"GPS:GPSLatitude", "XMP-exif:GPSLatitude"} <= positions
    else:
        assert positions == set()
        assert (
            b"a known place"
            not in (source.parent / "scratch" / "result.of.1")
            .with_suffix(f".1{source.suffix}")
            .read_bytes()
        )


def test_the_rest_of_the_exif_stays_beside_the_comment(
    photo: Callable[[str], Path], job: MakeJob
) -> None:
    source = photo("photo.jpg")
    exiftool.write(source, "-Artist=Ann", "-ExposureTime=1/60", "-LensModel=A lens", *POSITION)
    before, after = exiftool.said(source), exiftool.said(job().run(source, painted).path)
    for tag in ("IFD0:Artist", "ExifIFD:ExposureTime", "ExifIFD:LensModel", "GPS:GPSLatitude"):
        assert after[tag] == before[tag]


@pytest.mark.parametrize("length", [20_000, 40_000, 60_000])
def test_a_prompt_too_long_for_a_jpeg_is_left_out_and_said(
    photo: Callable[[str], Path], job: MakeJob, length: int
) -> None:
    source = photo("photo.jpg")
    exiftool.write(source, "-Artist=Ann")
    composed = job(prompt="blue " * (length // 5)).run(source, painted)
    said = exiftool.said(composed.path)
    assert said["IFD0:Artist"] == "Ann"
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED
    assert any("too long for JPEG's EXIF" in it for it in composed.notes)
    assert "Seed: 7" in said["ExifIFD:UserComment"]


def test_xmp_too_long_for_a_jpeg_is_left_out_and_said(
    photo: Callable[[str], Path], job: MakeJob
) -> None:
    source = photo("photo.png")
    exiftool.write(source, f"-XMP-dc:Description={'long ' * 14_000}")
    composed = job(format=Format.JPG).run(source, painted)
    said = exiftool.said(composed.path)
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED
    assert any("XMP data is too long" in it for it in composed.notes)


def test_a_bmp_cannot_say_it_and_that_is_said(photo: Callable[[str], Path], job: MakeJob) -> None:
    composed = job().run(photo("photo.bmp"), painted)
    assert any("does not say that a model edited it" in it for it in composed.notes)
    assert job(has_model=False).run(photo("photo.bmp")).notes == ()


def test_iptc_data_that_imagemagick_put_into_a_png_goes_over(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    block = b"\x1c\x02\x50\x00\x03Ann\x1c\x02\x5a\x00\x05K\xc3\xb6ln"
    resources = b"8BIM\x04\x04\0\0" + len(block).to_bytes(4, "big") + block + b"\0"
    texts = PngImagePlugin.PngInfo()
    hexadecimal = resources.hex()
    texts.add_text("Raw profile type iptc", f"\niptc\n{len(resources):8}\n{hexadecimal}\n")
    scene(60, 40).save(tmp_path / "photo.png", pnginfo=texts)
    said = exiftool.said(job().run(tmp_path / "photo.png", painted).path)
    assert (said["XMP-dc:Creator"], said["XMP-photoshop:City"]) == (["Ann"], "Köln")


def dressed(plain: bytes, extension: str) -> bytes:
    """A file with a manifest store where its format has it; it would not verify."""
    store = b"\0\0\0\x20jumb c2pa manifest store.."
    if extension == ".jpg":
        return plain[:2] + b"\xff\xeb" + (len(store) + 2).to_bytes(2, "big") + store + plain[2:]
    if extension == ".png":
        chunk = b"caBX" + store
        check = zlib.crc32(chunk).to_bytes(4, "big")
        return plain[:33] + len(store).to_bytes(4, "big") + chunk + check + plain[33:]
    body = plain[8:] + b"C2PA" + len(store).to_bytes(4, "little") + store
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("file", ["photo.jpg", "photo.png", "photo.webp"])
def test_signatures_that_an_edit_ends_are_said(
    photo: Callable[[str], Path], job: MakeJob, file: str
) -> None:
    source = photo(file)
    assert not any("Credentials" in it for it in job().prepare(source).notes)
    source.write_bytes(dressed(source.read_bytes(), source.suffix))
    assert any("Content Credentials" in it for it in job().prepare(source).notes)
    assert b"c2pa" not in job().run(source, painted).path.read_bytes()


def test_a_region_alone_shows_nothing_of_the_original(
    photo: Callable[[str], Path], job: MakeJob
) -> None:
    made = job(region=Region(10, 5, 30, 20), size=ModelSize())
    said = exiftool.said(made.run(photo("photo.jpg"), painted).path)
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED


def test_xmp_of_unknown_makers_keeps_its_names(tmp_path: Path, scene: Scene, job: MakeJob) -> None:
    described = " ".join(f'xmlns:a{n}="urn:maker:{n}" a{n}:What="{n}"' for n in range(2000))
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        f' rdf:about="" xmlns:dc="urn:no:dublin:core" dc:What="odd" {described}/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    scene(60, 40).save(tmp_path / "photo.webp", xmp=packet.encode())
    said = exiftool.said(job().run(tmp_path / "photo.webp", painted).path)
    assert (said["XMP-a7:What"], said["XMP-a1999:What"]) == (7, 1999)
    assert "odd" in said.values()
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED


BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
&b;</rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    "xmp", [b"nonsense", BOMB, b"<a>" * 200 + b"</a>" * 200, BOMB.decode().encode("utf-16")]
)
def test_xmp_that_cannot_be_read_is_left_out_and_said(
    tmp_path: Path, scene: Scene, job: MakeJob, xmp: bytes
) -> None:
    path = tmp_path / "photo.jpg"
    scene(60, 40).save(path, xmp=xmp)
    assert any("XMP data that cannot be read" in it for it in job().prepare(path).notes)
    said = exiftool.said(job().run(path, painted).path)
    assert said["XMP-iptcExt:DigitalSourceType"] == GENERATED


def test_a_result_edited_again_keeps_the_line_of_its_originals(
    photo: Callable[[str], Path], job: MakeJob
) -> None:
    first = photo("photo.jpg")
    second = first.with_name("again.jpg")
    second.write_bytes(job().run(first, painted).path.read_bytes())
    said = exiftool.said(job(region=Region(0, 0, 20, 20)).run(second, painted).path)
    assert len(said["XMP-xmpMM:History"]) == 2
    before = exiftool.said(second)
    assert said["XMP-xmpMM:OriginalDocumentID"] == before["XMP-xmpMM:OriginalDocumentID"]
    assert said["XMP-xmpMM:DerivedFrom"]["DocumentID"] == before["XMP-xmpMM:DocumentID"]
