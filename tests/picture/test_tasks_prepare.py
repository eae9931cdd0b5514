from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from config.values import ExactSize, Keep, ModelSize, Region, Size
from pipeline.picture.canvas import window
from pipeline.pixel_requests import PictureError

Scene = Callable[[int, int], Image.Image]
MakeJob = Callable[..., Any]  # the fixture `job`

AREA = 128 * 128


@pytest.fixture
def photo(tmp_path: Path, scene: Scene) -> Path:
    path = tmp_path / "photo.png"
    scene(60, 40).save(path)
    return path


def test_a_canvas_holds_the_picture_at_the_working_area(photo: Path, job: MakeJob) -> None:
    prepared = job(working_pixels=AREA, multiple=32).prepare(photo)
    laid = prepared.placement
    with Image.open(prepared.canvases[0]) as canvas:
        assert canvas.mode == "RGB"
        assert canvas.size == (laid.canvas_width, laid.canvas_height) == (160, 96)
    assert (laid.content_width, laid.content_height) == (144, 96)
    assert (prepared.width, prepared.height) == (60, 40)


def test_without_a_working_area_the_canvas_is_the_picture(photo: Path, job: MakeJob) -> None:
    prepared = job().prepare(photo)
    with Image.open(photo) as image, Image.open(prepared.canvases[0]) as canvas:
        assert canvas.tobytes() == image.tobytes()


def test_a_region_goes_to_the_model_with_a_margin_of_context(photo: Path, job: MakeJob) -> None:
    prepared = job(region=Region(10, 5, 20, 15)).prepare(photo)
    assert prepared.placement.region == Region(5, 0, 30, 25)
    with Image.open(photo) as image, Image.open(prepared.canvases[0]) as canvas:
        assert canvas.tobytes() == image.crop((5, 0, 35, 25)).tobytes()


def test_a_result_of_the_model_s_size_has_no_margin(photo: Path, job: MakeJob) -> None:
    region = Region(10, 5, 20, 15)
    assert job(region=region, size=ModelSize()).prepare(photo).placement.region == region


def test_the_white_of_a_mask_goes_to_the_model_with_a_margin(
    tmp_path: Path, photo: Path, job: MakeJob
) -> None:
    mask = tmp_path / "photo.mask.png"
    image = Image.new("L", (60, 40))
    image.paste(255, (40, 20, 50, 30))
    image.save(mask)
    assert job(mask=mask).prepare(photo).placement.region == Region(38, 18, 15, 15)


@pytest.mark.parametrize("target", [Region(0, 0, 90, 70), Region(5, 5, 80, 60)])
def test_a_target_that_is_most_of_the_picture_brings_all_of_it(target: Region) -> None:
    assert window(target, 100, 80, working_pixels=None) == Region(0, 0, 100, 80)


@given(
    st.integers(1, 8192),
    st.integers(1, 8192),
    st.tuples(*(4 * [st.floats(0, 1)])),
    st.sampled_from([None, 65_536, 1_048_576]),
)
def test_a_window_lies_in_the_picture_and_holds_its_target(
    width: int, height: int, part: tuple[float, float, float, float], area: int | None
) -> None:
    x, y = int(part[0] * (width - 1)), int(part[1] * (height - 1))
    target = Region(x, y, 1 + int(part[2] * (width - x - 1)), 1 + int(part[3] * (height - y - 1)))
    made = window(target, width, height, working_pixels=area)
    assert 0 <= made.x <= target.x
    assert 0 <= made.y <= target.y
    assert target.x + target.width <= made.x + made.width <= width
    assert target.y + target.height <= made.y + made.height <= height


@pytest.mark.parametrize(
    "region", [Region(50, 0, 11, 5), Region(0, 39, 1, 2), Region(-1, 0, 5, 5)]
)
def test_a_region_outside_the_picture_is_told_its_size(
    photo: Path, job: MakeJob, region: Region
) -> None:
    with pytest.raises(PictureError, match=r"photo\.png, which has 60x40 pixels"):
        job(region=region).prepare(photo)


def test_every_reference_keeps_its_own_aspect(
    tmp_path: Path, photo: Path, scene: Scene, job: MakeJob
) -> None:
    wide, tall = tmp_path / "wide.jpg", tmp_path / "tall.webp"
    scene(90, 30).save(wide)
    scene(30, 90).save(tall)
    made = job(references=(wide, tall), working_pixels=AREA, multiple=32)
    sizes = []
    for path in made.prepare(photo).canvases:
        with Image.open(path) as canvas:
            sizes.append(canvas.size)
    assert sizes == [(160, 96), (224, 64), (64, 224)]


LARGE = {"working_pixels": AREA, "multiple": 32, "megapixels": 0.25}  # 16 times the model's area


def pixels(prepared: Any) -> list[int]:
    found = []
    for path in prepared.canvases:
        with Image.open(path) as canvas:
            found.append(canvas.width * canvas.height)
    return found


def test_megapixels_are_the_area_of_the_canvas_and_references_stay_as_they_were(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    photo, logo = tmp_path / "photo.png", tmp_path / "logo.png"
    scene(1024, 1024).save(photo)
    scene(512, 512).save(logo)
    prepared = job(references=(logo,), **LARGE).prepare(photo)
    assert pixels(prepared) == [512 * 512, AREA]
    assert prepared.notes == ()
    smaller = job(references=(logo,), **{**LARGE, "working_pixels": 1024 * 1024}).prepare(photo)
    assert pixels(smaller) == [512 * 512, 512 * 512]


@pytest.mark.parametrize(
    ("size", "canvas", "note"),
    [
        (None, 160 * 96, "photo.png is edited at 0.0156 megapixels, not 0.25: more would only"),
        (ExactSize(96, 64), 160 * 96, "photo.png is edited at 0.0156 megapixels, not 0.25"),
        (ExactSize(384, 256), 384 * 256, "photo.png is edited at 0.0938 megapixels, not 0.25"),
        (ExactSize(256, 256), 384 * 256, "photo.png is edited at 0.0938"),  # its sides are cut
        (ExactSize(6000, 4000), 640 * 416, ""),
        (ModelSize(), 640 * 416, ""),
    ],
)
def test_a_small_picture_is_enlarged_only_as_far_as_the_result_shows_it(
    *, photo: Path, job: MakeJob, size: Size | None, canvas: int, note: str
) -> None:
    made = job(**LARGE) if size is None else job(size=size, **LARGE)
    prepared = made.prepare(photo)
    assert pixels(prepared) == [canvas]
    assert "".join(prepared.notes).startswith(note)
    assert bool(prepared.notes) == bool(note)


def test_a_region_spends_the_megapixels_and_shows_the_same_part(
    photo: Path, scene: Scene, job: MakeJob
) -> None:
    scene(1600, 1200).save(photo)
    usual = {"working_pixels": AREA, "multiple": 32}
    large, small = Region(200, 200, 400, 400), Region(200, 200, 20, 20)
    for region, canvas in ((large, 512 * 512), (small, AREA)):
        before = job(region=region, **usual).prepare(photo)
        assert pixels(before) == [AREA]
        prepared = job(region=region, **LARGE).prepare(photo)
        assert pixels(prepared) == [canvas]
        assert prepared.placement.region == before.placement.region


def test_megapixels_say_nothing_to_what_edits_at_any_size(photo: Path, job: MakeJob) -> None:
    prepared = job(megapixels=4.0).prepare(photo)
    assert pixels(prepared) == [60 * 40]
    assert prepared.notes == (
        "megapixels has no effect: what edits here takes pictures of any size.",
    )


def test_all_bad_pictures_are_named_at_once(tmp_path: Path, photo: Path, job: MakeJob) -> None:
    bad = tmp_path / "logo.png", tmp_path / "other.jpg"
    bad[0].write_text("no picture")
    bad[1].write_bytes(b"")
    with pytest.raises(PictureError) as caught:
        job(references=bad, region=Region(0, 0, 99, 99)).prepare(photo)
    for name in ("photo.png", "logo.png", "other.jpg"):
        assert name in caught.value.cause


def test_notes_of_references_are_said_too(
    tmp_path: Path, photo: Path, scene: Scene, job: MakeJob
) -> None:
    logo = tmp_path / "logo.png"
    scene(9, 9).save(logo, format="BMP")
    assert job(references=(logo,)).prepare(photo).notes == (
        "logo.png holds a BMP picture, whatever its name says.",
    )


def test_a_mask_of_another_size_is_refused_with_both_sizes(
    tmp_path: Path, photo: Path, job: MakeJob
) -> None:
    mask = tmp_path / "photo.mask.png"
    Image.new("L", (40, 60), "white").save(mask)
    with pytest.raises(PictureError, match=r"40x60 pixels, photo\.png has 60x40"):
        job(mask=mask).prepare(photo)


def test_a_mask_that_lets_nothing_change_is_refused(
    tmp_path: Path, photo: Path, job: MakeJob
) -> None:
    mask = tmp_path / "photo.mask.png"
    image = Image.new("L", (60, 40))
    image.paste(255, (0, 0, 10, 10))
    image.save(mask)
    job(mask=mask).prepare(photo)
    with pytest.raises(PictureError, match="lets nothing change"):
        job(mask=mask, region=Region(20, 20, 10, 10)).prepare(photo)
    job(mask=mask, region=Region(20, 20, 10, 10), keep=Keep.NONE).prepare(photo)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 900), (2000, 5), (64, 64)])
def test_pictures_of_any_shape_become_canvases(
    tmp_path: Path, scene: Scene, job: MakeJob, width: int, height: int
) -> None:
    path = tmp_path / "odd.png"
    scene(width, height).save(path)
    made = job(working_pixels=AREA, multiple=32)
    composed = made.run(path)
    assert (composed.width, composed.height) == (width, height)
    with Image.open(composed.path) as result:
        assert result.tobytes() == scene(width, height).tobytes()


def test_a_large_picture_on_its_canvas_is_no_crop(photo: Path, scene: Scene, job: MakeJob) -> None:
    scene(600, 400).save(photo)
    prepared = job(working_pixels=AREA, multiple=32).prepare(photo)
    laid = prepared.placement
    with Image.open(prepared.canvases[0]) as canvas:
        box = (laid.left, laid.top, laid.left + laid.content_width, laid.top + laid.content_height)
        seen = np.asarray(canvas.crop(box), dtype=int)
    whole = np.asarray(scene(600, 400).resize(seen.shape[1::-1], Image.Resampling.BOX), dtype=int)
    assert np.abs(seen - whole).mean() < 4
