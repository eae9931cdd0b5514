"""A new background goes up to the subject's own outline, without the old one's fringe."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from rig.drift import Drift, canvas, drifted, mild
from rig.studio import Pixels
from rig.subjects import Subject, ground, subject

from config.values import Region
from pipeline.composite.arrays import Plane
from pipeline.composite.classify import Local
from pipeline.composite.compare import Comparison, compare
from pipeline.composite.compose import Compared, compose
from pipeline.composite.matting import carried_on

Levels = npt.NDArray[np.uint8]
WIDTH, HEIGHT, MODEL = 960, 720, (320, 240)


def _levels(colours: Pixels) -> Levels:
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


@cache
def _exchanged(
    kind: str, old: str = "dark", drift: Drift | None = None
) -> tuple[Subject, Levels, Pixels, Comparison, Levels]:
    """A subject, its original, the ideal, and what compares with the drifted edit."""
    who = subject(kind, WIDTH, HEIGHT, 1)
    original = _levels(who.before(ground(old, WIDTH, HEIGHT, 1)))
    ideal = who.before(ground("gradient", WIDTH, HEIGHT, 101))
    after = drifted(canvas(ideal, *MODEL), drift or mild(1), 1)
    found = compare(canvas(original.astype(np.float32), *MODEL), after)
    return who, original, ideal, found, after


def _laid(original: npt.NDArray[np.unsignedinteger], after: Levels, found: Comparison) -> Plane:
    layer = Compared(colours=found.in_tone(after), raw=after, comparison=found, takes_all=False)
    whole = Region(0, 0, original.shape[1], original.shape[0])
    return np.asarray(compose(original, whole, layer, None).pixels, np.float32)


def _enlarged(after: Levels) -> Pixels:
    large = cv2.resize(after.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def _grey(colours: Levels | Plane) -> Levels:
    grey = cv2.cvtColor(np.asarray(colours, np.float32), cv2.COLOR_RGB2GRAY)
    return np.asarray(np.rint(grey), np.uint8)


@pytest.mark.parametrize("kind", ["hair", "fur", "handles", "bottle", "mug"])
def test_a_new_background_leaves_the_inner_pixels_of_the_subject_alone(kind: str) -> None:
    who, original, _, found, after = _exchanged(kind)
    result = _laid(original, after, found)

    assert isinstance(found.verdict, Local)
    same = (result == original).all(axis=2)
    assert same[who.inner(6)].mean() > 0.97


@pytest.mark.parametrize("kind", ["hair", "fur", "blurred", "handles"])
def test_the_outline_is_the_subjects_own_before_the_new_background(kind: str) -> None:
    who, original, ideal, found, after = _exchanged(kind)
    band = who.band(4)
    error = np.abs(_laid(original, after, found) - ideal)[band].mean()
    plain = np.abs(_enlarged(after) - ideal)[band].mean()
    assert error < 7
    assert error < plain


def test_the_new_background_shines_through_glass() -> None:
    who, original, ideal, found, after = _exchanged("glass")
    glass = (who.alpha > 0.4) & (who.alpha < 0.6)
    error = np.abs(_laid(original, after, found) - ideal)[glass].mean()
    assert error < 0.2 * np.abs(original - ideal)[glass].mean()


def test_strands_of_hair_are_as_fine_as_they_were() -> None:
    who, original, ideal, found, after = _exchanged("hair")
    strands = who.band(3)
    result = _laid(original, after, found)

    def likeness(picture: Pixels) -> float:
        fine = [it - cv2.GaussianBlur(it, (0, 0), 2.0) for it in (picture, ideal)]
        return float(np.corrcoef(fine[0][strands].ravel(), fine[1][strands].ravel())[0, 1])

    assert likeness(result) > 0.95
    assert likeness(_enlarged(after)) < 0.8


@pytest.mark.parametrize("kind", ["hair", "fur"])
def test_an_original_smaller_than_its_canvas_has_its_own_outline(kind: str) -> None:
    _, original, ideal, found, after = _exchanged(kind)
    size = MODEL[0] - 20, MODEL[1] - 15
    small = canvas(original.astype(np.float32), *size)
    matte = found.matte
    assert matte is not None
    outline = cv2.resize(matte.weight * (np.abs(matte.alpha - 0.5) < 0.45), size) > 0.5
    error = np.abs(_laid(small, after, found) - canvas(ideal, *size))[outline].mean()
    plain = np.abs(canvas(after.astype(np.float32), *size) - canvas(ideal, *size).astype(float))
    assert error < 0.75 * plain[outline].mean()


def test_sixteen_bits_are_laid_as_eight_are() -> None:
    _, original, _, found, after = _exchanged("fur")
    deep = _laid(original.astype(np.uint16) * np.uint16(257), after, found)
    assert np.abs(deep / 257 - _laid(original, after, found)).max() <= 1


def test_a_grey_original_is_laid_in_grey() -> None:
    _, original, _, found, after = _exchanged("fur")
    grey = _grey(after)
    layer = Compared(colours=grey, raw=grey, comparison=found, takes_all=False)
    result = compose(_grey(original), Region(0, 0, WIDTH, HEIGHT), layer, None).pixels
    colour = _grey(_laid(original, after, found))
    assert np.abs(result.astype(np.float32) - colour).mean() < 6


def test_what_was_put_in_front_of_the_subject_is_shown() -> None:
    who = subject("jar", WIDTH, HEIGHT, 1)
    original = _levels(who.before(ground("dark", WIDTH, HEIGHT, 1)))
    ideal = who.before(ground("gradient", WIDTH, HEIGHT, 101))
    cv2.circle(ideal, (440, 380), 60, (250, 250, 20), -1, cv2.LINE_AA)
    after = canvas(ideal, *MODEL)
    found = compare(canvas(original.astype(np.float32), *MODEL), after)
    result = _laid(original, after, found)
    assert np.abs(result - ideal)[340:420, 400:480].mean() < 4


@pytest.mark.parametrize("lift", [0.0, 255.0])
def test_another_light_on_all_of_it_is_no_new_background(lift: float) -> None:
    who = subject("vase", WIDTH, HEIGHT, 2)
    original = who.before(ground("gradient", WIDTH, HEIGHT, 2))
    lit = np.asarray(lift + 0.55 * (original - lift), np.float32)
    after = drifted(canvas(lit, *MODEL), mild(2), 2)
    assert compare(canvas(original, *MODEL), after).matte is None


def test_colours_are_carried_on_to_where_there_are_none() -> None:
    across = np.tile(np.linspace(40, 200, 128, dtype=np.float32), (96, 1))
    weight = np.ones_like(across)
    weight[30:66, 40:80] = 0
    shown = np.where(weight > 0, across, 0).astype(np.float32)
    assert np.abs(carried_on(shown, weight) - across).max() < 16
