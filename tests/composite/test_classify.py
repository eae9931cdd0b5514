"""What an edit is said to be is true of it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.composite.change_mask import feathered
from pipeline.composite.classify import Structure, Whole, judge

SIZE = (240, 320)


@pytest.mark.parametrize(
    ("same", "reason"),
    [
        (0.5, "contrast changed all over the picture, and most of it was drawn anew"),
        (0.9, "contrast changed all over the picture, as with another light"),
    ],
)
def test_another_light_keeps_the_shapes_of_what_it_changes(same: float, reason: str) -> None:
    """The left half differs clearly, the right one by its contrast alone."""
    changed = np.zeros(SIZE, bool)
    changed[:, :160] = True
    drawn = np.random.default_rng(1).random(SIZE) < same
    visible = np.ones(SIZE, bool)
    structure = Structure(visible, drawn | ~changed, np.full(SIZE, 1.4, np.float32))
    verdict = judge(feathered(changed), structure, np.ones(SIZE, np.float32))
    assert verdict == Whole(reason)


def test_a_faint_light_on_all_of_it_is_another_light() -> None:
    visible = np.ones(SIZE, bool)
    structure = Structure(visible, visible, np.full(SIZE, 1.4, np.float32))
    nothing = feathered(np.zeros(SIZE, bool))
    verdict = judge(nothing, structure, np.ones(SIZE, np.float32))
    assert verdict == Whole("contrast changed all over the picture, as with another light")
