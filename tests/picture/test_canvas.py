from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.picture.canvas import (
    canvas_area,
    content,
    library_size,
    padded,
    part_area,
    place,
    scaled,
)
from pipeline.pixel_requests import Placement

SIDES = st.integers(1, 9000)
MEGAPIXEL = 1024 * 1024
MULTIPLES = st.sampled_from([16, 32, 112])
AREAS = st.sampled_from([4 * MEGAPIXEL, MEGAPIXEL, 512 * 512, 128 * 128, 96 * 96])


def canvas_of(placement: Placement) -> tuple[int, int]:
    return placement.canvas_width, placement.canvas_height


@settings(max_examples=500)
@given(SIDES, SIDES, AREAS, MULTIPLES)
def test_the_content_has_the_picture_s_aspect_to_a_pixel(
    width: int, height: int, area: int, multiple: int
) -> None:
    laid = place(width, height, working_pixels=area, multiple=multiple)
    scales = laid.content_width / width, laid.content_height / height
    errors = [
        max(abs(laid.content_width - width * scale), abs(laid.content_height - height * scale))
        for scale in scales
    ]
    assert min(errors) < 1


@settings(max_examples=500)
@given(SIDES, SIDES, AREAS, MULTIPLES)
def test_the_content_lies_inside_a_canvas_of_whole_multiples(
    width: int, height: int, area: int, multiple: int
) -> None:
    laid = place(width, height, working_pixels=area, multiple=multiple)
    assert laid.canvas_width % multiple == laid.canvas_height % multiple == 0
    assert 0 <= laid.left <= laid.canvas_width - laid.content_width
    assert 0 <= laid.top <= laid.canvas_height - laid.content_height
    assert min(laid.content_width, laid.content_height) >= 1


@settings(max_examples=500)
@given(SIDES, SIDES, st.sampled_from([MEGAPIXEL, 512 * 512, 128 * 128]))
def test_the_library_keeps_a_canvas_of_usual_aspect(width: int, height: int, area: int) -> None:
    if not 0.25 <= width / height <= 4:
        width = max(height // 4 + 1, min(width, 4 * height))
    canvas = canvas_of(place(width, height, working_pixels=area, multiple=32))
    assert library_size(area, canvas[0] / canvas[1], 32) == canvas


@settings(max_examples=300)
@given(st.integers(250, 4000))
def test_a_usual_picture_fills_nearly_all_of_its_canvas_and_area(permille: int) -> None:
    laid = place(permille, 1000, working_pixels=MEGAPIXEL, multiple=32)
    filled = laid.content_width * laid.content_height
    assert filled / (laid.canvas_width * laid.canvas_height) > 0.94
    assert filled / MEGAPIXEL == pytest.approx(1, abs=0.06)


@given(SIDES, SIDES, st.sampled_from([1, 16, 32]))
def test_without_a_working_area_nothing_is_scaled(width: int, height: int, multiple: int) -> None:
    laid = place(width, height, working_pixels=None, multiple=multiple)
    assert (laid.content_width, laid.content_height) == (width, height)
    assert 0 <= laid.canvas_width - width < multiple
    assert 0 <= laid.canvas_height - height < multiple


@pytest.mark.parametrize(
    ("size", "canvas"),
    [
        ((4096, 4096), (1024, 1024)),
        ((64, 64), (1024, 1024)),
        ((1, 1), (1024, 1024)),
        ((6000, 4000), (1248, 832)),
        ((4032, 3024), (1184, 896)),
        ((3024, 4032), (896, 1184)),
        ((20000, 50), (16384, 64)),
        ((50, 20000), (64, 16384)),
    ],
)
def test_canvases_of_well_known_sizes(size: tuple[int, int], canvas: tuple[int, int]) -> None:
    assert canvas_of(place(*size, working_pixels=MEGAPIXEL, multiple=32)) == canvas


@pytest.mark.parametrize(
    ("size", "megapixels", "multiple", "canvas"),
    [
        ((4000, 4000), 4, 32, (2048, 2048)),
        ((4000, 4000), 0.25, 32, (512, 512)),
        ((6000, 4000), 1.75, 32, (1664, 1120)),
        ((6000, 4000), 1, 112, (1232, 896)),
        ((6000, 4000), 1.75, 112, (1680, 1120)),
        ((4000, 4000), 4, 112, (2016, 2016)),
        ((16384, 164), 4, 32, (21824, 192)),
        ((16384, 164), 4, 112, (18816, 224)),
    ],
)
def test_canvases_of_other_areas_and_multiples(
    size: tuple[int, int], megapixels: float, multiple: int, canvas: tuple[int, int]
) -> None:
    laid = place(*size, working_pixels=round(megapixels * MEGAPIXEL), multiple=multiple)
    assert canvas_of(laid) == canvas


@given(st.floats(0.25, 4), st.sampled_from([16, 32, 112]), st.integers(500, 2000))
def test_an_area_of_usual_aspect_is_kept_to(
    megapixels: float, multiple: int, permille: int
) -> None:
    area = round(megapixels * MEGAPIXEL)
    laid = place(permille * 8, 8000, working_pixels=area, multiple=multiple)
    coarseness = 1.5 * multiple / area**0.5
    assert laid.content_width * laid.content_height == pytest.approx(area, rel=coarseness)


@pytest.mark.parametrize(
    ("own", "asked", "shown", "area"),
    [
        (100, None, 900, 100),  # nothing asked for: the model's own, whatever the picture
        (100, None, 10, 100),
        (100, 400, 900, 400),
        (100, 400, 250, 250),  # more would only enlarge
        (100, 400, 50, 100),  # a small picture is edited as ever
        (100, 25, 900, 25),
        (100, 25, 10, 25),
        (100, 400, None, 400),  # the canvas is the result
        (None, 400, 900, None),  # what edits takes any size
    ],
)
def test_the_area_is_what_was_asked_for_as_far_as_there_is_something_to_show(
    own: int | None, asked: int | None, shown: int | None, area: int | None
) -> None:
    assert canvas_area(own, asked, shown=shown) == area


@pytest.mark.parametrize(
    ("own", "asked", "area"), [(100, None, 100), (100, 400, 100), (100, 25, 25), (None, 25, None)]
)
def test_parts_and_references_have_at_most_the_model_s_own_area(
    own: int | None, asked: int | None, area: int | None
) -> None:
    assert part_area(own, asked) == area


def test_a_canvas_never_has_less_than_one_multiple() -> None:
    assert canvas_of(place(9, 4000, working_pixels=100, multiple=32))[0] == 32


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([None, 32 * 32, 96 * 96]))
def test_what_was_padded_comes_back_in_its_size(width: int, height: int, area: int | None) -> None:
    laid = place(width, height, working_pixels=area, multiple=32)
    values = np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8)
    fitted = scaled(Image.fromarray(values), (laid.content_width, laid.content_height))
    canvas = padded(fitted, laid)
    assert canvas.size == canvas_of(laid)
    assert content(canvas, laid).tobytes() == fitted.tobytes()
    assert scaled(content(canvas, laid), (width, height)).size == (width, height)


def test_padding_reflects_the_picture_as_often_as_needed() -> None:
    laid = place(3, 1, working_pixels=None, multiple=8)
    row = Image.fromarray(np.array([[[10] * 3, [20] * 3, [30] * 3]], dtype=np.uint8))
    canvas = np.asarray(padded(row, laid))
    assert laid.left == 2
    assert canvas[0, :, 0].tolist() == [30, 20, 10, 20, 30, 20, 10, 20]
    assert (canvas == canvas[0]).all()
