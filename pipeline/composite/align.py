"""How an edit lies on its original: found by points that both share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.arrays import Canvas, Flags, Plane, blurred, luma, slope, variance

Points = npt.NDArray[np.float32]  # n x 2, x and y

MOST_POINTS = 2000
WINDOW = (19, 19)
NEAR = 0.6  # pixels between where a point is found and where it should be
LEAST_POINTS = 12
COARSER = (1, 2, 4)  # parts of the size at which is looked
LEAST_SIDE = 48  # pixels
LEAST_SHARE = 0.08  # of the points that were found again
MOST_ERROR = 0.35  # pixels: how far off the far end of the picture may be
STEEP, AROUND = 4.0, 12  # levels a pixel of levelled brightness; pixels
EDITED = 50.0  # levels
BETTER = 0.98  # of the difference without a movement
STILL = 0.08  # pixels; less is no drift
MOST_ZOOM, MOST_DEGREES, MOST_SHIFT = 0.05, 2.0, 0.03  # what drift can be; shift of the long side


def levelled(canvas: Canvas, factor: int) -> Canvas:
    """Return brightness with equal mean and contrast everywhere: new light changes little."""
    size = canvas.shape[1] // factor, canvas.shape[0] // factor
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    grey = blurred(luma(np.asarray(small, np.uint8)), 0.8)
    spread = np.sqrt(variance(grey, 12))
    off = 48 * (grey - blurred(grey, 12))
    levelled: Canvas = np.clip(128 + off / (spread + 3), 0, 255).astype(np.uint8)
    return levelled


def textured_points(levelled: Canvas) -> Points:
    """Return places that look like no other place near them (Shi and Tomasi 1994)."""
    distance = max(4.0, math.sqrt(levelled.size / MOST_POINTS) * 0.6)
    found = cv2.goodFeaturesToTrack(levelled, MOST_POINTS, 0.02, distance, blockSize=7)
    empty = np.zeros((0, 2), np.float32)
    return empty if found is None else np.asarray(found, np.float32).reshape(-1, 2)


def followed(first: Canvas, second: Canvas, start: Points, guess: Points) -> tuple[Points, Points]:
    """Return the points that are found in the second picture and lead back from there."""
    there, seen, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        start,
        guess.copy(),
        winSize=WINDOW,
        maxLevel=3,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    back, seen_back, _ = cv2.calcOpticalFlowPyrLK(
        second,
        first,
        there,
        start.copy(),
        winSize=WINDOW,
        maxLevel=3,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    good = (seen.ravel() == 1) & (seen_back.ravel() == 1)
    good &= np.hypot(*(back - start).T) < NEAR
    return start[good], np.asarray(there, np.float32)[good]


def around(points: Points, shape: tuple[int, ...], reach: int) -> Flags:
    """Mark the squares around points of a picture."""
    marked = np.zeros(shape, np.uint8)
    places = np.clip(np.rint(points), 0, np.array(shape[1::-1]) - 1).astype(int)
    marked[places[:, 1], places[:, 0]] = 1
    side = 2 * reach + 1
    return np.asarray(cv2.dilate(marked, np.ones((side, side), np.uint8)), bool)


Matrix = npt.NDArray[np.float64]  # 2 x 3


@dataclass(frozen=True, slots=True)
class Aligned:
    """The edit is the canvas moved: a point p of the canvas lies at `matrix` p of the edit."""

    matrix: Matrix
    zoom: float
    degrees: float  # counter-clockwise
    shift: tuple[float, float]  # of the centre, right and down, pixels of the canvas
    points: Points  # where on the canvas the two agree
    uncertainty: float  # pixels, at the farthest corner


@dataclass(frozen=True, slots=True)
class Unaligned:
    """Nothing says how the edit lies; it is taken as it is."""

    why: str

    @property
    def matrix(self) -> Matrix:
        """Every point where it was."""
        return np.eye(2, 3)


Alignment = Aligned | Unaligned


def align(before: Canvas, after: Canvas) -> Alignment:
    """Find the similarity between two canvases of one size, by points that both show.

    Points with a texture of their own are followed from one to the other and back (Bouguet's
    pyramidal Lucas-Kanade), RANSAC finds the similarity that most of them agree on. Most of the
    picture may have changed, as long as something textured is left. Where fine texture says
    nothing, coarser looks are taken; they are less exact, which shows as little.
    """
    found: Alignment = Unaligned("there is too little texture to align by")
    for factor in COARSER:
        if min(before.shape[:2]) < LEAST_SIDE * factor:
            break
        found = _aligned(before, after, factor)
        if isinstance(found, Aligned):
            return _verified(found, before, after, factor)
    return found


def _verified(found: Aligned, before: Canvas, after: Canvas, factor: int) -> Aligned:
    """The same, or no movement where it explains no more than that.

    A few points along one edge agree on many a movement; the steep places around them do not.
    """
    first, second = levelled(before, factor).astype(np.float32), levelled(after, factor)
    steep = slope(first)
    places = around(found.points / np.float32(factor), first.shape, AROUND) & (steep > STEEP)
    if not places.any():
        return found
    if _apart(first, second, places, _reduced(found.matrix, factor)) < BETTER * _apart(
        first, second, places, np.eye(2, 3)
    ):
        return found
    return Aligned(np.eye(2, 3), 1.0, 0.0, (0.0, 0.0), found.points, found.uncertainty)


def _reduced(matrix: Matrix, factor: int) -> Matrix:
    """The same movement at a part of the size, pixel centres at halves."""
    centre = np.full(2, (factor - 1) / 2)
    moved = matrix[:, :2] @ centre + matrix[:, 2] - centre
    return np.hstack([matrix[:, :2], moved[:, None] / factor])


def _apart(first: Plane, second: Canvas, places: Flags, matrix: Matrix) -> float:
    """How much two levelled pictures differ; what differs much was edited and counts alike."""
    height, width = first.shape
    way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        second, matrix, (width, height), flags=way, borderMode=cv2.BORDER_REFLECT
    )
    return float(np.minimum(np.abs(first - moved)[places], EDITED).mean())


def _aligned(before: Canvas, after: Canvas, factor: int) -> Alignment:
    """Align at a part of the size."""
    first, second = levelled(before, factor), levelled(after, factor)
    start = textured_points(first)
    if len(start) < LEAST_POINTS:
        return Unaligned("there is too little texture to align by")
    found = _similarity(*followed(first, second, start, start))
    if found is None:
        return Unaligned("too few points of the original are found again")
    start, end = followed(first, second, start, _moved(start, found[0]))
    centre = np.float32((factor - 1) / 2)
    start, end = start * factor + centre, end * factor + centre
    return _judged(start, end, before.shape[1], before.shape[0], factor)


def _similarity(
    start: Points, end: Points, near: float = NEAR
) -> tuple[Matrix, npt.NDArray[np.bool_]] | None:
    if len(start) < LEAST_POINTS:
        return None
    cv2.setRNGSeed(1)
    matrix, inliers = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=near, maxIters=5000, confidence=0.999
    )
    if matrix is None or int(inliers.sum()) < LEAST_POINTS:
        return None
    return np.asarray(matrix, np.float64), inliers.ravel().astype(bool)


def _moved(points: Points, matrix: Matrix) -> Points:
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def _judged(start: Points, end: Points, width: int, height: int, factor: int) -> Alignment:
    found = _similarity(start, end, NEAR * factor)
    if found is None or found[1].sum() < max(LEAST_POINTS, LEAST_SHARE * len(start)):
        return Unaligned("too few points of the original are found again")
    matrix, agree = found
    points = start[agree]
    off = np.hypot(*(_moved(points, matrix) - end[agree]).T)
    uncertainty = _uncertainty(points, float(np.sqrt((off**2).mean())), width, height)
    made = _described(matrix, points, uncertainty, width, height)
    if _is_still(matrix, uncertainty, width, height):
        return Aligned(np.eye(2, 3), 1.0, 0.0, (0.0, 0.0), points, uncertainty)
    if uncertainty > MOST_ERROR * math.sqrt(factor):
        return Unaligned("the points found again lie too close together")
    if abs(made.zoom - 1) > MOST_ZOOM or abs(made.degrees) > MOST_DEGREES:
        return Unaligned("what was found is no drift: too much zoom or rotation")
    if math.hypot(*made.shift) > MOST_SHIFT * max(width, height) + 2:
        return Unaligned("what was found is no drift: too far a shift")
    return made


def _uncertainty(points: Points, off: float, width: int, height: int) -> float:
    """Return the standard error of the fit at the farthest corner, in pixels.

    That of a line fitted by least squares, with the spread of the points for its lever.
    """
    centre = points.mean(axis=0)
    spread = float(((points - centre) ** 2).sum(axis=1).mean())
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float32)
    reach = float(((corners - centre) ** 2).sum(axis=1).max())
    return max(off, 0.05) * math.sqrt((1 + reach / max(spread, 1.0)) / len(points))


def _is_still(matrix: Matrix, uncertainty: float, width: int, height: int) -> bool:
    """Whether no corner moves by more than what the fit may be off."""
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float32)
    moved = np.hypot(*(_moved(corners, matrix) - corners).T).max()
    return bool(moved < max(STILL, 2 * uncertainty))


def _described(
    matrix: Matrix, points: Points, uncertainty: float, width: int, height: int
) -> Aligned:
    zoom = math.hypot(matrix[0, 0], matrix[1, 0])
    degrees = math.degrees(math.atan2(matrix[0, 1], matrix[0, 0]))
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = matrix[:, :2] @ centre + matrix[:, 2] - centre
    return Aligned(matrix, zoom, degrees, (float(shift[0]), float(shift[1])), points, uncertainty)
