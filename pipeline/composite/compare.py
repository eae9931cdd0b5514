"""A canvas and what an editor made of it, compared: how the edit lies, its tone, its extent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import assert_never

import cv2
import numpy as np

from pipeline.composite import colour_match as tones
from pipeline.composite.align import Aligned, Alignment, Unaligned, align
from pipeline.composite.arrays import Canvas, Colours, Flags, Plane, blurred, luma, near, slope
from pipeline.composite.blend import STILL
from pipeline.composite.change_mask import (
    Change,
    along_agreement,
    change,
    extent,
    feathered,
)
from pipeline.composite.classify import (
    BORDER,
    HALF,
    Local,
    Structure,
    Unchanged,
    Verdict,
    Whole,
    judge,
    structure,
)
from pipeline.composite.colour_match import NO_DRIFT, SAME, Drift
from pipeline.composite.flow import Flow, Movement, find_movement, followed, share_astray
from pipeline.composite.growth import Levels, grown
from pipeline.composite.matting import Matte, find

LEAST_KEPT = 0.1  # of the picture: less says too little of its tone
AROUND_CHANGE = 8  # pixels
MOST_ASTRAY = 1 / 3  # of the outlines that were to stay
STEEP = 3.0  # levels a pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is known of an edit, at the model's size."""

    before: Canvas
    after: Canvas
    alignment: Alignment
    flow: Flow  # what moved on its own: where the canvas' pixels lie in the aligned edit
    drift: Drift  # of the tone; none where all of the picture was edited
    aligned: Colours  # the edit laid over the canvas in its tone
    change: Change
    structure: Structure
    verdict: Verdict
    matte: Matte | None  # of a subject before a new background
    doubts: tuple[str, ...]  # words for people; () = nothing makes the verdict uncertain
    seen: Levels | None = None  # how much of each pixel transparency lets be seen; None = all

    @property
    def lies_still(self) -> bool:
        """Whether every pixel of the edit lies where it lay in the canvas."""
        is_aligned = (self.alignment.matrix == np.eye(2, 3)).all()
        return bool(is_aligned and np.abs(self.flow).max() < STILL)

    def in_tone(self, after: Canvas) -> Canvas:
        """Return the edit where it lies, in the original's tone."""
        if self.drift.is_none:
            return after
        toned = self.drift.tone.applied(after)
        if self.drift.rest is not None:
            height, width = after.shape[:2]
            toned += cv2.warpAffine(
                self.drift.rest,
                self.alignment.matrix,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        result: Canvas = np.clip(np.rint(toned), 0, 255).astype(np.uint8)
        return result


@dataclass(frozen=True, slots=True)
class _Laid:
    """An edit as it lies on its canvas."""

    colours: Colours  # in its own tone
    valid: Flags  # where there is any of it
    movement: Movement

    def along(self, flow: Flow) -> Colours:
        return np.clip(followed(self.colours, flow), 0, 255)


def compare(
    before: Canvas, after: Canvas, *, outside: Flags | None = None, seen: Levels | None = None
) -> Comparison:
    """Compare an edit with its canvas; both RGB, 8 bits, of one size.

    `outside` marks what may not be edited, where somebody said so: tone and losses are read there.
    What an editor drew beside what is `seen` is taken for an edit of what is beside it.
    """
    alignment = align(before, after)
    if seen is not None:
        before = grown(before, seen)  # as its edit is, or the outlines of both would differ
    laid = _laid(before, after, alignment, seen)
    flow = laid.movement.smoothed()
    moved = laid.along(flow)
    drift = _drift(before, moved, laid.valid, alignment, outside)
    toned = drift.undone(moved)
    shared = tones.near_points(alignment, laid.valid.shape)
    source = before.astype(np.float32)
    found = change(source, toned, laid.valid, shared if outside is None else shared | outside)
    same = structure(blurred(source, found.blur), toned)
    reached = extent(found)
    verdict = judge(reached, same, found.fine)
    matte = None if isinstance(verdict, Unchanged) else find(source, toned, reached.changed)
    astray = _astray(before, laid, verdict)
    if matte is not None:
        subject_kept = feathered(matte.changed(reached.changed))
        verdict = Local(", as with another background", subject_kept)
    lies = _Lying(flow, drift, toned)
    if matte is not None or isinstance(verdict, Whole):
        lies = _Lying(flow, NO_DRIFT, moved)  # a new background is shown in the tone asked for
    elif isinstance(verdict, Local):
        lies = _lying(verdict, drift, laid, before)
        border = along_agreement(verdict.extent, source, lies.toned, found)
        verdict = replace(verdict, extent=border)
    return Comparison(
        before=before,
        after=after,
        alignment=alignment,
        flow=lies.flow,
        drift=lies.drift,
        aligned=lies.toned,
        change=found,
        structure=same,
        verdict=verdict,
        matte=matte,
        doubts=tuple(_doubts(alignment, astray)),
        seen=seen,
    )


def _drift(
    before: Canvas, moved: Colours, valid: Flags, alignment: Alignment, outside: Flags | None
) -> Drift:
    """The drift of the tone before it is known where the edit is."""
    known = valid if outside is None or (outside & valid).mean() < 0.05 else outside & valid
    return tones.drift(before, moved, tones.fit(before, moved, known, alignment), valid)


@dataclass(frozen=True, slots=True)
class _Lying:
    """How an edit is laid."""

    flow: Flow
    drift: Drift
    toned: Colours  # laid over the canvas


def _lying(verdict: Local, drift: Drift, laid: _Laid, before: Canvas) -> _Lying:
    """What moved and what drifted, read where the edit is not."""
    kept = laid.valid & ~near(verdict.extent.changed, BORDER)
    flow = laid.movement.smoothed(kept)
    moved = laid.along(flow)
    drift = _kept_drift(verdict, drift, before, moved, kept)
    return _Lying(flow, drift, drift.undone(moved))


def _astray(before: Canvas, laid: _Laid, verdict: Verdict) -> float:
    """Of the outlines that nobody asked to change, the share that is elsewhere."""
    match verdict:
        case Local(_, edited):
            kept = laid.valid & ~near(edited.changed, AROUND_CHANGE)
            return share_astray(before, laid.movement, kept)
        case Unchanged():
            return share_astray(before, laid.movement, laid.valid)
        case Whole():
            return 0.0
        case _:
            assert_never(verdict)


def _doubts(alignment: Alignment, astray: float) -> Iterator[str]:
    if isinstance(alignment, Unaligned):
        yield f"nothing says how the edit lies: {alignment.why}"
    if astray > MOST_ASTRAY:
        yield f"{astray:.0%} of the outlines that were to stay are not where they were"


def _kept_drift(
    verdict: Local, found: Drift, before: Canvas, moved: Colours, kept: Flags
) -> Drift:
    """The drift of the tone once it is known where the edit is."""
    if kept.mean() < LEAST_KEPT or not tones.spans(moved, kept):
        tone = SAME
    elif verdict.extent.share > HALF:  # more pixels that mislead than others
        tone = tones.fit(before, moved, kept, Unaligned(""))
    else:
        tone = found.tone
    return tones.drift(before, moved, tone, kept)


def weight(verdict: Verdict, shape: tuple[int, ...]) -> Plane:
    """How much of the edit shows in each pixel of the canvas, 0 to 1."""
    match verdict:
        case Unchanged():
            return np.zeros(shape, np.float32)
        case Local(_, found):
            return found.weight
        case Whole():
            return np.ones(shape, np.float32)
        case _:
            assert_never(verdict)


def _laid(before: Canvas, after: Canvas, alignment: Alignment, seen: Levels | None) -> _Laid:
    """The edit laid over the canvas."""
    height, width = after.shape[:2]
    match alignment:
        case Unaligned():
            colours, valid = after.astype(np.float32), np.ones((height, width), bool)
        case Aligned(matrix):
            way = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            moved = cv2.warpAffine(
                after.astype(np.float32),
                matrix,
                (width, height),
                flags=way,
                borderMode=cv2.BORDER_REPLICATE,
            )
            full = np.full((height, width), 255, np.uint8)
            way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            valid = np.asarray(cv2.warpAffine(full, matrix, (width, height), flags=way)) == 255
            colours = np.clip(moved, 0, 255).astype(np.float32)
        case _:
            assert_never(alignment)
    if seen is not None:
        colours = grown(np.rint(colours).astype(np.uint8), seen).astype(np.float32)
    return _Laid(colours, valid, find_movement(before, colours, valid))


def sharpness(comparison: Comparison) -> float | None:
    """Slopes of the edit by those of its canvas, outside the edit; None where nothing is steep."""
    first, second = slope(luma(comparison.before)), slope(luma(comparison.aligned))
    kept = weight(comparison.verdict, first.shape) < 1
    places = (first > STEEP) & (kept if kept.any() else comparison.structure.same)
    if not places.any():
        return None
    return float(np.sqrt((second[places] ** 2).mean() / (first[places] ** 2).mean()))
