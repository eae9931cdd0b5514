from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from rig.drift import Drift, bad, canvas, drifted, mild
from rig.edits import SCOPE, edit
from rig.studio import KINDS, over, picture

from pipeline.composite.classify import Local, Unchanged, Whole
from pipeline.composite.compare import Comparison, compare, sharpness, weight

WIDTH, HEIGHT = 480, 320
DRIFTS = {"mild": mild(1), "bad": bad(1)}


def compared(kind: str, name: str, drift: Drift) -> tuple[Comparison, npt.NDArray[np.bool_]]:
    """An edit of a drawn picture, compared, and its true extent on the canvas."""
    original = picture(kind, WIDTH, HEIGHT, 1)
    made = edit(name, original, 4)
    before, after = (canvas(pixels, WIDTH, HEIGHT) for pixels in (original, made.pixels))
    return compare(before, drifted(after, drift, 1)), made.extent


@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "smooth"])
def test_a_model_s_losses_are_no_change(kind: str, drift: str) -> None:
    found, _ = compared(kind, "nothing", DRIFTS[drift])
    assert weight(found.verdict, (HEIGHT, WIDTH)).mean() < 0.002


@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("name", SCOPE.local)
@pytest.mark.parametrize("kind", ["textured", "text", "face", "night", "shapes"])
def test_a_local_edit_is_found_where_it_is(kind: str, name: str, drift: str) -> None:
    found, extent = compared(kind, name, DRIFTS[drift])
    assert isinstance(found.verdict, Local)
    mask = weight(found.verdict, (HEIGHT, WIDTH)) > 0.5
    assert (mask & extent).sum() / (mask | extent).sum() > 0.85


def taken_away(darker: float, shade: float) -> npt.NDArray[np.float32]:
    """What is left, in levels, where a disc with a soft shadow is removed from a plain ground."""
    empty = np.full((HEIGHT, WIDTH, 3), (240, 140, 180), np.float32)
    disc = cv2.circle(np.zeros((HEIGHT, WIDTH), np.float32), (240, 160), 60, 1, -1, cv2.LINE_AA)
    fallen = np.roll(cv2.GaussianBlur(disc, (0, 0), 1.5), (3, 3), (0, 1))
    full = np.rint(over(over(empty, empty * 0, shade * fallen), empty - darker, disc))
    drift = Drift(blur=0.5, noise=0.5)
    found = compare(full.astype(np.uint8), drifted(empty.astype(np.uint8), drift, 1))
    assert isinstance(found.verdict, Local)
    stays = 1 - weight(found.verdict, (HEIGHT, WIDTH))
    return np.asarray(np.abs(full - empty).max(axis=2) * stays, np.float32)


def test_on_a_plain_ground_nothing_is_left_of_what_is_taken_away() -> None:
    assert taken_away(darker=100, shade=0).max() < 5


def test_what_is_taken_away_takes_its_soft_shadow_along() -> None:
    assert taken_away(darker=70, shade=0.15).max() < 20


@pytest.mark.parametrize("kind", ["textured", "text", "pattern", "shapes"])
def test_a_new_background_keeps_what_stands_before_it(kind: str) -> None:
    found, extent = compared(kind, "background", DRIFTS["mild"])
    assert isinstance(found.verdict, Local)
    mask = weight(found.verdict, (HEIGHT, WIDTH)) > 0.5
    assert (mask & extent).sum() / (mask | extent).sum() > 0.95
    assert "background" in found.verdict.reason


@pytest.mark.parametrize("name", SCOPE.whole)
@pytest.mark.parametrize("kind", ["textured", "face", "shapes"])
def test_an_edit_of_the_whole_picture_is_recognised(kind: str, name: str) -> None:
    found, _ = compared(kind, name, DRIFTS["mild"])
    assert isinstance(found.verdict, Whole)
    assert found.drift.is_none


def test_a_drifted_tone_is_found_and_undone() -> None:
    gains = (1.05, 0.97, 1.0)
    found, _ = compared("textured", "paste", Drift(gains=gains, noise=1, blur=0.5))
    undone = np.array(found.drift.tone.gains) * np.array(gains)
    assert undone == pytest.approx(np.ones(3), abs=0.02)


def test_the_losses_of_an_upscaled_small_edit_are_no_change() -> None:
    original = picture("shapes", 1600, 1200, 2)
    before = canvas(original, 288, 216)
    found = compare(before, drifted(before, Drift(noise=2.0, blur=0.5), 3))
    assert isinstance(found.verdict, Unchanged)


def test_sharpness_says_what_a_blur_took() -> None:
    blurred, _ = compared("text", "paste", Drift(blur=1.0))
    sharp, _ = compared("text", "paste", Drift())
    assert sharpness(blurred) < 0.8  # type: ignore[operator]  # text is steep
    assert sharpness(sharp) == pytest.approx(1, abs=0.03)
