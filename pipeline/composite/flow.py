"""What moved on its own within an edit: small movements beside the one that all of it shares."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.align import levelled
from pipeline.composite.arrays import (
    Canvas,
    Colours,
    Flags,
    Plane,
    blurred,
    covariance,
    gradient,
    length,
    luma,
    near,
    variance,
)

Flow = npt.NDArray[np.float32]  # height x width x 2, pixels right and down

MOST, MOST_SHARE = 6.0, 1 / 128  # pixels, of the long side; what moved farther was drawn anew
FAR_OFF, TOGETHER, BESIDE = 2.0, 0.002, 4  # pixels; of the picture; pixels
ROUND_TRIP = 0.7  # pixels between a place and where the way there and back leads
LOOK, WINDOW = 1.0, 4.0  # pixels: deviations of what is correlated and of its neighbourhood
CORRELATED, LEAST_CONTRAST = 0.85, 3.0  # a correlation; levels
NEAR, FAR = 6.0, 24.0  # pixels: deviations of the two averages
STEEP, STRAY = 4.0, 1.0  # levels a pixel; pixels
THINNEST = 16  # pixels a side: two patches, as the finest scale that is searched wants
LONGEST = 32_766  # pixels a side: cv2.remap counts in short integers
LEAST_OUTLINES = 0.003  # of the picture
FAR_WEIGHT, STILL_WEIGHT = 0.05, 0.01  # where nothing near is sure


@dataclass(frozen=True, slots=True)
class Movement:
    """Where places of the canvas are found in the aligned edit, relative to where they were."""

    there: Flow
    gap: Flow  # between a place and where the way there and back leads
    is_sure: Flags  # found again at both ends, not far, and alike

    def smoothed(self, known: Flags | None = None) -> Flow:
        """Return the movement near what is sure, or sure and `known`; farther off it fades out."""
        sure = self.is_sure if known is None else self.is_sure & known
        weight = sure.astype(np.float32)
        led = self.there * weight[..., None]
        total = blurred(weight, NEAR) + FAR_WEIGHT * blurred(weight, FAR) + STILL_WEIGHT
        flow = blurred(led, NEAR) + FAR_WEIGHT * blurred(led, FAR)
        return np.asarray(flow / total[..., None], np.float32)


def share_astray(before: Canvas, movement: Movement, kept: Flags) -> float:
    """Return of the kept outlines of a canvas the share that is elsewhere in its aligned edit.

    What counts is how far an outline lies beside itself: along a straight one all places look
    alike, and nothing says how far they moved. Too few outlines say nothing.
    """
    across, down = gradient(blurred(luma(before), LOOK))
    steepness = length(across, down)
    steep = (steepness > STEEP) & kept
    count = int(steep.sum())
    if count < LEAST_OUTLINES * kept.size:
        return 0.0
    beside, gap = (
        np.abs(it[..., 0] * across + it[..., 1] * down)[steep] / steepness[steep]
        for it in (movement.there, movement.gap)
    )
    is_there = (gap < ROUND_TRIP) & (beside < _most(kept)) & (beside <= STRAY)
    return 1 - int(is_there.sum()) / count


def find_movement(before: Canvas, laid: Colours, valid: Flags) -> Movement:
    """Find what moved on its own in an edit that is aligned as a whole.

    Dense inverse search (Kroeger et al. 2016), there and back; what does not lead back, does not
    look alike there or lies too far away was drawn anew, and says nothing. Nothing is found in a
    canvas that is longer than OpenCV can remap.
    """
    if max(valid.shape) > LONGEST:
        nowhere = np.zeros((*valid.shape, 2), np.float32)
        return Movement(nowhere, nowhere, np.zeros(valid.shape, bool))
    first = levelled(before, 1)
    second = levelled(np.clip(np.rint(laid), 0, 255).astype(np.uint8), 1)
    there, back = _search(first, second), _search(second, first)
    gap = there + followed(back, there, cv2.INTER_LINEAR)
    returns = (_distance(gap) < ROUND_TRIP) & valid & (_distance(there) < _most(valid))
    alike = _is_alike(luma(before), luma(followed(laid, there, cv2.INTER_LINEAR)))
    return Movement(there, gap, _moved_together(there, returns & alike))


def _search(first: Canvas, second: Canvas) -> Flow:
    """Dense inverse search from one to the other; OpenCV's fails on thin pictures, or crashes."""
    height, width = first.shape
    fill = 0, max(0, THINNEST - height), 0, max(0, THINNEST - width)
    first, second = (
        np.asarray(cv2.copyMakeBorder(it, *fill, cv2.BORDER_REPLICATE), np.uint8)
        for it in (first, second)
    )
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = search.calc(first, second, np.zeros((0, 0), np.float32))
    return np.ascontiguousarray(found[:height, :width], np.float32)


def _most(valid: Flags) -> float:
    return float(min(MOST, MOST_SHARE * max(valid.shape)))


def _distance(flow: Flow) -> Plane:
    return length(flow[..., 0], flow[..., 1])


def _moved_together(there: Flow, sure: Flags) -> Flags:
    """Leave out what lies far off alone: an object moves as one, a moved corner was edited."""
    far = sure & (_distance(there) > FAR_OFF)
    count, labels = cv2.connectedComponents(near(far, BESIDE).astype(np.uint8))
    sizes = np.bincount(labels[far], minlength=count)
    return np.asarray(sure & ~(far & (sizes < TOGETHER * far.size)[labels]), bool)


def followed(
    planes: npt.NDArray[np.float32], flow: Flow, way: int = cv2.INTER_CUBIC
) -> npt.NDArray[np.float32]:
    """Return what `planes` show where `flow` leads."""
    if not flow.any():
        return planes.copy()
    height, width = flow.shape[:2]
    across = flow[..., 0] + np.arange(width, dtype=np.float32)
    down = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(
        cv2.remap(planes, across, down, way, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _is_alike(first: Plane, second: Plane) -> Flags:
    """Where both show the same small shapes, and there are any."""
    first, second = blurred(first, LOOK), blurred(second, LOOK)
    spread = variance(first, WINDOW)
    correlation = covariance(first, second, WINDOW)
    correlation /= np.sqrt((spread + 1) * (variance(second, WINDOW) + 1))
    return np.asarray((correlation > CORRELATED) & (spread > LEAST_CONTRAST**2), bool)
