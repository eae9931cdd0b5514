"""What moved on its own within an edit: small movements beside the one that all of it shares."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.align import levelled
from pipeline.composite.arrays import Canvas, Colours, Flags, Plane, blurred, luma

Flow = npt.NDArray[np.float32]  # height x width x 2, pixels right and down

MOST = 6.0  # pixels; what moved farther was drawn anew
ROUND_TRIP = 0.7  # pixels between a place and where the way there and back leads
LOOK, WINDOW = 1.0, 4.0  # pixels: deviations of what is correlated and of its neighbourhood
CORRELATED, LEAST_CONTRAST = 0.85, 3.0  # a correlation; levels
NEAR, FAR = 6.0, 24.0  # pixels: deviations of the two averages
FAR_WEIGHT, STILL_WEIGHT = 0.05, 0.01  # where nothing near is sure


@dataclass(frozen=True, slots=True)
class Movement:
    """Where places of the canvas are found in the aligned edit, relative to where they were."""

    there: Flow
    is_sure: Flags  # found again at both ends, alike, and not far

    def smoothed(self, known: Flags | None = None) -> Flow:
        """Return the movement near what is sure, or sure and `known`; farther off it fades out."""
        sure = self.is_sure if known is None else self.is_sure & known
        weight = sure.astype(np.float32)
        led = self.there * weight[..., None]
        total = blurred(weight, NEAR) + FAR_WEIGHT * blurred(weight, FAR) + STILL_WEIGHT
        flow = blurred(led, NEAR) + FAR_WEIGHT * blurred(led, FAR)
        return np.asarray(flow / total[..., None], np.float32)


def find_movement(before: Canvas, laid: Colours, valid: Flags) -> Movement:
    """Find what moved on its own in an edit that is aligned as a whole.

    Dense inverse search (Kroeger et al. 2016), there and back; what does not lead back, does not
    look alike there or lies too far away was drawn anew, and says nothing.
    """
    first = levelled(before, 1)
    second = levelled(np.clip(np.rint(laid), 0, 255).astype(np.uint8), 1)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there = np.asarray(search.calc(first, second, np.zeros((0, 0), np.float32)), np.float32)
    back = np.asarray(search.calc(second, first, np.zeros((0, 0), np.float32)), np.float32)
    gap = there + followed(back, there, cv2.INTER_LINEAR)
    sure = (cv2.magnitude(gap[..., 0], gap[..., 1]) < ROUND_TRIP) & valid
    sure &= cv2.magnitude(there[..., 0], there[..., 1]) < MOST
    sure &= _is_alike(luma(before), luma(followed(laid, there, cv2.INTER_LINEAR)))
    return Movement(there, np.asarray(sure, bool))


def followed(
    planes: npt.NDArray[np.float32], flow: Flow, way: int = cv2.INTER_CUBIC
) -> npt.NDArray[np.float32]:
    """Return what `planes` show where `flow` leads."""
    height, width = flow.shape[:2]
    across = flow[..., 0] + np.arange(width, dtype=np.float32)
    down = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(
        cv2.remap(planes, across, down, way, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _is_alike(first: Plane, second: Plane) -> Flags:
    """Where both show the same small shapes, and there are any."""
    first, second = blurred(first, LOOK), blurred(second, LOOK)
    mean_first, mean_second = blurred(first, WINDOW), blurred(second, WINDOW)
    variance_first = np.maximum(blurred(first * first, WINDOW) - mean_first**2, 0)
    variance_second = np.maximum(blurred(second * second, WINDOW) - mean_second**2, 0)
    shared = blurred(first * second, WINDOW) - mean_first * mean_second
    correlation = shared / np.sqrt((variance_first + 1) * (variance_second + 1))
    return np.asarray((correlation > CORRELATED) & (variance_first > LEAST_CONTRAST**2), bool)
