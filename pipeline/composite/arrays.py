"""The arrays that pictures are compared and laid as, and the few operations all of it needs."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Canvas = npt.NDArray[np.uint8]  # height x width x 3, sRGB, at the model's size
EightBits = npt.NDArray[np.uint8]  # height x width (x 3)
Colours = npt.NDArray[np.float32]  # height x width x 3, levels 0 to 255
Plane = npt.NDArray[np.float32]  # height x width
Flags = npt.NDArray[np.bool_]  # height x width


WIDE, WIDE_PART = 10.0, 4  # pixels; by what the sides are divided


def blurred(plane: npt.NDArray[np.float32], deviation: float) -> npt.NDArray[np.float32]:
    """Return a plane, or several, under a Gaussian of this deviation in pixels.

    A wide one is laid at a part of the size: nothing that it leaves is finer.
    """
    if deviation <= 0:
        return plane
    if deviation < WIDE:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), deviation), np.float32)
    height, width = plane.shape[:2]
    part = -(-width // WIDE_PART), -(-height // WIDE_PART)
    small = cv2.resize(plane, part, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), deviation / WIDE_PART, borderType=cv2.BORDER_REFLECT)
    return np.asarray(
        cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def largest(differences: npt.NDArray[np.floating]) -> Plane:
    """Return the largest difference of a channel in each pixel, whatever its sign."""
    return np.asarray(np.maximum.reduce(cv2.split(np.abs(differences))), np.float32)


def luma(colours: npt.NDArray[np.uint8] | Colours) -> Plane:
    """Return the brightness of RGB, levels 0 to 255 (ITU-R BT.601)."""
    levels = np.asarray(colours, np.float32)
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY), np.float32)


def opponent(colours: Colours) -> Colours:
    """Return brightness and two differences of colour, all about equally visible."""
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2YCrCb), np.float32)


def variance(plane: Plane, deviation: float) -> Plane:
    """Return the variance around each pixel, under a Gaussian of this deviation in pixels."""
    mean = blurred(plane, deviation)
    return np.asarray(np.maximum(blurred(plane * plane, deviation) - mean * mean, 0), np.float32)


def covariance(first: Plane, second: Plane, deviation: float) -> Plane:
    """Return how two planes vary together around each pixel, in the same window."""
    means = blurred(first, deviation) * blurred(second, deviation)
    return np.asarray(blurred(first * second, deviation) - means, np.float32)


def gradient(planes: npt.NDArray[np.float32]) -> tuple[Plane, Plane]:
    """Return by how many levels a pixel each plane rises to the right, and downwards."""
    across, down = (
        np.asarray(cv2.Sobel(planes, cv2.CV_32F, *way, ksize=3, scale=1 / 8), np.float32)
        for way in ((1, 0), (0, 1))
    )
    return across.reshape(planes.shape), down.reshape(planes.shape)


def slope(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return how steep each plane is, in levels a pixel."""
    return length(*gradient(planes))


def length(across: npt.NDArray[np.float32], down: npt.NDArray[np.float32]) -> Plane:
    """Return how long vectors are, the same to the bit wherever in memory the arrays lie.

    OpenCV's magnitude is not: what it calls on Intel's processors takes other ways for arrays that
    lie otherwise, and one picture would be laid in two ways on two days.
    """
    return np.asarray(np.sqrt(across * across + down * down), np.float32)


def near(flags: Flags, reach: int) -> Flags:
    """Return the flags with all that lies within `reach` pixels of them."""
    return np.asarray(cv2.dilate(flags.astype(np.uint8), disc(reach)), bool)


def disc(reach: int) -> npt.NDArray[np.uint8]:
    """Return what lies within `reach` pixels of a pixel, for OpenCV's morphology."""
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(shape, np.uint8)
