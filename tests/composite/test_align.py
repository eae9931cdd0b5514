from __future__ import annotations

import numpy as np
import pytest
from rig.drift import Drift, bad, canvas, drifted, mild
from rig.edits import edit
from rig.studio import KINDS, picture

from pipeline.composite.align import Aligned, Matrix, Unaligned, align

WIDTH, HEIGHT = 480, 320
CORNERS = np.array([(0, 0), (WIDTH, 0), (0, HEIGHT), (WIDTH, HEIGHT)], float)
TEXTURED = [kind for kind in KINDS if kind not in {"smooth", "high key"}]


def off(found: Matrix, true: Matrix) -> float:
    """Pixels between where two matrices have the corners, at most."""
    apart = CORNERS @ (found - true)[:, :2].T + (found - true)[:, 2]
    return float(np.hypot(*apart.T).max())


@pytest.mark.parametrize("drift", [mild(1), bad(2), bad(3)])
@pytest.mark.parametrize("kind", TEXTURED)
def test_a_drift_is_found_to_a_part_of_a_pixel(kind: str, drift: Drift) -> None:
    before = canvas(picture(kind, WIDTH, HEIGHT, 1), WIDTH, HEIGHT)
    found = align(before, drifted(before, drift, 5))
    assert isinstance(found, Aligned)
    assert off(found.matrix, drift.matrix(WIDTH, HEIGHT)) < 0.4


@pytest.mark.parametrize("kind", ["textured", "text", "pattern", "shapes"])
def test_a_new_background_leaves_enough_to_align_by(kind: str) -> None:
    original = picture(kind, 960, 640, 1)
    after = canvas(edit("background", original, 2).pixels, WIDTH, HEIGHT)
    found = align(canvas(original, WIDTH, HEIGHT), drifted(after, bad(2), 5))
    assert isinstance(found, Aligned)
    assert off(found.matrix, bad(2).matrix(WIDTH, HEIGHT)) < 0.7


def test_without_texture_nothing_is_guessed() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    found = align(flat, drifted(flat, mild(1), 5))
    assert isinstance(found, Unaligned)
    assert (found.matrix == np.eye(2, 3)).all()


def test_another_picture_is_not_aligned() -> None:
    before = canvas(picture("textured", WIDTH, HEIGHT, 1), WIDTH, HEIGHT)
    other = canvas(picture("textured", WIDTH, HEIGHT, 2), WIDTH, HEIGHT)
    assert isinstance(align(before, other), Unaligned)


def test_what_is_no_drift_is_not_followed() -> None:
    before = canvas(picture("textured", WIDTH, HEIGHT, 1), WIDTH, HEIGHT)
    assert isinstance(align(before, drifted(before, Drift(zoom=1.09), 5)), Unaligned)


def test_without_a_drift_the_edit_lies_exactly_as_its_canvas() -> None:
    before = canvas(picture("textured", WIDTH, HEIGHT, 1), WIDTH, HEIGHT)
    found = align(before, drifted(before, Drift(noise=1.5, blur=0.6), 5))
    assert isinstance(found, Aligned)
    assert (found.matrix == np.eye(2, 3)).all()
    assert found.shift == (0, 0)
