"""Whether an edit changed nothing, a part or the whole, judged by the structure that was kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.composite.arrays import (
    Colours,
    Flags,
    Plane,
    blurred,
    covariance,
    luma,
    near,
    variance,
)
from pipeline.composite.change_mask import Extent

LOOK, WINDOW = 2.5, 6.0  # pixels: deviations; at 1 to 2 pixels models draw texture anew
LEAST_CONTRAST = 2.5  # levels; flatter places show nothing that could be compared
SAME = 0.75  # a correlation
NOTHING = 0.00002  # of the picture
NEARLY_ALL, HALF = 0.97, 0.5  # of the picture
EVIDENCE = 0.003  # of the picture: structure that is enough to judge by
KEPT_SAME = 0.7  # of the structure in what seems unchanged
CHANGED_SAME = 0.45  # of the structure in what changed
REACH, BORDER = 3, 3  # deviations of a window; pixels
SEEN, SEEN_KEPT, EDITED_SAME = 0.1, 0.3, 0.6  # of the edited, of the kept part; of its shapes
KEPT_CORE = 0.004  # of the picture
USUAL = 1.3  # the median improbability of what nobody touched is about 1
NEW_CONTRAST = 0.14  # logarithm of a gain; drift and blur stay below


@dataclass(frozen=True, slots=True)
class Structure:
    """Where there is something to see in the canvas, and where the edit shows it too."""

    visible: Flags
    same: Flags  # of the visible
    gain: Plane  # by what the canvas' contrast is multiplied in the edit, where it is the same


def structure(before: Colours, after: Colours) -> Structure:
    """Correlate the brightness of two aligned canvases in small neighbourhoods.

    Inverted brightness is the same structure, with a gain below 0.
    """
    first, second = blurred(luma(before), LOOK), blurred(luma(after), LOOK)
    variance_first, variance_second = variance(first, WINDOW), variance(second, WINDOW)
    shared = covariance(first, second, WINDOW)
    visible = variance_first > LEAST_CONTRAST**2
    floor = np.float32(0.5)
    correlation = np.abs(shared) / np.sqrt((variance_first + floor) * (variance_second + floor))
    return Structure(visible, visible & (correlation > SAME), shared / (variance_first + floor))


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The edit is the original within a model's losses."""

    reason: str


@dataclass(frozen=True, slots=True)
class Local:
    """Parts were edited; the rest is the original."""

    reason: str  # the end of a sentence on how much changed, "" where there is nothing to say
    extent: Extent


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the picture was edited; nothing of the original may return."""

    reason: str


Verdict = Unchanged | Local | Whole


def judge(extent: Extent, structure: Structure, fine: Plane) -> Verdict:
    """Say what an edit with this extent is.

    An edit of the whole picture shows where the picture seems unchanged: shapes are not where they
    were (another style), or they have another contrast (another light). It also shows where the
    picture changed, if shapes are the same nearly everywhere. With a new background, shapes are
    others where it changed and exactly the same where it did not. `fine` says how improbable each
    pixel is as a loss of the model.
    """
    share = extent.share
    kept = _clear_of(extent.changed)
    why = _beyond(extent, structure, kept)
    if why is None and share > HALF:
        why = _nearly_all(extent, structure, fine, kept)
        why = why or _only_flat_parts_kept(extent, structure, kept)
    if why is not None:
        return Whole(why)
    if share < NOTHING:
        return Unchanged("nothing changed by more than a model loses")
    if share > HALF:
        return Local(", as with another background", extent)
    return Local("", extent)


def _clear_of(flags: Flags) -> Flags:
    """What lies so far from them that they show in none of its windows."""
    return ~near(flags, round(REACH * WINDOW))


def _beyond(extent: Extent, structure: Structure, kept: Flags) -> str | None:
    """What says that the picture changed where it seems not to have."""
    if _has_new_shapes(structure, kept):
        return "shapes changed all over the picture, as with another style"
    if not _has_new_contrast(structure, kept):
        return None
    seen = (structure.visible & extent.changed).mean() >= EVIDENCE
    if seen and _same(structure, extent.changed) <= EDITED_SAME:
        return "contrast changed all over the picture, and most of it was drawn anew"
    return "contrast changed all over the picture, as with another light"


def _only_flat_parts_kept(extent: Extent, structure: Structure, kept: Flags) -> str | None:
    """What says that the tone of all of it changed: flat parts stay under any change of tone.

    Black stays black in a sepia. Where most of it changed and shows the same shapes, what was
    kept has to show shapes, too.
    """
    edited = _clear_of(~extent.changed)
    if not edited.any():
        return None
    is_seen = (structure.visible & edited).sum() >= SEEN * edited.sum()
    has_shapes = (structure.same & kept).sum() >= SEEN_KEPT * max(1, kept.sum())
    if not is_seen or has_shapes or _same(structure, edited) <= EDITED_SAME:
        return None
    return "tone changed all over the picture, only flat parts of it look as before"


def _nearly_all(extent: Extent, structure: Structure, fine: Plane, kept: Flags) -> str | None:
    """What says that the little which did not change is chance."""
    if _is_kept(~near(extent.changed, BORDER), fine):
        return None
    shapes = (structure.visible & kept).mean() >= EVIDENCE and _same(structure, kept) > KEPT_SAME
    if shapes and _same(structure, extent.changed) <= CHANGED_SAME:
        return None
    if extent.share > NEARLY_ALL:
        return "nearly all of the picture changed"
    if _same(structure, extent.changed) > CHANGED_SAME:
        return "most of the picture changed, but not its shapes, as with another light"
    return "most of the picture changed, and nothing shows that any of it did not"


def _is_kept(core: Flags, fine: Plane) -> bool:
    """Whether a part is the original as only a part that nobody touched can be."""
    return bool(core.mean() >= KEPT_CORE and np.median(fine[core]) < USUAL)


def _has_new_shapes(structure: Structure, kept: Flags) -> bool:
    enough = (structure.visible & kept).mean() >= EVIDENCE
    return bool(enough and _same(structure, kept) < KEPT_SAME)


def _has_new_contrast(structure: Structure, kept: Flags) -> bool:
    places = structure.same & kept
    if places.mean() < EVIDENCE:
        return False
    gains = np.maximum(np.abs(structure.gain[places]), 0.05)
    return float(np.median(np.abs(np.log(gains)))) > NEW_CONTRAST


def _same(structure: Structure, where: Flags) -> float:
    """Of what is visible there, the share that the edit shows too."""
    visible = structure.visible & where
    return float((structure.same & visible).sum()) / max(1, int(visible.sum()))
