from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, ImageOps

from config.values import Format, Keep, Region

Scene = Callable[[int, int], Image.Image]
Pixels = Callable[[Path], npt.NDArray[np.uint8]]
MakeJob = Callable[..., Any]  # the fixture `job`


def canvas_of(job: Any, path: Path) -> npt.NDArray[np.int16]:
    with Image.open(job.prepare(path).canvases[0]) as canvas:
        return np.asarray(canvas, dtype=np.int16)


def profile_of(path: Path) -> bytes | None:
    with Image.open(path) as image:
        profile: bytes | None = image.info.get("icc_profile")
        return profile


def test_the_model_sees_srgb(
    tmp_path: Path, job: MakeJob, scene: Scene, wide_profile: bytes
) -> None:
    path = tmp_path / "photo.png"
    grey_and_green = np.array([[[128, 128, 128], [60, 200, 60]]], dtype=np.uint8)
    Image.fromarray(grey_and_green).save(path, icc_profile=wide_profile)
    grey, green = canvas_of(job(), path)[0]
    assert np.abs(grey - 128).max() <= 2
    assert green[0] < 20  # more red would be less green than Adobe RGB means
    assert green[1] >= 199


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_the_profile_stays_and_colours_come_back(
    tmp_path: Path, job: MakeJob, pixels: Pixels, wide_profile: bytes, extension: str
) -> None:
    path = tmp_path / f"photo.{extension}"
    muted = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    muted.putpixel((3, 3), (90, 110, 130))
    muted.save(path, icc_profile=wide_profile, quality=100)
    before = pixels(path).astype(np.int16)
    composed = job(quality=100).run(path, ImageOps.mirror)
    assert profile_of(composed.path) == wide_profile
    difference = np.abs(pixels(composed.path)[:, ::-1].astype(np.int16) - before)
    assert difference.mean() < 1.5


def test_pixels_around_a_region_keep_their_numbers_in_their_profile(
    tmp_path: Path, job: MakeJob, scene: Scene, pixels: Pixels, wide_profile: bytes
) -> None:
    path = tmp_path / "photo.png"
    scene(40, 30).save(path, icc_profile=wide_profile)
    composed = job(region=Region(10, 5, 20, 15)).run(path, ImageOps.mirror)
    changed = (pixels(composed.path) != pixels(path)).any(axis=2)
    assert changed[5:20, 10:30].mean() > 0.9
    changed[5:20, 10:30] = False
    assert not changed.any()


def test_an_srgb_profile_changes_nothing_and_stays(
    tmp_path: Path, job: MakeJob, scene: Scene
) -> None:
    path = tmp_path / "photo.png"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    scene(40, 30).save(path, icc_profile=srgb)
    assert (canvas_of(job(), path) == np.asarray(scene(40, 30))).all()
    assert profile_of(job().run(path, ImageOps.mirror).path) == srgb


@pytest.mark.parametrize("profile", [b"no profile at all", b"", bytes(200)])
def test_a_broken_profile_is_left_out_and_said(
    tmp_path: Path, job: MakeJob, scene: Scene, profile: bytes
) -> None:
    path = tmp_path / "photo.jpg"
    scene(40, 30).save(path, icc_profile=profile)
    notes = job().prepare(path).notes
    assert profile == b"" or any("cannot be used" in note for note in notes)
    assert profile_of(job().run(path).path) is None


def test_a_profile_for_other_pixels_is_left_out_and_said(
    tmp_path: Path, job: MakeJob, scene: Scene, grey_profile: bytes
) -> None:
    path = tmp_path / "photo.png"
    scene(40, 30).save(path, icc_profile=grey_profile)
    assert any("GRAY" in note for note in job().prepare(path).notes)
    assert (canvas_of(job(), path) == np.asarray(scene(40, 30))).all()


def test_grey_with_a_grey_profile_is_seen_as_it_looks_and_comes_back(
    tmp_path: Path, job: MakeJob, scene: Scene, pixels: Pixels, grey_profile: bytes
) -> None:
    path = tmp_path / "photo.png"
    scene(40, 30).convert("L").save(path, icc_profile=grey_profile)
    numbers = pixels(path).astype(np.int16)
    seen = canvas_of(job(), path)[:, :, 0]
    assert np.abs(seen - numbers).max() > 4
    composed = job(keep=Keep.NONE).run(path, ImageOps.mirror)
    assert profile_of(composed.path) == grey_profile
    assert np.abs(pixels(composed.path)[:, ::-1].astype(np.int16) - numbers).max() <= 1


def test_grey_that_gains_colour_leaves_its_profile(
    tmp_path: Path, job: MakeJob, scene: Scene, pixels: Pixels, grey_profile: bytes
) -> None:
    path = tmp_path / "photo.png"
    scene(40, 30).convert("L").save(path, icc_profile=grey_profile)
    composed = job().run(path, lambda canvas: scene(*canvas.size))
    assert profile_of(composed.path) is None
    assert (pixels(composed.path) == np.asarray(scene(40, 30))).all()


def test_grey_with_a_profile_becomes_a_true_webp(
    tmp_path: Path, job: MakeJob, scene: Scene, pixels: Pixels, grey_profile: bytes
) -> None:
    path = tmp_path / "photo.png"
    scene(40, 30).convert("L").save(path, icc_profile=grey_profile)
    composed = job(format=Format.WEBP).run(path)
    assert profile_of(composed.path) is None
    seen = canvas_of(job(), path)
    assert np.abs(pixels(composed.path) - seen).mean() < 4


@pytest.mark.parametrize("extension", ["jpg", "tif"])
def test_cmyk_without_a_profile_becomes_rgb_and_is_said(
    tmp_path: Path, job: MakeJob, pixels: Pixels, extension: str
) -> None:
    path = tmp_path / f"print.{extension}"
    orange = Image.new("CMYK", (32, 32), (0, 102, 255, 0))
    orange.save(path, quality=100)
    composed = job().run(path)
    assert any("CMYK" in note for note in job().prepare(path).notes)
    shown = pixels(composed.path)
    assert shown.shape == (32, 32, 3)
    assert np.abs(shown[16, 16].astype(int) - (255, 153, 0)).max() <= 3
    assert not composed.format_changed


@pytest.mark.parametrize("extension", ["jpg", "tif"])
def test_cmyk_looks_as_its_profile_says(
    tmp_path: Path, job: MakeJob, table_profile: Callable[[bytes], bytes], extension: str
) -> None:
    path = tmp_path / f"print.{extension}"
    half_magenta = Image.new("CMYK", (32, 32), (0, 128, 0, 0))
    half_magenta.save(path, quality=100, icc_profile=table_profile(b"CMYK"))
    red, green, blue = canvas_of(job(), path)[16, 16]
    assert abs(red - green) <= 1
    assert abs(green - blue) <= 1
    assert 110 < green < 130  # L* of 50
    assert profile_of(job().run(path).path) is None


def test_a_profile_for_reading_only_becomes_srgb(
    tmp_path: Path, job: MakeJob, pixels: Pixels, table_profile: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "scan.png"
    Image.new("RGB", (8, 8), (128, 10, 10)).save(path, icc_profile=table_profile(b"RGB "))
    composed = job().run(path)
    assert (pixels(composed.path) == canvas_of(job(), path)).all()
    assert np.ptp(pixels(composed.path)) <= 1
    assert profile_of(composed.path) is None


def test_cmyk_with_an_rgb_profile_ignores_it(
    tmp_path: Path, job: MakeJob, wide_profile: bytes
) -> None:
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (32, 32), (0, 102, 255, 0)).save(path, icc_profile=wide_profile)
    notes = job().prepare(path).notes
    assert "cannot be used" in notes[0]
    assert "CMYK" in notes[1]
    assert profile_of(job().run(path).path) is None


def test_lab_becomes_rgb(tmp_path: Path, job: MakeJob, scene: Scene) -> None:
    path = tmp_path / "scan.tif"
    colours = scene(40, 30).point(lambda level: 70 + level // 3)
    srgb = ImageCms.createProfile("sRGB")
    lab = ImageCms.buildTransform(srgb, ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = ImageCms.applyTransform(colours, lab)
    assert converted is not None
    converted.info.clear()
    converted.save(path)
    assert np.abs(canvas_of(job(), path) - np.asarray(colours)).max() <= 6
