"""What of a picture an edit has changed, and how far that reaches."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.composite.arrays import (
    Colours,
    Flags,
    Plane,
    blurred,
    disc,
    largest,
    near,
    opponent,
    slope,
    variance,
)

BLURS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.2)  # pixels: what a model may lose of detail
NOISE, STEEP = (0.7, 2.5), (0.06, 0.6)  # bounds: levels, and levels for each level a pixel
LEAST_SHARED = 1500  # pixels
LIMIT = 15.0  # levels
ROUGH = 4.0  # looks: what varies over longer distances is no noise
FLAT = 1.5  # levels a pixel: no edge is there
AROUND = 6  # pixels around an edit whose border the looks have blurred
FINE, COARSE = 1.0, 3.5  # pixels: deviations of the two looks
SURE, SURE_COARSE, LIKELY, CERTAIN = 6.5, 7.0, 2.7, 14.0
GONE_LEVELS, GONE_SHARE, GONE_LOOK = 6.0, 0.35, 2.0  # of contrast that is gone; pixels
ISLAND, SPECK = 0.0003, 0.00008  # of the picture; what is smaller has to be certain; is noise
GAP = 4  # pixels; what is narrower between parts of an edit belongs to it
HOLE = 0.004  # of the picture; what is smaller belongs to the edit around it
BORDER = 4  # pixels
BORDER_SHARE, SHADOW_SHARE = 0.4, 0.2  # of the greatest difference nearby
BORDER_LEVELS = 25.0  # what differs more is never taken off
SEAM_OUTWARD = 0.0125  # of the long side: how far a border may move
SEAM_RING, SEAM_NEAR, SEAM_FAR = (1.5, 3.5), 6.0, 8.0  # pixels around a border
SEAM_USUAL, SEAM_CUT = 2.2, (3.0, 8.5)  # of what differs anyway; bounds in levels
SEAM_TAIL, SEAM_LEVELS = 0.3, 6.0  # of the greatest difference nearby: the blur of a sharp border
SEAM_AWAY = 0.7  # cost of each pixel of distance
SEAM_ALIKE = 4.4  # improbability of a difference that costs nothing
FEATHER = 1.25  # pixels outside the change in which the edit fades out
GROWTH = 1.2  # pixels around the change that are the edit's as well


@dataclass(frozen=True, slots=True)
class Change:
    """How improbable each pixel is as a loss of the model: 1 is usual, 3 rare, 6 an edit."""

    fine: Plane  # sharp borders, misses what is faint
    coarse: Plane  # finds what is faint, blurs the borders
    levels: Plane  # the difference itself, pixel by pixel
    blur: float  # pixels by which the edit is blurrier than the canvas
    noise: float  # levels


def change(before: Colours, after: Colours, valid: Flags, shared: Flags) -> Change:
    """Compare a canvas with its aligned edit in the same tone.

    The canvas is first blurred as the edit is. What is left is measured in units of what is
    expected there: noise, plus a part of the slope, since edges suffer most. Both are read from
    the differences themselves, where possible around the points that both pictures show.
    """
    first, second = opponent(before), opponent(after)
    shared = _enough(shared & valid, valid)
    blur = _blur(first[..., 0], second[..., 0], shared)
    first = blurred(first, blur)
    difference = second - first
    steep = slope(first)
    steep = np.asarray(cv2.dilate(steep, np.ones((3, 3), np.uint8)), np.float32)
    shared = _unedited(difference, steep, shared)
    fine, noise = _improbable(difference, steep, shared, FINE)
    limited = np.clip(difference, -LIMIT, LIMIT)  # or strong borders would shine far out
    coarse, _ = _improbable(limited, steep, shared, COARSE)
    levels = np.sqrt((blurred(difference, 0.6) ** 2).sum(axis=2))
    fine = _with_gone(fine, first[..., 0], second[..., 0], levels)
    return Change(
        fine=_continued(fine, valid),
        coarse=_continued(coarse, valid),
        levels=_continued(levels, valid),
        blur=blur,
        noise=noise,
    )


def _with_gone(fine: Plane, first: Plane, second: Plane, levels: Plane) -> Plane:
    """Count as certain where small shapes of the canvas are gone: no loss takes all of a stroke.

    The slope of a faint stroke would else excuse its own loss.
    """
    one, two = (np.sqrt(variance(it, GONE_LOOK)) for it in (first, second))
    gone = (one > GONE_LEVELS) & (two < GONE_SHARE * one) & (levels > GONE_LEVELS)
    core = cv2.morphologyEx(gone.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    around = cv2.dilate(core, np.ones((5, 5), np.uint8)).astype(bool)
    fine = np.where(around, np.maximum(fine, LIKELY + 0.1), fine)
    return np.where(core.astype(bool), np.maximum(fine, CERTAIN + 0.1), fine).astype(np.float32)


def _unedited(difference: Colours, steep: Colours, shared: Flags) -> Flags:
    """Leave out what surrounds an edit that is beyond doubt: much differs where nothing is steep.

    Its borders are steep and differ too; taken for losses they would excuse themselves.
    """
    doubtless = (largest(difference) > LIMIT) & (largest(steep) < FLAT)
    return _enough(shared & ~near(doubtless, AROUND), shared)


def _enough(flags: Flags, otherwise: Flags) -> Flags:
    return flags if flags.sum() >= LEAST_SHARED else otherwise


def _blur(first: Plane, second: Plane, known: Flags) -> float:
    """Return the blur of the canvas that explains the edit best where the canvas is steep.

    A difference above 30 levels counts as 30: that was edited.
    """
    steep = slope(first)
    places = known & (steep > max(3.0, float(np.quantile(steep[known], 0.8))))
    if int(places.sum()) < 100:
        return 0.0
    costs = [
        float(np.minimum(np.abs(blurred(first, blur) - second)[places], 30).mean())
        for blur in BLURS
    ]
    return BLURS[int(np.argmin(costs))]


def _improbable(
    difference: Colours, steep: Colours, known: Flags, look: float
) -> tuple[Plane, float]:
    """Return the size of the difference in units of what is expected, and the noise found.

    A difference that is the same all around is no noise, it may be an edit of all of it.
    """
    difference, steep = blurred(difference, look), blurred(steep, look)
    rough = np.abs(difference - blurred(difference, ROUGH * look))
    total, worst = np.zeros(known.shape, np.float32), 0.0
    for channel in range(3):
        off, edge = np.abs(difference[..., channel]), steep[..., channel]
        noise, share = _expected(rough[..., channel][known], edge[known])
        total += (off / np.sqrt(noise**2 + (share * edge) ** 2)) ** 2
        worst = max(worst, noise)
    return np.sqrt(total / 2), worst


def _expected(off: Plane, edge: Plane) -> tuple[float, float]:
    """Read noise and the share of slopes from the differences that are no edits."""
    step = max(1, off.size // 50_000)
    off, edge = off[::step], edge[::step]
    noise, share = 2.0, 0.25
    for _ in range(6):
        usual = off < 3 * np.sqrt(noise**2 + (share * edge) ** 2)
        flat, steep = usual & (edge < FLAT), usual & (edge > 4)
        if flat.sum() > 100:
            noise = float(np.clip(1.15 * np.sqrt((off[flat] ** 2).mean()), *NOISE))
        if steep.sum() > 100:
            rest = np.maximum(off[steep] ** 2 - noise**2, 0) / edge[steep] ** 2
            share = float(np.clip(1.1 * np.sqrt(rest.mean()), *STEEP))
    return noise, share


def _continued(plane: Plane, valid: Flags) -> Plane:
    """Carry the values on to the borders that the edit does not reach."""
    if valid.all():
        return plane
    rows, columns = (
        np.flatnonzero(valid.mean(axis=1) > 0.5),
        np.flatnonzero(valid.mean(axis=0) > 0.5),
    )
    if not len(rows) or not len(columns):
        return np.zeros_like(plane)
    top, bottom, left, right = rows[0] + 2, rows[-1] - 1, columns[0] + 2, columns[-1] - 1
    edges = (top, plane.shape[0] - bottom, left, plane.shape[1] - right)
    inner = plane[top:bottom, left:right]
    return np.asarray(cv2.copyMakeBorder(inner, *edges, cv2.BORDER_REPLICATE), np.float32)


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


def along_agreement(extent: Extent, before: Colours, after: Colours, change: Change) -> Extent:
    """Move the border of an extent to where both pictures agree: no word is cut, no stroke.

    The minimum cut of the squared differences of colour along the border (Kwatra et al. 2003),
    within a few pixels of where it was.
    """
    off = np.sqrt(((after - before) ** 2).sum(axis=2))
    away = _away(extent.changed)
    reach = away <= SEAM_OUTWARD * max(away.shape)
    outer, inner = extent.changed | reach & _is_cut(off, away), extent.changed
    nearby = np.asarray(cv2.dilate(change.levels, disc(BORDER)), np.float32)
    tail = np.minimum(SEAM_TAIL * nearby, SEAM_LEVELS)  # the blur of a sharp border
    alike = np.maximum(
        SEAM_ALIKE / np.maximum(change.fine, SEAM_ALIKE), tail / np.maximum(change.levels, 0.1)
    )
    unlike = np.maximum(1 - alike, 0) * off
    costs = np.dstack([unlike, np.sqrt(SEAM_AWAY * away), np.zeros_like(away)])
    finder = cv2.detail.GraphCutSeamFinder("COST_COLOR")  # squares them, and adds 1 for its length
    pictures = [cv2.UMat(costs), cv2.UMat(np.zeros_like(costs))]  # type: ignore[call-overload]  # its stub
    masks = [cv2.UMat(np.where(it, np.uint8(255), np.uint8(0))) for it in (outer, ~inner)]  # type: ignore[call-overload]  # knows no arrays
    taken, _ = finder.find(pictures, [(0, 0), (0, 0)], masks)
    grown = np.asarray(taken.get()) > 0
    weight = np.maximum(extent.weight, feathered(grown, 0.4).weight)
    return Extent(grown, weight)


def _is_cut(off: Plane, away: Plane) -> Flags:
    """Where a border runs through what differs; where that ends with the border, it is right.

    What differs there is compared with what differs far from all edits.
    """
    ring = ((away > SEAM_RING[0]) & (away <= SEAM_RING[1])).astype(np.float32)
    around = blurred(ring, SEAM_NEAR)
    far = off[away > SEAM_FAR]
    limit = np.clip(SEAM_USUAL * np.median(far), *SEAM_CUT) if far.size else SEAM_CUT[0]
    return np.asarray(blurred(off * ring, SEAM_NEAR) > limit * np.maximum(around, 1e-4), bool)


def feathered(changed: Flags, growth: float = GROWTH) -> Extent:
    """Give an area its soft border."""
    weight = np.clip(1 - (_away(changed) - growth) / FEATHER, 0, 1).astype(np.float32)
    return Extent(changed, weight)


def _away(changed: Flags) -> Plane:
    """How many pixels each place lies off what changed; 0 inside."""
    gap = cv2.distanceTransform((~changed).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(gap, np.float32)


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
    nearby = np.asarray(cv2.dilate(levels, disc(BORDER)), np.float32)
    core = cv2.erode(flags.astype(np.uint8), disc(BORDER), borderType=cv2.BORDER_REPLICATE)
    clear = (levels > np.minimum(BORDER_SHARE * nearby, BORDER_LEVELS)) | core.astype(bool)
    faint = flags & ~clear & (levels > np.minimum(SHADOW_SHARE * nearby, BORDER_LEVELS))
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
