from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import exiftool
import numpy as np
import pytest
from PIL import Image, ImageOps

from config.values import ExactSize, ModelSize, Region, Size
from pipeline.picture.icc import Srgb
from pipeline.picture.preview import GAP, LONGEST_SIDE, Side, side_by_side

Scene = Callable[[int, int], Image.Image]
MakeJob = Callable[..., Any]  # the fixture `job`


def side(pixels: Image.Image, alpha: Image.Image | None = None) -> Side:
    return Side(pixels=pixels, alpha=alpha, colours=Srgb(None))


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (20_000, 60), (60, 20_000), (9, 7)])
def test_no_side_is_longer_than_the_limit_and_none_is_enlarged(size: tuple[int, int]) -> None:
    sheet = side_by_side(side(Image.new("RGB", size)), side(Image.new("RGB", size)))
    assert max(sheet.size) <= LONGEST_SIDE
    assert (sheet.width - GAP) // 2 <= size[0]
    assert sheet.height <= size[1]


def test_before_is_on_the_left_and_after_on_the_right(scene: Scene) -> None:
    before = scene(60, 40)
    sheet = side_by_side(side(before), side(ImageOps.invert(before)))
    assert sheet.crop((0, 0, 60, 40)).tobytes() == before.tobytes()
    after = sheet.crop((60 + GAP, 0, 120 + GAP, 40))
    assert after.tobytes() == ImageOps.invert(before).tobytes()
    assert sheet.getpixel((60 + GAP // 2, 20)) == (255, 255, 255)


def test_of_different_shapes_each_stands_in_the_middle_of_its_half() -> None:
    sheet = side_by_side(side(Image.new("RGB", (60, 40))), side(Image.new("RGB", (20, 20))))
    dark = np.asarray(sheet.convert("L")) < 128
    assert dark[:, :60].all()
    right = dark[:, 60 + GAP :]
    assert right[10:30, 20:40].all()
    assert right.sum() == 400


def test_transparent_parts_are_white() -> None:
    black, clear = Image.new("RGB", (8, 8)), Image.new("L", (8, 8))
    assert side_by_side(side(black, clear), side(black)).getpixel((4, 4)) == (255, 255, 255)


def test_none_is_made_where_none_is_wanted(tmp_path: Path, scene: Scene, job: MakeJob) -> None:
    scene(60, 40).save(tmp_path / "photo.png")
    assert job().run(tmp_path / "photo.png").preview is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, (128, 40)), (ModelSize(), (68, 20)), (ExactSize(30, 30), (128, 40))],
)
def test_it_shows_what_was_edited(
    tmp_path: Path, scene: Scene, job: MakeJob, size: Size | None, expected: tuple[int, int]
) -> None:
    path = tmp_path / "photo.png"
    scene(60, 40).save(path)
    choices = {} if size is None else {"size": size}
    made = job(region=Region(10, 5, 30, 20), wants_preview=True, **choices)
    composed = made.run(path, ImageOps.invert)
    with Image.open(composed.preview.path) as sheet:
        assert (sheet.format, sheet.size) == ("JPEG", expected)


def test_colours_are_those_of_the_screen(
    tmp_path: Path, scene: Scene, job: MakeJob, wide_profile: bytes
) -> None:
    path = tmp_path / "photo.png"
    muted = scene(60, 40).point([v // 2 + 64 for v in range(256)] * 3)
    muted.save(path, icc_profile=wide_profile)
    composed = job(wants_preview=True).run(path)
    with Image.open(composed.preview.path) as sheet:
        left, right = (
            np.asarray(sheet.crop((x, 0, x + 60, 40)), dtype=int) for x in (0, 60 + GAP)
        )
    assert abs(left - right).mean() < 3
    assert abs(left - np.asarray(muted)).mean() > 3


@pytest.mark.parametrize("has_model", [True, False])
def test_it_says_that_a_model_had_a_hand_in_it_and_not_what_was_asked(
    tmp_path: Path, scene: Scene, job: MakeJob, *, has_model: bool
) -> None:
    path = tmp_path / "photo.jpg"
    scene(60, 40).save(path)
    composed = job(wants_preview=True, has_model=has_model, prompt="a secret").run(path)
    source = exiftool.said(composed.preview.path).get("XMP-iptcExt:DigitalSourceType", "")
    assert source.endswith("/compositeWithTrainedAlgorithmicMedia") is has_model
    assert b"secret" not in composed.preview.path.read_bytes()
