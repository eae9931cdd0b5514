import numpy as np
import pytest

from pipeline.composite.flow import LONGEST, find_movement


@pytest.mark.parametrize(("width", "height"), [(1, 1), (11, 11), (2, 12), (7, 2000), (3000, 12)])
def test_pictures_of_any_thinness_are_searched(width: int, height: int) -> None:
    before = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    everywhere = np.ones((height, width), bool)
    found = find_movement(before, before.astype(np.float32), everywhere)
    assert found.there.shape == (height, width, 2)
    assert np.abs(found.there).max() < 0.1


def test_in_a_canvas_too_long_to_remap_nothing_moved() -> None:
    before = np.random.default_rng(0).integers(0, 255, (8, LONGEST + 1, 3), np.uint8)
    moved = np.roll(before, 2, axis=1).astype(np.float32)
    found = find_movement(before, moved, np.ones(before.shape[:2], bool))
    assert not found.is_sure.any()
    assert not found.smoothed().any()


def test_what_moved_is_found_where_it_is_in_a_thin_picture() -> None:
    before = np.random.default_rng(0).integers(0, 255, (10, 400, 3), np.uint8)
    moved = np.roll(before, 2, axis=1)
    found = find_movement(before, moved.astype(np.float32), np.ones((10, 400), bool))
    assert np.median(found.there[..., 0]) == pytest.approx(2, abs=0.2)
