from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.picture.open import Picture, fitting, open_picture
from pipeline.pixel_requests import PictureError
from pipeline.sniff.whole_file import Kind

Scene = Callable[[int, int], Image.Image]


def opened(path: Path, most_pixels: int = 70_000_000) -> Picture:
    return open_picture(path, path.name, most_pixels=most_pixels)


def refused(path: Path) -> PictureError:
    with pytest.raises(PictureError) as caught:
        opened(path)
    assert path.name in caught.value.cause
    assert caught.value.advice.endswith(".")
    return caught.value


def png(width: int, height: int, body: bytes) -> bytes:
    """A PNG whose header says what it likes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_of([(b"IHDR", header), (b"IDAT", zlib.compress(body))])


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks and its end."""
    content = b"".join(chunk(name, content) for name, content in [*chunks, (b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + content


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with a right checksum."""
    crc = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + crc


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(50_000, 50_000, bytes(1000)))
    assert "50000x50000" in refused(bomb).cause


def test_the_limit_is_counted_in_pixels(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (100, 50)).save(path)
    assert opened(path, most_pixels=5000).pixels.size == (100, 50)
    with pytest.raises(PictureError, match="100x50"):
        opened(path, most_pixels=4999)


def test_content_decides_the_format_and_a_lying_name_is_said(tmp_path: Path, scene: Scene) -> None:
    path = tmp_path / "photo.png"
    scene(20, 10).save(path, format="JPEG")
    picture = opened(path)
    assert picture.kind is Kind.JPEG
    assert picture.notes == ("photo.png holds a JPEG picture, whatever its name says.",)


def test_an_honest_name_is_no_surprise(tmp_path: Path, scene: Scene) -> None:
    path = tmp_path / "photo.JPEG"
    scene(20, 10).save(path)
    assert opened(path).notes == ()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", bytes(9000)])
def test_what_has_not_arrived_is_incomplete(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    assert "not complete" in refused(path).cause


@pytest.mark.parametrize(("name", "mode"), [("night.bmp", "RGB"), ("cut-out.tif", "RGBA")])
def test_a_picture_that_ends_dark_is_opened(tmp_path: Path, name: str, mode: str) -> None:
    dark = Image.new(mode, (80, 60))
    dark.paste((200, 150, 100), (20, 25, 60, 35))
    dark.save(tmp_path / name)
    picture = opened(tmp_path / name)
    assert picture.pixels.tobytes() == dark.convert("RGB").tobytes()
    assert (picture.alpha is not None) is (mode == "RGBA")


def test_a_text_named_jpg_is_called_a_text(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("make the sky blue\n")
    assert "it is a text" in refused(path).cause


def test_a_gif_is_told_what_to_become(tmp_path: Path, scene: Scene) -> None:
    path = tmp_path / "photo.png"
    scene(20, 10).save(path, format="GIF")
    assert refused(path).advice == "Convert it to PNG."


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_damage_inside_a_whole_file_is_damage(
    tmp_path: Path, scene: Scene, extension: str
) -> None:
    path = tmp_path / f"photo.{extension}"
    scene(80, 60).save(path, compression="tiff_adobe_deflate")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\xa5" * 400
    path.write_bytes(content)
    assert "damaged" in refused(path).cause


PNGS = {
    "grey": (8, 0, 1),
    "black and white": (1, 0, 1),
    "palette": (4, 3, 1),
    "colours": (8, 2, 3),
    "deep": (16, 2, 3),
    "deep grey": (16, 0, 1),
    "cut-out": (8, 6, 4),
    "deep cut-out": (16, 6, 4),
}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
ADAM7 += [(0, 1, 1, 2)]  # PNG specification, 8.1


@pytest.mark.parametrize("size", [(13, 9), (1, 1), (3, 8)])
@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("kind", PNGS)
def test_a_png_whose_pixels_end_early_is_not_complete(
    tmp_path: Path, kind: str, size: tuple[int, int], *, is_interlaced: bool
) -> None:
    """With right checksums and a whole stream, and where its last row may be black."""
    bits, colours, channels = PNGS[kind]
    lines = []
    for column, row, columns, rows in ADAM7 if is_interlaced else [(0, 0, 1, 1)]:
        across, down = (
            len(range(at, side, step))
            for at, side, step in ((column, size[0], columns), (row, size[1], rows))
        )
        lines += [bytes(1 + -(-across * bits * channels // 8))] * (down if across else 0)
    header = struct.pack(">IIBBBBB", *size, bits, colours, 0, 0, is_interlaced)
    chunks = [(b"IHDR", header), (b"PLTE", bytes(48))][: 2 if kind == "palette" else 1]
    path, length = tmp_path / "photo.png", len(b"".join(lines))
    for rows in range(1, len(lines) + 1):
        body = zlib.compress(b"".join(lines[:rows]))
        parts = [(b"IDAT", body[:5]), (b"IDAT", b""), (b"IDAT", body[5:])]
        path.write_bytes(png_of([*chunks, *parts]))
        if rows == len(lines):
            assert not any(opened(path).pixels.convert("L").tobytes())
        else:
            there, cause = len(b"".join(lines[:rows])), refused(path).cause
            told = f"is not complete: it holds {there} of {length} bytes of its pixels"
            assert told in cause or "image file is truncated" in cause  # Pillow sees some
    path.write_bytes(png_of([*chunks, (b"IDAT", zlib.compress(bytes(length - 1)))]))
    assert "truncated" in refused(path).cause  # in the midst of a row


def test_a_black_first_frame_of_an_animation_is_complete_by_itself(tmp_path: Path) -> None:
    path, night = tmp_path / "film.png", Image.new("RGB", (40, 30))
    night.save(path, save_all=True, append_images=[Image.new("RGB", (40, 30), "red")])
    assert not any(opened(path).pixels.tobytes())
    content = path.read_bytes()
    at = content.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", content, at)
    body = zlib.compress(zlib.decompress(content[at + 8 : at + 8 + length])[: -(1 + 40 * 3)])
    path.write_bytes(content[:at] + chunk(b"IDAT", body) + content[at + 12 + length :])
    assert "of its pixels" in refused(path).cause


def test_a_header_without_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png(0, 0, b""))
    refused(path)


def test_a_missing_scratch_file_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "gone.png")


def test_a_picture_beyond_the_memory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png(8192, 8192, b""))
    with pytest.raises(PictureError) as caught, fitting("photo.png", path):
        raise MemoryError
    assert "photo.png does not fit" in caught.value.cause


def test_memory_that_runs_out_over_a_small_picture_is_no_fault_of_it(
    tmp_path: Path, scene: Scene
) -> None:
    path = tmp_path / "photo.png"
    scene(256, 192).save(path)
    with pytest.raises(MemoryError), fitting("photo.png", path):
        raise MemoryError
    with pytest.raises(PictureError), fitting("photo.png", path, made_pixels=8192 * 8192):
        raise MemoryError


@pytest.mark.parametrize("many", [False, True])
def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded(
    tmp_path: Path, scene: Scene, many: bool
) -> None:
    path = tmp_path / "photo.jpg"
    scene(64, 48).save(path, progressive=True)
    content = path.read_bytes()
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    comment = b"\xff\xfe\0\4\xff\xd9"  # the end of the image, if it were no comment
    path.write_bytes(content[:last] + comment + scan * (1000 if many else 1) + b"\xff\xd9")
    if many:
        assert "scans" in refused(path).cause
    else:
        assert opened(path).pixels.size == (64, 48)


def test_a_picture_of_more_pixels_than_are_allowed_is_refused(
    tmp_path: Path, scene: Scene
) -> None:
    path = tmp_path / "photo.png"
    scene(64, 48).save(path)
    with pytest.raises(PictureError, match="64x48"):
        open_picture(path, path.name, most_pixels=64 * 48 - 1)
    assert open_picture(path, path.name, most_pixels=64 * 48).pixels.size == (64, 48)


def test_the_end_of_memory_in_opencv_is_the_end_of_memory(tmp_path: Path, scene: Scene) -> None:
    path = tmp_path / "photo.png"
    scene(256, 192).save(path)
    dot = np.zeros((2, 2, 4))
    side = 200_000
    with pytest.raises(PictureError), fitting("photo.png", path, made_pixels=side * side):
        cv2.copyMakeBorder(dot, 0, side, 0, side, cv2.BORDER_CONSTANT)
    with pytest.raises(MemoryError), fitting("photo.png", path):
        cv2.copyMakeBorder(dot, 0, side, 0, side, cv2.BORDER_CONSTANT)
    with pytest.raises(cv2.error), fitting("photo.png", path):
        cv2.resize(dot, (0, 0))


def in_mode(mode: str, image: Image.Image) -> Image.Image:
    match mode:
        case "I;16":
            return Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257)
        case "I":
            return Image.fromarray(np.asarray(image.convert("L"), dtype=np.int32) * 257)
        case "F":
            return Image.fromarray(np.asarray(image.convert("L"), dtype=np.float32) / 255)
        case _:
            return image.convert(mode)


@pytest.mark.parametrize("extension", ["png", "tif"])
@pytest.mark.parametrize("mode", ["L", "I;16", "I", "F"])
def test_grey_of_every_depth_is_the_same_grey(
    tmp_path: Path, scene: Scene, mode: str, extension: str
) -> None:
    if extension == "png" and mode in {"I", "F"}:
        return
    path = tmp_path / f"photo.{extension}"
    in_mode(mode, scene(40, 30)).save(path)
    picture = opened(path)
    assert picture.pixels.mode == "L"
    assert picture.pixels.tobytes() == scene(40, 30).convert("L").tobytes()
    assert ("8 bits" in " ".join(picture.notes)) == (mode != "L")


def test_big_endian_sixteen_bits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 16), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 122), (277, 3, 1), (278, 3, 1), (279, 4, 4)]
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1)
        + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in tags
    )
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    path.write_bytes(head + struct.pack(">HH", 257 * 10, 65535))
    assert opened(path).pixels.tobytes() == bytes([10, 255])


def test_sixteen_bit_colour_becomes_eight(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 257 * 128, 65535, 1, 2, 3) for _ in range(2))
    content = png(2, 2, rows).replace(
        struct.pack(">IIBB", 2, 2, 8, 2), struct.pack(">IIBB", 2, 2, 16, 2)
    )
    header = content[12:29]
    content = content[:29] + struct.pack(">I", zlib.crc32(header)) + content[33:]
    path = tmp_path / "deep.png"
    path.write_bytes(content)
    picture = opened(path)
    assert picture.pixels.getpixel((0, 0)) == (0, 128, 255)
    assert picture.notes == ("deep.png has more than 8 bits per channel; the model sees 8.",)


def test_floats_of_any_range_are_stretched_between_black_and_white(tmp_path: Path) -> None:
    path = tmp_path / "heights.tif"
    Image.fromarray(np.array([[-3, 0, 3]], dtype=np.float32)).save(path)
    assert opened(path).pixels.tobytes() == bytes([0, 128, 255])


@pytest.mark.parametrize(
    ("mode", "extension"),
    [("RGB", "png"), ("1", "png"), ("P", "png"), ("P", "bmp"), ("1", "tif"), ("YCbCr", "tif")],
)
def test_modes_without_alpha_show_what_pillow_shows(
    tmp_path: Path, scene: Scene, mode: str, extension: str
) -> None:
    path = tmp_path / f"photo.{extension}"
    image = scene(40, 30).convert(mode)
    image.save(path)
    picture = opened(path)
    assert picture.alpha is None
    assert picture.pixels.convert("RGB").tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("mode", "extension"),
    [("RGBA", "png"), ("LA", "png"), ("RGBA", "tif"), ("LA", "tif"), ("RGBA", "webp")],
)
def test_alpha_is_kept_apart_and_colours_under_it_stay(
    tmp_path: Path, scene: Scene, mode: str, extension: str
) -> None:
    path = tmp_path / f"photo.{extension}"
    image = scene(40, 30).convert(mode)
    image.putalpha(Image.linear_gradient("L").resize((40, 30)))
    image.save(path, lossless=True, exact=True)
    picture = opened(path)
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == image.getchannel("A").tobytes()
    assert picture.pixels.tobytes() == image.convert(mode[:-1]).tobytes()
    assert "transparency" in picture.notes[0]


def test_a_transparent_palette_entry_becomes_alpha(tmp_path: Path) -> None:
    path = tmp_path / "icon.png"
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(path, transparency=1)
    picture = opened(path)
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == bytes([255, 0])
    assert picture.pixels.tobytes() == bytes([10, 20, 30, 40, 50, 60])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "icon.png"
    image = Image.new(mode, (2, 1), "white")
    image.putpixel((0, 0), 7 if mode == "L" else (7, 7, 7))
    image.save(path, transparency=7 if mode == "L" else (7, 7, 7))
    picture = opened(path)
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == bytes([0, 255])


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_of_several_frames_the_first_is_taken_and_said(
    tmp_path: Path, scene: Scene, extension: str
) -> None:
    path = tmp_path / f"film.{extension}"
    others = [Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")]
    scene(40, 30).save(path, save_all=True, append_images=others, lossless=True)
    picture = opened(path)
    assert picture.pixels.tobytes() == scene(40, 30).tobytes()
    assert "first" in " ".join(picture.notes)


def test_the_further_pictures_of_a_phone_are_left_alone(tmp_path: Path, scene: Scene) -> None:
    path = tmp_path / "phone.jpg"
    depth = Image.new("RGB", (20, 15))
    scene(40, 30).save(path, format="MPO", save_all=True, append_images=[depth])
    picture = opened(path)
    assert picture.kind is Kind.JPEG
    assert picture.pixels.size == (40, 30)
    assert "only the main one" in picture.notes[0]
