from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.sniff.foreign import NotAPicture
from pipeline.sniff.whole_file import EndsInZeros, Incomplete, Kind, Verdict, Whole, examine

Scene = Callable[[int, int], Image.Image]

WRITINGS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "jpeg": (Kind.JPEG, {"format": "JPEG", "quality": 95}),
    "progressive jpeg": (Kind.JPEG, {"format": "JPEG", "quality": 95, "progressive": True}),
    "png": (Kind.PNG, {"format": "PNG"}),
    "webp": (Kind.WEBP, {"format": "WEBP", "quality": 95, "method": 0}),
    "lossless webp": (Kind.WEBP, {"format": "WEBP", "lossless": True, "method": 0}),
    "raw tiff": (Kind.TIFF, {"format": "TIFF"}),
    "deflated tiff": (Kind.TIFF, {"format": "TIFF", "compression": "tiff_adobe_deflate"}),
    "bigtiff": (Kind.TIFF, {"format": "TIFF", "big_tiff": True}),
    "bmp": (Kind.BMP, {"format": "BMP"}),
}
RAW = ("raw tiff", "bigtiff", "bmp")  # Pillow writes directories before their pixels
HALF = 60 * 160 * 3  # bytes of the last 60 rows


def written(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def examined(content: bytes) -> Verdict:
    return examine(io.BytesIO(content), len(content))


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_whole_picture_is_whole(scene: Scene, writing: str) -> None:
    kind, options = WRITINGS[writing]
    assert examined(written(scene(160, 120), **options)) == Whole(kind)


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("missing", [1, 100, 5000])
def test_a_truncated_picture_is_incomplete(scene: Scene, writing: str, missing: int) -> None:
    content = written(scene(160, 120), **WRITINGS[writing][1])
    assert isinstance(examined(content[:-missing]), Incomplete)


@pytest.mark.parametrize("writing", WRITINGS)
def test_every_tenth_of_a_picture_is_incomplete(scene: Scene, writing: str) -> None:
    content = written(scene(160, 120), **WRITINGS[writing][1])
    for tenth in range(10):
        assert isinstance(examined(content[: len(content) * tenth // 10]), Incomplete), tenth


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.7])
def test_a_zero_filled_tail_is_incomplete(scene: Scene, writing: str, share: float) -> None:
    content = written(scene(160, 120), **WRITINGS[writing][1])
    arrived = int(len(content) * share)
    verdict = examined(content[:arrived].ljust(len(content), b"\0"))
    assert isinstance(verdict, Incomplete)
    assert "midst of a row" in verdict.why or writing not in RAW


@pytest.mark.parametrize("writing", RAW)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1"])
@pytest.mark.parametrize("shape", ["disc", "strip", "dot", "nothing"])
def test_a_dark_end_may_be_genuine(writing: str, mode: str, shape: str) -> None:
    """What lies on black, or on nothing; the rows of a BMP run upwards."""
    if mode == "RGBA" and writing == "bmp":
        return
    dark = Image.new("L", (301, 200))
    drawn = ImageDraw.Draw(dark)
    if shape == "disc":
        drawn.ellipse((100, 60, 200, 140), 255)
    elif shape == "strip":
        drawn.rectangle((0, 80, 301, 120), 255)
    elif shape == "dot":
        drawn.point((150, 100), 255)
    picture = dark.convert(mode)
    if mode == "RGBA":
        picture.putalpha(dark)
    kind, options = WRITINGS[writing]
    verdict = examined(written(picture, **options))
    assert isinstance(verdict, EndsInZeros)
    assert verdict.kind is kind
    assert verdict.is_abrupt is (shape == "strip")
    assert "as in a copy that has not finished" in verdict.why


@pytest.mark.parametrize("writing", RAW)
def test_a_half_copy_whose_rows_are_whole_may_be_dark(scene: Scene, writing: str) -> None:
    content = written(scene(160, 120), **WRITINGS[writing][1])
    verdict = examined(content[:-HALF] + bytes(HALF))
    assert isinstance(verdict, EndsInZeros)
    assert verdict.is_abrupt


@pytest.mark.parametrize("writing", RAW)
def test_zeros_that_nobody_wrote_are_incomplete(
    tmp_path: Path, scene: Scene, writing: str
) -> None:
    """Where a copier made room for the rest: a hole, or blocks that were never written."""
    content, path = written(scene(160, 120), **WRITINGS[writing][1]), tmp_path / "room"
    for make_room in (os.truncate, allocate):
        path.write_bytes(content[:-HALF])
        make_room(path, len(content))
        path.read_bytes()  # a scan has looked at it before
        with path.open("rb") as file:
            verdict = examine(file, len(content))
        assert isinstance(verdict, Incomplete)
        assert "nobody wrote them" in verdict.why
    path.write_bytes(content[:-HALF] + bytes(HALF))
    with path.open("rb") as file:
        assert isinstance(examine(file, len(content)), EndsInZeros)


def allocate(path: Path, size: int) -> None:
    """Make room for a file on the disk, as `rsync --preallocate` does."""
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, size)


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_file_of_zeros_is_incomplete(writing: str) -> None:
    assert isinstance(examined(bytes(70_000)), Incomplete)


def test_an_empty_file_is_incomplete() -> None:
    assert examined(b"") == Incomplete("it is empty (0 bytes)")


@pytest.mark.parametrize("head", [b"\xff", b"\xff\xd8", b"\x89PN", b"II", b"MM\x00", b"RIFF"])
def test_the_first_bytes_of_a_picture_are_incomplete(head: bytes) -> None:
    assert isinstance(examined(head), Incomplete)


@pytest.mark.parametrize("appended", [bytes(20_000), b"SEFT" * 40, b"\0\0\0\x18ftypmp42" * 9000])
def test_what_cameras_append_to_a_jpeg_does_no_harm(scene: Scene, appended: bytes) -> None:
    content = written(scene(160, 120), format="JPEG")
    assert examined(content + appended) == Whole(Kind.JPEG)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo(scene: Scene) -> None:
    thumbnail = written(scene(32, 24), format="JPEG")
    content = written(scene(160, 120), format="JPEG", exif=b"Exif\0\0" + thumbnail)
    cut = content.index(thumbnail) + len(thumbnail)
    assert isinstance(examined(content[:cut].ljust(len(content), b"\0")), Incomplete)
    assert isinstance(examined(content[: cut + 400].ljust(len(content), b"\0")), Incomplete)


def test_bytes_after_the_last_chunk_of_a_png_do_no_harm(scene: Scene) -> None:
    assert examined(written(scene(16, 16), format="PNG") + b"more") == Whole(Kind.PNG)


def test_a_packed_end_of_zeros_is_no_dark_one(scene: Scene) -> None:
    """No packed pixels end so, as dark as they may be."""
    night = Image.new("RGB", (300, 300))
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
        content = bytearray(written(night, format="TIFF", compression=compression))
        assert examined(bytes(content)) == Whole(Kind.TIFF)
    content = bytearray(written(scene(160, 120), format="TIFF"))
    at = content.index(struct.pack("<HHI", 259, 3, 1)) + 8
    content[at : at + 2] = struct.pack("<H", 5)
    content[-9000:] = bytes(9000)
    assert isinstance(examined(bytes(content)), Incomplete)


def test_a_black_png_is_whole() -> None:
    assert examined(written(Image.new("RGB", (900, 900)), format="PNG")) == Whole(Kind.PNG)


def test_a_flat_webp_is_whole() -> None:
    for level in (0, 128, 255):
        flat = Image.new("RGB", (64, 64), (level,) * 3)
        assert examined(written(flat, format="WEBP", quality=100)) == Whole(Kind.WEBP)


def test_every_page_of_a_tiff_must_be_there(scene: Scene) -> None:
    pages = [scene(60, 40), scene(50, 50)]
    content = written(scene(64, 64), format="TIFF", save_all=True, append_images=pages)
    assert examined(content) == Whole(Kind.TIFF)
    assert isinstance(examined(content[:-3000]), Incomplete)


def test_a_tiff_whose_directory_comes_last_is_seen_to_end(scene: Scene) -> None:
    content = written(scene(100, 80), format="TIFF", compression="tiff_lzw")
    directory = struct.unpack_from("<I", content, 4)[0]
    assert directory > len(content) // 2
    assert isinstance(examined(content[:directory].ljust(len(content), b"\0")), Incomplete)


@pytest.mark.parametrize("extension", [".tif", ".tiff"])
def test_a_black_end_is_no_half_copy_where_the_directory_came_after_it(extension: str) -> None:
    """As libtiff writes: OpenCV, ImageMagick, GIMP."""
    night = np.zeros((200, 300, 3), np.uint8)
    night[:40] = np.random.default_rng(1).integers(0, 255, (40, 300, 3))
    done, content = cv2.imencode(extension, night, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    assert done
    assert examined(content.tobytes()) == Whole(Kind.TIFF)
    assert isinstance(examined(content.tobytes()[:-1000]), Incomplete)


class Counted(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(size)


def test_a_hostile_tiff_of_a_million_entries_is_read_a_directory_at_a_time() -> None:
    entries, pages = 4096, 256
    entry = struct.pack("<HHI4s", 60_000, 1, 1, b"")
    size = 2 + entries * len(entry) + 4
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(1, pages + 1):
        follows = 0 if page == pages else 8 + page * size
        content += struct.pack("<H", entries) + entries * entry + struct.pack("<I", follows)
    file = Counted(bytes(content))
    assert examine(file, len(content)) == Whole(Kind.TIFF)
    assert file.reads < 10 * pages


def test_a_tiff_that_points_to_itself_ends() -> None:
    loop = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 256, 3, 1, 5, 8)
    assert examined(loop) == Whole(Kind.TIFF)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"GIF89a" + bytes(40), "a GIF"),
        (b"8BPS\0\1" + bytes(40), "a Photoshop document"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIC picture"),
        (b"\0\0\0\x18ftypavif" + bytes(40), "an AVIF picture"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a video"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "a Canon raw photo"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a sound or a video"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"<?xml version='1.0'?><svg/>", "an SVG drawing"),
        (b"BMW is a make of car", "a text"),
        ("Füße sind kein Bild".encode(), "a text"),
        (b"\x07\x03\x01 nobody knows", "of an unknown kind"),
    ],
)
def test_what_is_no_picture_is_named_with_advice(content: bytes, what: str) -> None:
    verdict = examined(content)
    assert isinstance(verdict, NotAPicture)
    assert verdict.what == what
    assert verdict.advice


def test_a_file_that_shrinks_meanwhile_is_incomplete(scene: Scene) -> None:
    content = written(scene(160, 120), format="PNG")
    assert isinstance(examine(io.BytesIO(content[:500]), len(content)), Incomplete)


def test_looking_at_a_file_loads_no_picture_library() -> None:
    heavy = "{'PIL', 'numpy', 'torch'}"
    code = f"import sys, pipeline.sniff.whole_file; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
