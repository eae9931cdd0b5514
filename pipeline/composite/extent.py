"""The extent of an edit: scattered pixels of change become whole areas with soft borders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.composite.change import Change
from pipeline.composite.planes import Flags, Plane, disc, near

SURE, SURE_COARSE, LIKELY, CERTAIN = 6.5, 7.0, 2.7, 14.0
ISLAND, SPECK = 0.0003, 0.00008  # of the picture; what is smaller has to be certain; is noise
GAP = 4  # pixels; what is narrower between parts of an edit belongs to it
HOLE = 0.004  # of the picture; what is smaller belongs to the edit around it
BORDER = 4  # pixels
BORDER_SHARE, SHADOW_SHARE = 0.4, 0.2  # of the greatest difference nearby
BORDER_LEVELS = 25.0  # what differs more is never taken off
FEATHER = 1.25  # pixels outside the change in which the edit fades out
GROWTH = 1.2  # pixels around the change that are the edit's as well


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the edit is, and how much of it shows."""

    changed: Flags
    weight: Plane  # 1 inside, falling to 0 outside within a few pixels

    @property
    def share(self) -> float:
        """The share of the picture that changed, 0 to 1."""
        return float(self.changed.mean())


def extent(change: Change) -> Extent:
    """Find the areas that changed: hysteresis, then islands, gaps and holes.

    An area begins where the change is sure and reaches as far as it is likely. Specks are left
    out, gaps closed, small holes filled.
    """
    likely = change.fine > LIKELY
    sure = (change.fine > SURE) | (change.coarse > SURE_COARSE)
    faint = change.coarse > SURE_COARSE * 0.75
    certain = change.fine > CERTAIN
    found = _connected(likely | faint & near(sure, 5), sure, certain)
    found = _trimmed(found, change.levels)
    found = _closed(found, GAP)
    found = _filled(found, HOLE * likely.size)
    return feathered(found)


def feathered(changed: Flags) -> Extent:
    """Give an area its soft border."""
    distance = cv2.distanceTransform((~changed).astype(np.uint8), cv2.DIST_L2, 5)
    weight = np.clip(1 - (distance - GROWTH) / FEATHER, 0, 1).astype(np.float32)
    return Extent(changed, weight)


def _connected(likely: Flags, sure: Flags, certain: Flags) -> Flags:
    """The likely areas of some size with something sure in them, small ones if certain."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(likely.astype(np.uint8))
    area = statistics[:, cv2.CC_STAT_AREA] / likely.size
    sures, certains = (np.bincount(labels[it & likely], minlength=count) for it in (sure, certain))
    kept = ((area >= ISLAND) & (sures >= 4)) | ((area >= SPECK) & (certains >= 4))
    kept[0] = False
    result: Flags = kept[labels]
    return result


def _trimmed(flags: Flags, levels: Plane) -> Flags:
    """Take off what only the blur of the comparison added around sharp borders.

    There the difference falls to half within a pixel or two. What falls more slowly is a shadow,
    and stays: where it is faint, but wider than a pixel.
    """
    greatest = np.asarray(cv2.dilate(levels, disc(BORDER)), np.float32)
    core = cv2.erode(flags.astype(np.uint8), disc(BORDER), borderType=cv2.BORDER_REPLICATE)
    clear = (levels > np.minimum(BORDER_SHARE * greatest, BORDER_LEVELS)) | core.astype(bool)
    faint = flags & ~clear & (levels > np.minimum(SHADOW_SHARE * greatest, BORDER_LEVELS))
    wide = cv2.morphologyEx(faint.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    result: Flags = flags & clear | faint & near(wide.astype(bool), 1)
    return result


def _closed(flags: Flags, reach: int) -> Flags:
    padded = cv2.copyMakeBorder(flags.astype(np.uint8), *(4 * (reach,)), cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc(reach))
    return np.asarray(closed[reach:-reach, reach:-reach], bool)


def _filled(flags: Flags, most: float) -> Flags:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        (~flags).astype(np.uint8), connectivity=4
    )
    small = statistics[:, cv2.CC_STAT_AREA] < most
    small[0] = False
    assert count == len(small)
    result: Flags = flags | small[labels]
    return result
