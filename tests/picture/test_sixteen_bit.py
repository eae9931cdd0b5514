from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image
from rig.studio import picture

from config.values import Format
from pipeline.picture.sixteen_bit import SixteenBitPixels, write_sixteen_bit
from pipeline.sniff.whole_file import Kind

MakeJob = Callable[..., Any]  # the fixture `job`
Deep = npt.NDArray[np.uint16]

WIDTH, HEIGHT = 480, 320
MODEL = {"working_pixels": 240 * 160, "multiple": 16}


def deep(*, grey: bool = False, alpha: bool = False) -> Deep:
    """A picture that needs its 16 bits, as OpenCV has it: blue, green, red, alpha."""
    chance = np.random.default_rng(5)
    levels = picture("textured", WIDTH, HEIGHT, 1) * 256
    levels = np.clip(levels + chance.integers(0, 256, levels.shape), 0, 65535)
    levels = levels[..., 0] if grey else levels
    if alpha:
        levels = np.dstack([levels, chance.integers(0, 65535, levels.shape[:2])])
    return levels.astype(np.uint16)


def read(path: Path) -> Deep:
    """All bits of a file."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    assert found.dtype == np.uint16
    return np.asarray(found, np.uint16)


def corner(canvas: Image.Image) -> Image.Image:
    """An edit of a corner, and a model's noise."""
    noise = np.random.default_rng(4).normal(0, 1.2, (*canvas.size[::-1], 3))
    values = np.asarray(canvas) + noise
    values[:50, :80] = (20, 200, 60)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
def test_16_bits_stay_where_nothing_was_edited(
    tmp_path: Path, job: MakeJob, name: str, alpha: bool
) -> None:
    path, levels = tmp_path / name, deep(alpha=alpha)
    cv2.imwrite(str(path), levels)
    composed = job(**MODEL).run(path, corner)
    result = read(composed.path)
    assert (result[130:] == levels[130:]).all()
    assert (result[:, 190:] == levels[:, 190:]).all()
    if alpha:
        assert (result[..., 3] == levels[..., 3]).all()
    assert np.abs(result[:80, :140, 1] / 257.0 - 200).max() < 8
    assert not any("8 bits per channel" in note for note in composed.notes)


@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
@pytest.mark.parametrize("grey", [False, True])
def test_an_echo_of_16_bits_comes_back_bit_for_bit(
    tmp_path: Path, job: MakeJob, name: str, grey: bool
) -> None:
    path, levels = tmp_path / name, deep(grey=grey)
    cv2.imwrite(str(path), levels)
    assert (read(job(**MODEL).run(path).path) == levels).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bits_are_turned_as_the_camera_says(
    tmp_path: Path, job: MakeJob, orientation: int
) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), deep())
    plain = job(**MODEL).run(path, corner)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    donor = tmp_path / "donor.png"
    Image.new("RGB", (1, 1)).save(donor, exif=exif.tobytes())
    content, chunk = path.read_bytes(), donor.read_bytes()
    start = chunk.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(chunk[start : start + 4])
    path.write_bytes(content[:33] + chunk[start:end] + content[33:])
    composed = job(**MODEL).run(path)
    with Image.open(composed.path) as image, Image.open(path) as source:
        upright = image.size
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert upright == (source.size if orientation < 5 else source.size[::-1])
    assert read(composed.path).dtype == np.uint16
    assert plain.width == WIDTH


@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
def test_16_bit_files_keep_what_stands_beside_their_pixels(
    tmp_path: Path, job: MakeJob, name: str, wide_profile: bytes
) -> None:
    path = tmp_path / name
    levels = deep()
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Copyright] = "Somebody"
    kind = Kind.PNG if path.suffix == ".png" else Kind.TIFF
    options = {"exif": exif.tobytes() if kind is Kind.PNG else exif, "icc_profile": wide_profile}
    rgb = np.ascontiguousarray(levels[..., ::-1])
    write_sixteen_bit(path, SixteenBitPixels(rgb, None), kind, {**options, "dpi": (300, 300)})
    composed = job(**MODEL).run(path, corner)
    with Image.open(composed.path) as image:
        assert image.info["icc_profile"] == wide_profile
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.getexif()[ExifTags.Base.Make] == "Maker"
        assert image.getexif()[ExifTags.Base.Copyright] == "Somebody"
    assert (read(composed.path)[130:] == levels[130:]).all()


def test_what_cannot_hold_16_bits_has_8_and_that_is_said(tmp_path: Path, job: MakeJob) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), deep())
    composed = job(format=Format.JPG, **MODEL).run(path, corner)
    assert "The result of photo.png has 8 bits per channel." in composed.notes
