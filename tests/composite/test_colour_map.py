from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from rig.drift import Drift, canvas, drifted, mild
from rig.edits import edit
from rig.studio import Pixels, over, picture

from config.values import Region
from pipeline.composite.arrays import blurred
from pipeline.composite.blend import Bound, ColourMap
from pipeline.composite.classify import Whole
from pipeline.composite.colour_map import UNMOVED, Laying, fit, place
from pipeline.composite.compare import Comparison, compare
from pipeline.composite.compose import Compared, Laid, compose

Canvas = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

MODEL = (384, 256)
FULL = (960, 640)
SOFT = Drift(blur=0.5, noise=1.5)


@dataclass(frozen=True, slots=True)
class Job:
    """An original, an edit of all of it at the model's size, and the same without a loss."""

    original: Canvas
    after: Canvas
    ideal: Canvas

    def compared(self) -> Comparison:
        """Compare the edit, which every test here has of the whole picture."""
        found = compare(canvas(self.original.astype(np.float32), *MODEL), self.after)
        assert isinstance(found.verdict, Whole)
        return found

    def composed(self, base: Levels | None = None, bound: Bound | None = None) -> Laid:
        """Lay the edit over the original, or over another version of it."""
        base = self.original if base is None else base
        after = cv2.cvtColor(self.after, cv2.COLOR_RGB2GRAY) if base.ndim == 2 else self.after
        layer = Compared(
            colours=np.asarray(after, np.uint8),
            raw=np.asarray(after, np.uint8),
            comparison=self.compared(),
            takes_all=False,
        )
        return compose(base, Region(0, 0, base.shape[1], base.shape[0]), layer, bound)


def levels(pixels: npt.NDArray[np.floating]) -> Canvas:
    made: Canvas = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return made


def drawn(name: str, drift: Drift = SOFT, kind: str = "textured") -> Job:
    original = levels(picture(kind, *FULL, 1))
    ideal = edit(name, original.astype(np.float32), 4).pixels
    return Job(original, drifted(canvas(ideal, *MODEL), drift, 1), levels(ideal))


def with_a_new_thing() -> tuple[Job, npt.NDArray[np.bool_]]:
    """Another light, and a smooth disc that was not there."""
    job = drawn("relight")
    cover = cv2.circle(np.zeros(FULL[::-1], np.float32), (480, 320), 150, 1, -1, cv2.LINE_AA)
    shade = np.linspace(60, 220, FULL[0], dtype=np.float32)[None, :, None] * np.ones(3, np.float32)
    ideal = over(job.ideal.astype(np.float32), np.broadcast_to(shade, job.ideal.shape), cover)
    after = drifted(canvas(ideal, *MODEL), SOFT, 1)
    return Job(job.original, after, levels(ideal)), cover > 0.5


def decibels(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> float:
    error = first.astype(np.float64) - second.astype(np.float64)
    return float(10 * np.log10(255**2 / (error**2).mean()))


def enlarged(after: Canvas) -> Pixels:
    large = cv2.resize(after.astype(np.float32), FULL, interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 255).astype(np.float32)


def fine(colours: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    grey = colours.astype(np.float32).mean(axis=2)
    return np.asarray(grey - blurred(grey, 1.5), np.float32)


@pytest.mark.parametrize("name", ["grey", "darker", "warmer", "relight"])
@pytest.mark.parametrize("kind", ["textured", "face", "shapes"])
def test_an_edit_of_tone_or_light_keeps_the_original_s_detail(kind: str, name: str) -> None:
    job = drawn(name, mild(1), kind)
    job = Job(
        job.original, drifted(canvas(job.ideal.astype(np.float32), *MODEL), SOFT, 1), job.ideal
    )
    laid = job.composed()
    plain = decibels(enlarged(job.after), job.ideal)
    assert decibels(laid.pixels, job.ideal) > plain + 10
    assert laid.fidelity.mapped_share == pytest.approx(1, abs=0.05)
    assert "recoloured at full size" in laid.fidelity.reason


def test_all_of_16_bits_are_recoloured() -> None:
    job = drawn("warmer")
    chance = np.random.default_rng(1)
    lower = chance.integers(0, 257, job.original.shape).astype(np.uint16)
    middle = job.original.astype(np.uint16) * np.uint16(256) + np.uint16(128)
    deep = middle - np.uint16(128) + np.minimum(lower, 255)
    laid, shallow = job.composed(deep), job.composed(middle)
    finer = laid.pixels.astype(np.float64) - shallow.pixels
    given = deep.astype(np.float64) - middle
    assert laid.pixels.dtype == np.uint16
    assert np.corrcoef(finer.ravel(), given.ravel())[0, 1] > 0.95


def test_a_grey_original_stays_grey() -> None:
    job = drawn("darker")
    grey, ideal = (cv2.cvtColor(it, cv2.COLOR_RGB2GRAY) for it in (job.original, job.ideal))
    laid = job.composed(np.asarray(grey, np.uint8))
    assert laid.pixels.shape == FULL[::-1]
    assert decibels(laid.pixels, ideal) > 38


def test_what_is_new_is_the_edit_s_alone() -> None:
    job, new = with_a_new_thing()
    laid = job.composed()
    inside = cv2.erode(new.astype(np.uint8), np.ones((41, 41), np.uint8)).astype(bool)
    assert decibels(laid.pixels[inside], job.ideal[inside]) > 35  # the model's own noise
    old = fine(job.original)[inside]
    assert abs((fine(laid.pixels)[inside] * old).sum() / (old**2).sum()) < 0.02
    outside = ~cv2.dilate(new.astype(np.uint8), np.ones((61, 61), np.uint8)).astype(bool)
    assert decibels(laid.pixels[outside], job.ideal[outside]) > 38
    assert laid.fidelity.mapped_share is not None
    assert 1 - new.mean() - 0.1 < laid.fidelity.mapped_share < 1 - new.mean()


def test_around_what_is_new_no_seam_is_seen() -> None:
    job, _ = with_a_new_thing()
    off = blurred((job.composed().pixels.astype(np.float32) - job.ideal).mean(axis=2), 6)
    assert np.abs(off).max() < 8


def test_another_style_is_laid_as_it_is() -> None:
    job = drawn("style")
    laid = job.composed()
    assert laid.fidelity.mapped_share == 0
    assert np.abs(laid.pixels.astype(np.float32) - enlarged(job.after)).max() <= 1


@pytest.mark.parametrize("zoom", [0.98, 1.03])
def test_with_a_map_the_original_s_geometry_is_kept_to_the_borders(zoom: float) -> None:
    job = drawn("warmer", Drift(zoom=zoom, blur=0.5, noise=1.5))
    laid = job.composed()
    error = np.abs(laid.pixels.astype(np.float32) - job.ideal)
    border = np.ones(FULL[::-1], bool)
    border[16:-16, 16:-16] = False
    assert error[border].mean() < 4
    assert error.mean() < 3


def test_an_edit_without_a_map_is_never_moved_off_its_borders() -> None:
    job = drawn("style", Drift(zoom=1.03, blur=0.5, noise=1.5), "shapes")
    found = job.compared()
    assert not np.array_equal(found.alignment.matrix, UNMOVED)
    laid = job.composed()
    assert np.abs(laid.pixels.astype(np.float32) - enlarged(job.after)).max() <= 1


ZOOMED_IN = np.array([[0.97, 0, 5.8], [0, 0.97, 3.8]])  # the canvas lies inside the edit
ZOOMED_OUT = np.array([[1.03, 0, -5.8], [0, 1.03, -3.8]])  # and here the edit inside the canvas


def a_map(drawn: npt.NDArray[np.float32]) -> ColourMap:
    return ColourMap(np.zeros((3, 4, 4, 6), np.float32), drawn)


def test_an_edit_that_reaches_all_borders_lies_where_it_was_moved() -> None:
    found = a_map(np.zeros((128, 192), np.float32))
    assert place(Laying(ZOOMED_IN, None, found), (256, 384)) == Laying(ZOOMED_IN, None, found)
    assert place(Laying(ZOOMED_IN, None, None), (256, 384)) == Laying(ZOOMED_IN, None, None)


def test_half_a_pixel_is_no_border() -> None:
    matrix = np.array([[1, 0, 0.4], [0, 1, -0.4]])
    assert place(Laying(matrix, None, None), (256, 384)).matrix is matrix


def test_the_map_covers_borders_that_a_moved_edit_does_not_reach() -> None:
    drawn_anew = np.zeros((128, 192), np.float32)
    drawn_anew[50:70, 80:110] = 1
    drawn_anew[:8] = 0.4
    laying = place(Laying(ZOOMED_OUT, None, a_map(drawn_anew)), (256, 384))
    assert laying.matrix is ZOOMED_OUT
    assert laying.map is not None
    assert laying.map.drawn[0].max() == 0
    assert (laying.map.drawn[50:70, 80:110] == 1).all()


def test_an_edit_whose_borders_are_new_stays_where_the_model_drew_it() -> None:
    found = a_map(np.ones((128, 192), np.float32))
    assert place(Laying(ZOOMED_OUT, None, found), (256, 384)) == Laying(UNMOVED, None, None)
    assert place(Laying(ZOOMED_OUT, None, None), (256, 384)) == Laying(UNMOVED, None, None)


@pytest.mark.parametrize(("gain", "is_map"), [(2, True), (6, False)])
def test_more_contrast_than_8_bits_bear_is_the_edit_s(gain: int, is_map: bool) -> None:
    grain = blurred(np.random.default_rng(1).normal(0, 27, (256, 384)).astype(np.float32), 2)
    original = levels(100 + np.repeat(grain[..., None], 3, axis=2))
    after = (original.astype(np.float32) - 100) * gain + 128
    assert (fit(original, after, UNMOVED) is not None) == is_map


def test_light_that_varies_slowly_is_no_gain() -> None:
    """Offsets follow a light that has nothing to do with the colours below it."""
    job = drawn("warmer")
    light = np.linspace(-60, 60, FULL[0], dtype=np.float32)[None, :, None]
    ideal = levels(job.original.astype(np.float32) * 0.7 + light + 40)
    after = drifted(canvas(ideal.astype(np.float32), *MODEL), SOFT, 1)
    found = fit(job.original, after.astype(np.float32), UNMOVED)
    assert found is not None
    together = found.mixing[:, :3].sum(axis=1)
    assert np.median(together) == pytest.approx(0.7, abs=0.03)


def test_a_bound_limits_the_map() -> None:
    job = drawn("warmer")
    bound = np.zeros(FULL[::-1], np.uint8)
    bound[:, :480] = 255
    laid = job.composed(bound=bound)
    assert (laid.pixels[:, 480:] == job.original[:, 480:]).all()
    assert decibels(laid.pixels[:, :480], job.ideal[:, :480]) > 38
    assert laid.fidelity.mapped_share == pytest.approx(0.5, abs=0.03)


def test_a_part_of_a_larger_original_is_recoloured_in_place() -> None:
    job = drawn("warmer")
    large = np.full((FULL[1] + 50, FULL[0] + 30, 3), 7, np.uint8)
    large[20 : 20 + FULL[1], 10 : 10 + FULL[0]] = job.original
    layer = Compared(colours=job.after, raw=job.after, comparison=job.compared(), takes_all=False)
    laid = compose(large, Region(10, 20, *FULL), layer, None)
    assert (laid.pixels[:20] == 7).all()
    inside = laid.pixels[20 : 20 + FULL[1], 10 : 10 + FULL[0]]
    assert (inside == job.composed().pixels).all()


def test_an_original_smaller_than_the_canvas_is_recoloured() -> None:
    job = drawn("warmer")
    small = canvas(job.original.astype(np.float32), 200, 133)
    laid = job.composed(small)
    ideal = canvas(job.ideal.astype(np.float32), 200, 133)
    assert decibels(laid.pixels, ideal) > 33


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 40), (50, 2), (17, 9)])
def test_the_smallest_pictures_have_a_map(width: int, height: int) -> None:
    original = levels(picture("textured", 64, 48, 1))
    after = cv2.resize(original, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    found = fit(original, after.reshape(height, width, 3) * np.float32(0.8), UNMOVED)
    assert found is None or np.isfinite(found.mixing).all()
