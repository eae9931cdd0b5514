from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.composite.blend import Edit, Shown, lay, softened
from pipeline.composite.metrics import measure_likeness, of
from pipeline.picture.fidelity import IDENTICAL_DB

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def flat(weight: npt.NDArray[np.float32], level: float) -> Edit:
    """An edit of one colour."""
    colours = np.full((*weight.shape, 3), level, np.float32)
    return Edit(
        colours=colours, matrix=np.eye(2, 3), flow=None, shown=Shown(weight, None), map=None
    )


def grain(height: int, width: int, dtype: type[np.uint8] | type[np.uint16]) -> Levels:
    chance = np.random.default_rng(1)
    made = chance.integers(0, np.iinfo(dtype).max, (height, width, 3))
    return made.astype(np.uint8) if dtype is np.uint8 else made.astype(np.uint16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_outside_the_edit_no_number_is_touched(dtype: type[np.uint8] | type[np.uint16]) -> None:
    weight = np.zeros((40, 60), np.float32)
    weight[10:20, 20:40] = 1
    base = grain(400, 600, dtype)
    result = base.copy()
    lay(result, flat(weight, 200))
    changed = (result != base).any(axis=2)
    assert not changed[:89].any()
    assert not changed[211:].any()
    assert not changed[:, :189].any()
    assert not changed[:, 411:].any()
    assert (result[110:190, 210:390] == (200 if dtype is np.uint8 else 200 * 257)).all()


def test_strips_leave_no_seam() -> None:
    weight = np.random.default_rng(2).random((64, 48), dtype=np.float32)
    colours = np.random.default_rng(3).random((64, 48, 3), dtype=np.float32) * 255
    matrix = np.array([[1.01, 0.002, -0.4], [-0.002, 1.01, 0.7]])
    edit = Edit(colours=colours, matrix=matrix, flow=None, shown=Shown(weight, None), map=None)
    whole, strips = grain(333, 250, np.uint8), grain(333, 250, np.uint8)
    lay(whole, edit)
    lay(strips, edit, strip_pixels=17 * 250)
    assert np.abs(whole.astype(int) - strips.astype(int)).max() <= 1


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 90), st.integers(1, 90))
def test_every_size_is_laid_over_to_its_borders(
    width: int, height: int, across: int, down: int
) -> None:
    base = np.zeros((height, width, 3), np.uint8)
    lay(base, flat(np.ones((down, across), np.float32), 77))
    assert (base == 77).all()


def test_a_bound_limits_what_shows() -> None:
    base = np.zeros((80, 80, 3), np.uint8)
    bound = np.zeros((80, 80), np.uint8)
    bound[20:60, 20:60] = 255
    edit = flat(np.ones((20, 20), np.float32), 100)
    shown = Shown(edit.shown.weight, softened(bound, 2))
    lay(
        base,
        Edit(colours=edit.colours, matrix=edit.matrix, flow=edit.flow, shown=shown, map=None),
    )
    assert (base[bound == 0] == 0).all()
    assert (base[24:56, 24:56] == 100).all()
    assert 0 < base[20, 40, 0] < 100


def test_a_bound_is_not_softened_along_the_picture_s_own_border() -> None:
    bound = np.zeros((30, 30), np.uint8)
    bound[:, :15] = 255
    assert (softened(bound, 3)[:, :9] == 255).all()


def test_likeness_looks_outside_the_edit_alone() -> None:
    weight = np.zeros((10, 10), np.float32)
    weight[:, :5] = 1
    base = grain(100, 100, np.uint8)
    other = base.copy()
    other[:, :40] = 0
    seen = measure_likeness(base, of(other), Shown(weight, None))
    assert seen is not None
    assert seen.psnr_db == IDENTICAL_DB
    assert seen.ssim == pytest.approx(1, abs=0.01)
    assert measure_likeness(base, of(other), Shown(np.ones((10, 10), np.float32), None)) is None


def test_psnr_is_what_the_formula_says() -> None:
    base = np.full((50, 50, 3), 100, np.uint8)
    seen = measure_likeness(
        base, of(base + np.uint8(5)), Shown(np.zeros((5, 5), np.float32), None)
    )
    assert seen is not None
    assert seen.psnr_db == pytest.approx(10 * np.log10(255**2 / 25))
