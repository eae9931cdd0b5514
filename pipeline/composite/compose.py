"""The result: an edit laid over the original, and the numbers that say how true it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from config.values import Region
from pipeline.composite.align import Aligned, Alignment, Unaligned
from pipeline.composite.arrays import Plane, near
from pipeline.composite.blend import Bound, Edit, Levels, Shown, Strip, lay
from pipeline.composite.classify import Local, Unchanged, Verdict, Whole
from pipeline.composite.colour_map import UNMOVED, Laying, fit, place
from pipeline.composite.compare import Comparison, sharpness, weight
from pipeline.composite.matting import Matte, fringe
from pipeline.composite.metrics import changed_share, mapped_share, measure_likeness, of, scaled
from pipeline.picture.fidelity import IDENTICAL, Fidelity, Likeness, Strategy, percent

NOT_COMPARED = "not looked for"
BESIDE_SEEN = 3  # pixels of the canvas around what is seen whose colours are those of it


@dataclass(frozen=True, slots=True)
class Same:
    """The editor gave back what it got."""


@dataclass(frozen=True, slots=True)
class Plain:
    """An edit to be taken as it is."""

    colours: Levels  # at the canvas' size, in the original's colours


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An edit of which is known how it lies and what it changed."""

    colours: Levels  # in the original's colours and tone
    raw: Levels  # as the editor gave it, in the original's colours
    comparison: Comparison
    takes_all: bool  # all that may change is the edit's, changed or not
    canvas: Levels | None = None  # what the editor was given; None = the original, all of it seen


Layer = Same | Plain | Compared


@dataclass(frozen=True, slots=True)
class Outside:
    """What a result has to be like where the edit does not show."""

    original: Levels  # the part that was laid over
    part: Region
    shown: Shown

    def likeness(self, result: Levels) -> Likeness | None:
        """Compare another version of the whole result, for example what its file shows."""
        return measure_likeness(self.original, of(_view(result, self.part)), self.shown)


@dataclass(frozen=True, slots=True)
class Laid:
    """The pixels of a result."""

    pixels: Levels
    fidelity: Fidelity
    outside: Outside | None  # None = nothing was looked for


def compose(
    base: Levels, part: Region, layer: Layer, bound: Bound | None, alpha: Bound | None = None
) -> Laid:
    """Lay an edit over a part of `base`, 8 or 16 bits a channel, RGB or grey.

    `bound` has the part's size; None lets the edit show everywhere in it. `base` is not touched.
    `alpha` is that of the base; what it hides counts in no number of the fidelity.
    """
    ground = _Ground(base, part, bound, alpha)
    match layer:
        case Same():
            return Laid(base, _untouched("the editor gave back what it got"), None)
        case Plain(colours):
            every = ground.shown(np.ones(colours.shape[:2], np.float32))
            result, _ = _laid(ground, _edit(colours, Laying(UNMOVED, None, None), every))
            return Laid(result, _unlooked(ground, every), None)
        case Compared():
            return _composed(ground, layer)
        case _:
            assert_never(layer)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What an edit is laid over."""

    base: Levels
    part: Region
    bound: Bound | None  # of the part
    alpha: Bound | None  # of the base

    @property
    def original(self) -> Levels:
        """The part."""
        return _view(self.base, self.part)

    @property
    def share(self) -> float:
        """Of all that is seen, how much lies in the part."""
        if self.alpha is None:
            return float(self.part.width * self.part.height / math.prod(self.base.shape[:2]))
        seen = int(np.count_nonzero(_view(self.alpha, self.part)))
        return seen / max(1, int(np.count_nonzero(self.alpha)))

    def shown(self, weight: Plane) -> Shown:
        """How much of an edit with this weight shows."""
        alpha = None if self.alpha is None else np.asarray(_view(self.alpha, self.part), np.uint8)
        return Shown(weight, self.bound, alpha)


def _composed(ground: _Ground, layer: Compared) -> Laid:
    found = layer.comparison
    shape = found.before.shape[:2]
    every = np.ones(shape, np.float32)
    shown = ground.shown(every if layer.takes_all else weight(found.verdict, shape))
    original = ground.original
    given = original if layer.canvas is None else layer.canvas
    edit = _edit(layer.colours, _laying(given, layer), shown)
    if found.matte is not None and not layer.takes_all:
        edit = _with_fringe(edit, found.matte, given)
        shown = ground.shown(found.matte.shown(shown.weight))
    result, laid = _laid(ground, edit)
    share = changed_share(original, shown) * ground.share
    mapped = mapped_share(edit.map, shown) * ground.share
    strategy, reason = _strategy(layer, ground.bound, share)
    turn = _movement(found.alignment, ground.part.width / shape[1])
    fidelity = Fidelity(
        strategy=strategy,
        reason=reason + _recoloured(mapped),
        alignment=_words(found.alignment),
        changed_share=share,
        before=measure_likeness(original, scaled(layer.raw.astype(np.float32), original), shown),
        after=measure_likeness(original, of(laid), shown),
        shift_px=turn[0],
        zoom=turn[1],
        rotation_degrees=turn[2],
        tone_gain=found.drift.tone.gains,
        sharpness=sharpness(found),
        mapped_share=mapped if isinstance(found.verdict, Whole) else None,
        doubts=found.doubts,
    )
    return Laid(result, fidelity, Outside(original, ground.part, shown))


def _laying(given: Levels, layer: Compared) -> Laying:
    """How the edit lies; one of the whole picture may be a map of the original's colours."""
    found = layer.comparison
    moved = Laying(found.alignment.matrix, found.flow, None)
    match found.verdict:
        case Unchanged() | Local():
            return moved
        case Whole():
            height, width = found.before.shape[:2]
            edit = _edit(layer.colours, moved, Shown(np.ones((height, width), np.float32), None))
            over = edit.in_strip(Strip(0, height, 0, width), (1, 1))
            seen = None if found.seen is None else near(found.seen > 0, BESIDE_SEEN)
            made = fit(given, over, moved.matrix, known=seen)
            return place(replace(moved, map=made), over.shape)
        case _:
            assert_never(found.verdict)


def _edit(colours: Levels, laying: Laying, shown: Shown) -> Edit:
    return Edit(
        colours=colours.astype(np.float32),
        matrix=laying.matrix,
        flow=laying.flow,
        shown=shown,
        map=laying.map,
    )


def _with_fringe(edit: Edit, matte: Matte, given: Levels) -> Edit:
    """The edit with what the subject's outline is laid with."""
    height, width = matte.weight.shape
    strip = Strip(0, height, 0, width)
    laid = edit.in_strip(strip, (1, 1))
    return replace(edit, fringe=fringe(matte, given, laid))


def _laid(ground: _Ground, edit: Edit) -> tuple[Levels, Levels]:
    """A copy of the base with the edit on it, and a view of the part."""
    result = ground.base.copy()
    view = _view(result, ground.part)
    lay(view, edit)
    return result, view


def _view(base: Levels, part: Region) -> Levels:
    return base[part.y : part.y + part.height, part.x : part.x + part.width]


def _strategy(layer: Compared, bound: Bound | None, share: float) -> tuple[Strategy, str]:
    if layer.takes_all:
        return Strategy.MASK, "the instruction says keep: mask"
    verdict: Verdict = layer.comparison.verdict
    inside = "" if bound is None else "; the mask or region bounds it"
    match verdict:
        case Unchanged(reason):
            return Strategy.UNCHANGED, reason
        case Local(reason, _):
            return Strategy.LOCAL, f"{percent(share)} of the picture changed{reason}{inside}"
        case Whole(reason):
            return Strategy.WHOLE, f"{reason}{inside}"
        case _:
            assert_never(verdict)


def _recoloured(mapped: float) -> str:
    return f"; {percent(mapped)} of it is the original recoloured at full size" if mapped else ""


Movement = tuple[tuple[float, float] | None, float | None, float | None]


def _movement(alignment: Alignment, scale: float) -> Movement:
    """Shift in the original's pixels, zoom and rotation."""
    match alignment:
        case Unaligned():
            return None, None, None
        case Aligned():
            right, down = alignment.shift
            return (right * scale, down * scale), alignment.zoom, alignment.degrees
        case _:
            assert_never(alignment)


def _words(alignment: Alignment) -> str:
    match alignment:
        case Unaligned(why):
            return f"taken as it lies: {why}"
        case Aligned():
            off = math.ceil(alignment.uncertainty * 100) / 100
            return f"{len(alignment.points)} points agree, to {off} pixels of the model's"
        case _:
            assert_never(alignment)


def _untouched(reason: str) -> Fidelity:
    return Fidelity(
        strategy=Strategy.UNCHANGED,
        reason=reason,
        alignment=NOT_COMPARED,
        changed_share=0.0,
        before=IDENTICAL,
        after=IDENTICAL,
        shift_px=None,
        zoom=None,
        rotation_degrees=None,
        tone_gain=(1.0, 1.0, 1.0),
        sharpness=None,
    )


def _unlooked(ground: _Ground, shown: Shown) -> Fidelity:
    return Fidelity(
        strategy=Strategy.NONE,
        reason="the instruction says keep: none",
        alignment=NOT_COMPARED,
        changed_share=changed_share(ground.original, shown) * ground.share,
        before=None,
        after=None,
        shift_px=None,
        zoom=None,
        rotation_degrees=None,
        tone_gain=(1.0, 1.0, 1.0),
        sharpness=None,
    )
