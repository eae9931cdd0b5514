"""Points with a texture of their own, followed from one canvas to another."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.planes import Canvas, Flags, blurred, luma

Points = npt.NDArray[np.float32]  # n x 2, x and y

MOST_POINTS = 2000
WINDOW = (19, 19)
NEAR = 0.6  # pixels between where a point is found and where it should be


def levelled(canvas: Canvas, factor: int) -> Canvas:
    """Return brightness with equal mean and contrast everywhere: new light changes little."""
    size = canvas.shape[1] // factor, canvas.shape[0] // factor
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    grey = blurred(luma(np.asarray(small, np.uint8)), 0.8)
    mean = blurred(grey, 12)
    spread = np.sqrt(np.maximum(blurred(grey * grey, 12) - mean * mean, 0))
    levelled: Canvas = np.clip(128 + 48 * (grey - mean) / (spread + 3), 0, 255).astype(np.uint8)
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
