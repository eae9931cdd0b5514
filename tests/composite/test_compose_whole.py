"""An edit of the whole picture reaches its borders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from rig.drift import Drift, canvas, drifted
from rig.edits import edit
from rig.studio import picture

from config.values import Region
from pipeline.composite.classify import Whole
from pipeline.composite.compare import compare
from pipeline.composite.compose import Compared, compose

WIDTH, HEIGHT = 768, 512
RIM = 8  # pixels


@pytest.mark.parametrize("name", ["relight", "grey", "darker"])
@pytest.mark.parametrize("kind", ["textured", "face"])
@pytest.mark.parametrize(
    "drift",
    [Drift(zoom=1.04, noise=1), Drift(zoom=1.01, shift=(5, -4), noise=1)],
    ids=["zoomed", "shifted"],
)
def test_the_borders_of_a_moved_whole_edit_are_not_smeared(
    kind: str, name: str, drift: Drift
) -> None:
    original = picture(kind, WIDTH, HEIGHT, 1)
    before = canvas(original, WIDTH, HEIGHT)
    after = drifted(canvas(edit(name, original, 4).pixels, WIDTH, HEIGHT), drift, 1)
    found = compare(before, after)
    assert isinstance(found.verdict, Whole)
    layer = Compared(colours=after, raw=after, comparison=found, takes_all=False)
    result = compose(before, Region(0, 0, WIDTH, HEIGHT), layer, None).pixels
    inner = result[RIM:-RIM, RIM:-RIM]
    for turns in range(4):
        rim, inside = np.rot90(result, turns)[:RIM], np.rot90(inner, turns)[: 4 * RIM]
        assert outward(rim) > 0.5 * outward(inside)


def outward(pixels: npt.NDArray[np.integer]) -> float:
    """How much each row differs from the next; 0 where one is repeated."""
    rows: npt.NDArray[np.float32] = pixels.astype(np.float32)
    return float(np.abs(np.diff(rows, axis=0)).mean())
