from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageOps

from config.values import ExactSize, Format
from pipeline.picture.exif import DamagedExifError, upright, with_comment, without_position

Scene = Callable[[int, int], Image.Image]
MakeJob = Callable[..., Any]  # the fixture `job`

THUMBNAIL = b"\xff\xd8small picture of what was there\xff\xd9"
MAKER_NOTE = b"MAKER\0\1\2\3\4notes with offsets"
ARTIST = "J. Müller".encode()


def block(order: str = "<", orientation: int = 6, after: bytes = b"") -> bytes:
    """An EXIF block as cameras write it: two directories, a maker note, a thumbnail."""
    first, sub, second, texts = 8, 80, 140, 200
    artist, maker = texts, texts + len(ARTIST) + 1
    thumbnail = maker + len(MAKER_NOTE)

    def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
        content = struct.pack(order + "H", len(entries))
        for tag, kind, count, value in entries:
            form = "HHIHxx" if kind == 3 else "HHII"
            content += struct.pack(order + form, tag, kind, count, value)
        return content + struct.pack(order + "I", following)

    parts = {
        first: directory(
            [
                (0x0112, 3, 1, orientation),
                (0x013B, 2, len(ARTIST) + 1, artist),
                (0x8769, 4, 1, sub),
            ],
            second,
        ),
        sub: directory(
            [(0x927C, 7, len(MAKER_NOTE), maker), (0xA002, 3, 1, 4000), (0xA003, 4, 1, 3000)], 0
        ),
        second: directory([(0x0201, 4, 1, thumbnail), (0x0202, 4, 1, len(THUMBNAIL))], 0),
        texts: ARTIST + b"\0" + MAKER_NOTE + THUMBNAIL + after,
    }
    content = b"II*\0" if order == "<" else b"MM\0*"
    content += struct.pack(order + "I", first)
    for start, part in parts.items():
        content = content.ljust(start, b"\0") + part
    return b"Exif\0\0" + content


def read(exif: bytes) -> Image.Exif:
    loaded = Image.Exif()
    loaded.load(exif)
    return loaded


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("after", [b"", b"more"])
def test_the_block_stands_upright_and_loses_its_thumbnail(order: str, after: bytes) -> None:
    exif = upright(block(order, after=after), 800, 70_000)
    loaded = read(exif)
    photo = loaded.get_ifd(ExifTags.IFD.Exif)
    assert loaded[ExifTags.Base.Orientation] == 1
    assert (photo[0xA002], photo[0xA003]) == (800, 70_000)
    assert loaded.get_ifd(ExifTags.IFD.IFD1) == {}
    assert b"small picture" not in exif
    assert exif.endswith(after)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("half", [0x0201, 0x0202])
def test_half_a_thumbnail_is_unlinked(order: str, half: int) -> None:
    entry = struct.pack(order + "HH", half, 4)
    assert block(order).count(entry) == 1
    exif = upright(block(order).replace(entry, struct.pack(order + "HH", 0x0203, 4)), 800, 600)
    assert read(exif)[ExifTags.Base.Orientation] == 1
    assert read(exif).get_ifd(ExifTags.IFD.IFD1) == {}


def test_maker_notes_and_texts_stay_where_they_are() -> None:
    before, after = block(), upright(block(), 800, 600)
    for kept in (MAKER_NOTE, ARTIST):
        assert after.index(kept) == before.index(kept)


def test_a_block_that_is_fine_comes_back_as_it_is() -> None:
    once = upright(block(), 800, 600)
    assert upright(once, 800, 600) == once
    assert upright(b"", 800, 600) == b""


@pytest.mark.parametrize(
    "damaged", [b"Exif\0\0", b"nonsense", b"II*\0", b"II*\0\xff\xff\0\0", block()[:60]]
)
def test_a_damaged_block_is_refused(damaged: bytes) -> None:
    if damaged == b"Exif\0\0":
        assert upright(damaged, 8, 8) == b""
    else:
        with pytest.raises(DamagedExifError):
            upright(damaged, 8, 8)


@pytest.mark.parametrize("order", "<>")
def test_a_comment_goes_into_a_block_and_nothing_else_moves(order: str) -> None:
    before = block(order)
    after = with_comment(before, "蓝色")
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)
    photo = read(after).get_ifd(ExifTags.IFD.Exif)
    assert photo[ExifTags.Base.UserComment] == b"UNICODE\0" + "蓝色".encode("utf-16-be")
    assert photo[ExifTags.Base.MakerNote] == MAKER_NOTE
    assert read(after)[ExifTags.Base.Artist].encode("latin-1") == ARTIST


@pytest.mark.parametrize("exif", [b"", block(), block(">")])
def test_a_second_comment_takes_the_place_of_the_first(exif: bytes) -> None:
    after = with_comment(with_comment(exif, "an old secret"), "new")
    assert "secret".encode("utf-16-be") not in after
    comment = read(after).get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment == b"UNICODE\0" + "new".encode("utf-16-be")


def positioned() -> bytes:
    tags = read(block())
    tags[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 12.0, 30.0), 18: "a known place"}
    return tags.tobytes()


def test_a_position_is_taken_out_of_a_block_and_of_its_bytes() -> None:
    before, after = positioned(), without_position(positioned())
    assert b"a known place" in before
    assert b"a known place" not in after
    assert ExifTags.IFD.GPSInfo not in read(after)
    assert read(after).get_ifd(ExifTags.IFD.Exif) == read(before).get_ifd(ExifTags.IFD.Exif)
    assert len(after) == len(before)
    assert without_position(block()) == b"Exif\0\0" + block().removeprefix(b"Exif\0\0")


def test_a_block_with_a_wrong_byte_is_patched_or_refused_but_ends() -> None:
    for place in range(len(positioned())):
        damaged = bytearray(positioned())
        damaged[place] ^= 0xFF
        for patch in (without_position, lambda exif: with_comment(exif, "blue")):
            with contextlib.suppress(DamagedExifError):
                assert len(patch(bytes(damaged))) < 4 * len(damaged)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_a_turned_photo_is_edited_and_returned_upright(
    tmp_path: Path, scene: Scene, job: MakeJob, orientation: int, extension: str
) -> None:
    path = tmp_path / f"photo.{extension}"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    scene(48, 32).save(path, exif=exif, lossless=True, quality=100)
    with Image.open(path) as stored:
        expected = ImageOps.exif_transpose(stored).convert("RGB")
    prepared = job().prepare(path)
    with Image.open(prepared.canvases[0]) as canvas:
        assert canvas.tobytes() == expected.tobytes()
    assert (prepared.width, prepared.height) == expected.size
    composed = job().run(path)
    with Image.open(composed.path) as result:
        assert result.size == expected.size
        assert result.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert ImageOps.exif_transpose(result).size == expected.size


@pytest.mark.parametrize("wanted", [Format.SAME, Format.PNG, Format.WEBP])
def test_exif_and_resolution_go_over(
    tmp_path: Path, scene: Scene, job: MakeJob, wanted: Format
) -> None:
    path = tmp_path / "photo.jpg"
    scene(48, 32).save(path, exif=block(), dpi=(300, 200))
    composed = job(format=wanted, size=ExactSize(30, 20)).run(path)
    with Image.open(composed.path) as result:
        exif = result.getexif()
        photo = exif.get_ifd(ExifTags.IFD.Exif)
        assert exif[ExifTags.Base.Artist].encode("latin-1") == ARTIST
        assert (photo[0xA002], photo[0xA003]) == (30, 20)
        assert photo[ExifTags.Base.MakerNote] == MAKER_NOTE
        if wanted is not Format.WEBP:
            assert result.info["dpi"] == pytest.approx((200, 300), abs=0.1)  # it was turned


def test_webp_gets_the_resolution_as_exif(tmp_path: Path, scene: Scene, job: MakeJob) -> None:
    path = tmp_path / "photo.jpg"
    scene(48, 32).save(path, dpi=(300, 200))
    composed = job(format=Format.WEBP).run(path)
    with Image.open(composed.path) as result:
        exif = result.getexif()
    assert (exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution]) == (300, 200)


def test_a_tiff_keeps_its_descriptions_and_the_tags_of_its_photo(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    path = tmp_path / "scan.tif"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2026:11:22 10:00:00"}
    tags = read(exif.tobytes())
    tags[ExifTags.Base.Copyright] = ARTIST
    scene(48, 32).save(path, exif=tags, dpi=(300, 200))
    composed = job().run(path)
    with Image.open(composed.path) as result:
        found = result.getexif()
        assert found[ExifTags.Base.Copyright].encode("latin-1") == ARTIST
        assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal].startswith("2026")
        assert result.size == (32, 48)
        assert result.info["dpi"] == (200, 300)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("raw", "raw"),
        ("tiff_lzw", "tiff_lzw"),
        ("packbits", "packbits"),
        ("tiff_adobe_deflate", "tiff_adobe_deflate"),
        ("jpeg", "tiff_adobe_deflate"),
    ],
)
def test_a_tiff_keeps_its_compression_if_that_loses_nothing(
    tmp_path: Path, scene: Scene, job: MakeJob, before: str, after: str
) -> None:
    path = tmp_path / "scan.tif"
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = ARTIST
    scene(48, 32).save(path, exif=exif, compression=before)
    with Image.open(job().run(path).path) as result:
        assert result.info["compression"] == after
        assert result.getexif()[ExifTags.Base.Copyright].encode("latin-1") == ARTIST


def test_a_damaged_exif_block_is_left_out_and_said(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    path = tmp_path / "photo.jpg"
    scene(48, 32).save(path, exif=block()[:60])
    assert any("damaged EXIF" in note for note in job().prepare(path).notes)
    with Image.open(job().run(path).path) as result:
        assert ExifTags.Base.Artist not in result.getexif()


def test_exif_too_long_for_jpeg_is_left_out_and_said(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    path = tmp_path / "photo.png"
    scene(48, 32).save(path, exif=block(after=bytes(70_000)))
    composed = job(format=Format.JPG).run(path)
    assert "too long for JPEG" in composed.notes[0]
