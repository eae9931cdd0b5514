"""A canvas and what an editor made of it, compared: how the edit lies, its tone, its extent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import cv2
import numpy as np

from pipeline.composite import colour_match as tones
from pipeline.composite.align import Aligned, Alignment, Unaligned, align
from pipeline.composite.arrays import Canvas, Colours, Flags, Plane, blurred, luma, near, slope
from pipeline.composite.change_mask import Change, change, extent
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
from pipeline.composite.colour_match import SAME, Tone

LEAST_KEPT = 0.1  # of the picture: less says too little of its tone
STEEP = 3.0  # levels a pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is known of an edit, at the model's size."""

    before: Canvas
    after: Canvas
    alignment: Alignment
    tone: Tone  # of drift; SAME where all of the picture was edited
    aligned: Colours  # the edit laid over the canvas in its tone
    change: Change
    structure: Structure
    verdict: Verdict


def compare(before: Canvas, after: Canvas, *, outside: Flags | None = None) -> Comparison:
    """Compare an edit with its canvas; both RGB, 8 bits, of one size.

    `outside` marks what may not be edited, where somebody said so: tone and losses are read there.
    """
    alignment = align(before, after)
    laid, valid = _laid(after, alignment)
    known = valid if outside is None or (outside & valid).mean() < 0.05 else outside & valid
    tone = tones.fit(before, laid, known, alignment)
    toned = np.clip(tone.applied(laid), 0, 255)
    shared = tones.near_points(alignment, valid.shape)
    source = before.astype(np.float32)
    found = change(source, toned, valid, shared if outside is None else shared | outside)
    same = structure(blurred(source, found.blur), toned)
    verdict = judge(extent(found), same, found.fine)
    tone = _tone(verdict, tone, before, laid, valid)
    toned = np.clip(tone.applied(laid), 0, 255)
    return Comparison(
        before=before,
        after=after,
        alignment=alignment,
        tone=tone,
        aligned=toned,
        change=found,
        structure=same,
        verdict=verdict,
    )


def _tone(verdict: Verdict, found: Tone, before: Canvas, laid: Colours, valid: Flags) -> Tone:
    """The tone of the drift once it is known where the edit is."""
    match verdict:
        case Whole():
            return SAME
        case Local(_, edited) if edited.share > HALF:  # more pixels that mislead than others
            kept = valid & ~near(edited.changed, BORDER)
            is_enough = kept.mean() >= LEAST_KEPT
            return tones.fit(before, laid, kept, Unaligned("")) if is_enough else SAME
        case Local() | Unchanged():
            return found
        case _:
            assert_never(verdict)


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


def _laid(after: Canvas, alignment: Alignment) -> tuple[Colours, Flags]:
    """The edit laid over the canvas, and where there is any of it."""
    height, width = after.shape[:2]
    match alignment:
        case Unaligned():
            return after.astype(np.float32), np.ones((height, width), bool)
        case Aligned(matrix):
            way = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            colours = cv2.warpAffine(
                after.astype(np.float32),
                matrix,
                (width, height),
                flags=way,
                borderMode=cv2.BORDER_REPLICATE,
            )
            full = np.full((height, width), 255, np.uint8)
            way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            reached = cv2.warpAffine(full, matrix, (width, height), flags=way)
            return np.clip(colours, 0, 255).astype(np.float32), np.asarray(reached) == 255
        case _:
            assert_never(alignment)


def sharpness(comparison: Comparison) -> float | None:
    """Slopes of the edit by those of its canvas, outside the edit; None where nothing is steep."""
    first, second = slope(luma(comparison.before)), slope(luma(comparison.aligned))
    kept = weight(comparison.verdict, first.shape) < 1
    places = (first > STEEP) & (kept if kept.any() else comparison.structure.same)
    if not places.any():
        return None
    return float(np.sqrt((second[places] ** 2).mean() / (first[places] ** 2).mean()))
