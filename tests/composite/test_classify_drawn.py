"""Each reason is given to a drawn edit of which it is true."""

from __future__ import annotations

import numpy as np
import pytest
from rig.drift import Drift, canvas, drifted
from rig.edits import edit
from rig.studio import Pixels, picture

from pipeline.composite.classify import Local, Unchanged, Verdict, Whole
from pipeline.composite.compare import compare

WIDTH, HEIGHT = 384, 256
SEPIA = np.array([1.15, 0.95, 0.6], np.float32)


def verdict(before: Pixels, after: Pixels) -> Verdict:
    """What the comparison says, of an edit with a little noise."""
    edited = canvas(np.clip(after, 0, 255).astype(np.float32), WIDTH, HEIGHT)
    return compare(canvas(before, WIDTH, HEIGHT), drifted(edited, Drift(noise=1), 1)).verdict


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("night", "style", "shapes changed all over the picture, as with another style"),
        ("shapes", "style", "shapes changed all over the picture, as with another style"),
        ("night", "relight", "contrast changed all over the picture, as with another light"),
        ("textured", "grey", "contrast changed all over the picture, as with another light"),
        ("face", "darker", "nearly all of the picture changed"),
        (
            "smooth",
            "style",
            "most of the picture changed, but not its shapes, as with another light",
        ),
        ("face", "style", "most of the picture changed, and nothing shows that any of it did not"),
    ],
)
def test_an_edit_of_the_whole_picture(kind: str, name: str, said: str) -> None:
    original = picture(kind, WIDTH, HEIGHT, 1)
    assert verdict(original, edit(name, original, 4).pixels) == Whole(said)


def test_one_half_drawn_anew_and_the_other_with_another_contrast() -> None:
    original = picture("textured", WIDTH, HEIGHT, 1)
    level = original.mean()
    faint = (original - level) * 0.3 + level
    edited = (faint - level) * 1.4 + level
    edited[:, : WIDTH * 9 // 20] = picture("pattern", WIDTH, HEIGHT, 7)[:, : WIDTH * 9 // 20]
    said = "contrast changed all over the picture, and most of it was drawn anew"
    assert verdict(faint, edited) == Whole(said)


def test_another_tone_of_which_black_shows_nothing() -> None:
    original = picture("shapes", WIDTH, HEIGHT, 1).copy()
    original[:, : WIDTH * 2 // 5] = 0
    said = "tone changed all over the picture, only flat parts of it look as before"
    assert verdict(original, original * SEPIA) == Whole(said)


@pytest.mark.parametrize(
    ("name", "said"), [("recolour", ""), ("background", ", as with another background")]
)
def test_an_edit_of_a_part(name: str, said: str) -> None:
    original = picture("night", WIDTH, HEIGHT, 1)
    part = verdict(original, edit(name, original, 4).pixels)
    assert isinstance(part, Local)
    assert part.reason == said


def test_no_edit() -> None:
    original = picture("night", WIDTH, HEIGHT, 1)
    assert verdict(original, original) == Unchanged("nothing changed by more than a model loses")
