from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from pipeline.composite.growth import REACH, grown
from pipeline.picture.transparency import opaque, scaled_with_alpha, share_seen

Array = npt.NDArray[np.uint8]
HIDDEN = ("black", "white", "red")
SUBJECT = (150, 90, 60)


def outline(width: int, height: int) -> Image.Image:
    """The alpha of a disc in the middle, with a smooth edge."""
    large = Image.new("L", (4 * width, 4 * height))
    radius = 1.4 * height
    middle = 2 * width, 2 * height
    ImageDraw.Draw(large).circle(middle, radius, fill=255)
    return large.resize((width, height), Image.Resampling.BOX)


def cut_out(
    width: int, height: int, hidden: str, subject: tuple[int, int, int] = SUBJECT
) -> tuple[Image.Image, Image.Image]:
    """A plain disc, and its alpha; another colour where alpha is 0."""
    alpha = outline(width, height)
    pixels = Image.new("RGB", alpha.size, hidden)
    pixels.paste(subject, mask=alpha.point(lambda level: 255 * (level > 0)))
    return pixels, alpha


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(40, 30), (53, 31), (240, 180)])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_is_visible_is_scaled_as_pillow_scales_it_premultiplied(
    mode: str, size: tuple[int, int], hidden: str
) -> None:
    pixels, alpha = cut_out(120, 90, hidden)
    pixels = pixels.convert(mode)
    whole = pixels.copy()
    whole.putalpha(alpha)
    expected = whole.resize(size, Image.Resampling.LANCZOS)
    made, small = scaled_with_alpha(pixels, alpha, size)
    assert small is not None
    assert made.mode == mode
    assert small.tobytes() == expected.getchannel("A").tobytes()
    seen = np.asarray(small) > 0
    assert (np.asarray(made)[seen] == np.asarray(expected.convert(mode))[seen]).all()


def test_a_part_is_scaled_as_the_whole_is() -> None:
    pixels, alpha = cut_out(120, 90, "black")
    made, small = scaled_with_alpha(pixels, alpha, (30, 30), (15, 0, 105, 90))
    cropped = [it.crop((15, 0, 105, 90)) for it in (pixels, alpha)]
    expected, small_expected = scaled_with_alpha(cropped[0], cropped[1], (30, 30))
    assert small is not None
    assert small_expected is not None
    assert made.tobytes() == expected.tobytes()
    assert small.tobytes() == small_expected.tobytes()


@pytest.mark.parametrize("level", [0, 77, 255])
def test_where_all_is_as_transparent_colours_are_those_without_alpha(level: int) -> None:
    pixels, _ = cut_out(120, 90, "black")
    alpha = Image.new("L", pixels.size, level)
    made, small = scaled_with_alpha(pixels, alpha, (40, 30))
    assert small is not None
    assert small.getextrema() == (level, level)
    assert made.tobytes() == pixels.resize((40, 30), Image.Resampling.LANCZOS).tobytes()
    assert opaque(pixels, alpha, (40, 30)).tobytes() == made.tobytes()
    assert share_seen(alpha, (40, 30)) is None


def test_a_picture_without_transparency_is_scaled_and_no_more() -> None:
    pixels, _ = cut_out(120, 90, "black")
    assert opaque(pixels, None, (120, 90)) is pixels
    expected = pixels.resize((40, 30), Image.Resampling.LANCZOS)
    assert opaque(pixels, None, (40, 30)).tobytes() == expected.tobytes()
    assert scaled_with_alpha(pixels, None, (40, 30))[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [(120, 90), (40, 30), (53, 31), (240, 180)])
def test_what_a_model_sees_depends_on_no_hidden_colour(size: tuple[int, int]) -> None:
    seen = {opaque(*cut_out(120, 90, hidden), size).tobytes() for hidden in HIDDEN}
    assert len(seen) == 1


@pytest.mark.parametrize("size", [(120, 90), (53, 31), (40, 30)])
@pytest.mark.parametrize(
    ("subject", "ground"), [((150, 90, 60), 255), ((240, 240, 230), 128), ((255, 255, 255), 128)]
)
def test_the_subject_s_own_colour_goes_on_beside_it_before_a_ground_unlike_it(
    size: tuple[int, int], subject: tuple[int, int, int], ground: int
) -> None:
    pixels, alpha = cut_out(120, 90, "black", subject)
    shown = np.asarray(opaque(pixels, alpha, size)).astype(int)
    is_subject = np.abs(shown - subject).max(axis=2) <= 2
    is_ground = (shown == ground).all(axis=2)
    assert (is_subject | is_ground).all()
    seen = share_seen(alpha, size)
    assert seen is not None
    # Along the row through the middle the ground begins so far beside what is seen, to a pixel.
    middle = size[1] // 2
    first = int(np.flatnonzero(seen[middle])[0])
    assert int(np.flatnonzero(is_subject[middle])[0]) in {first - REACH, first - REACH + 1}
    assert is_ground[0, 0]


def test_a_picture_that_is_enlarged_is_shown_so_before_it_is() -> None:
    pixels, alpha = cut_out(120, 90, "black")
    shown = opaque(pixels, alpha, (240, 180))
    at_first = opaque(pixels, alpha, (120, 90))
    assert shown.tobytes() == at_first.resize((240, 180), Image.Resampling.LANCZOS).tobytes()


def test_grey_pictures_are_shown_in_grey() -> None:
    pixels, alpha = cut_out(120, 90, "black")
    shown = opaque(pixels.convert("L"), alpha, (40, 30))
    assert shown.mode == "L"
    level = int(np.asarray(pixels.convert("L"))[45, 60])
    assert set(np.unique(np.asarray(shown))) <= {level - 1, level, level + 1, 255}


def test_what_is_hardly_visible_is_hidden() -> None:
    pixels = Image.new("RGB", (40, 30), "red")
    pixels.paste("blue", (10, 10, 20, 20))
    alpha = Image.new("L", (40, 30), 2)
    alpha.paste(255, (10, 10, 20, 20))
    shown = np.asarray(opaque(pixels, alpha, (40, 30)))
    assert not (shown == (255, 0, 0)).all(axis=2).any()


def test_thin_things_keep_their_colour_beside_nothing_better_seen() -> None:
    """A line that no pixel of the small picture shows fully, a full one far away."""
    pixels, alpha = Image.new("RGB", (160, 160)), Image.new("L", (160, 160))
    pixels.paste((200, 40, 40), (41, 0, 42, 160))
    alpha.paste(255, (41, 0, 42, 160))
    pixels.paste((40, 40, 200), (120, 0, 160, 160))
    alpha.paste(255, (120, 0, 160, 160))
    shown = np.asarray(opaque(pixels, alpha, (40, 40))).astype(int)
    assert np.abs(shown[:, 10] - (200, 40, 40)).max() <= 4


@pytest.mark.parametrize("channels", [(), (3,)])
def test_growing_in_strips_is_growing_at_once(channels: tuple[int, ...]) -> None:
    chance = np.random.default_rng(1)
    levels = chance.integers(0, 256, (90, 64, *channels)).astype(np.uint8)
    seen = np.asarray(outline(64, 90)).copy()
    seen[:30] = 0
    seen[chance.random(seen.shape) < 0.01] = 120
    at_once = grown(levels, seen)
    assert (grown(levels, seen, strip_pixels=1) == at_once).all()
    assert (at_once[seen == 255] == levels[seen == 255]).all()
    assert (at_once != levels).any()
