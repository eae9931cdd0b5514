"""Ways back to the original's pixels: ours, and what else is done with a small edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from config.values import Region
from pipeline.composite.arrays import Colours, luma
from pipeline.composite.compare import Comparison, compare
from pipeline.composite.compose import Compared, Laid, compose

Canvas = npt.NDArray[np.uint8]

_DIFFERENT = 12.0  # levels: a usual threshold of a difference mask
_RADIUS, _EPSILON = 8, (0.02 * 255) ** 2  # He et al. 2010, as mostly set for detail


@dataclass(frozen=True, slots=True)
class Job:
    """An original and an edit of it at the model's size."""

    original: Canvas
    before: Canvas  # the original at the model's size
    after: Canvas  # the edit, with its drift

    def enlarged(self, canvas: Canvas) -> Colours:
        """A canvas at the original's size, and no more."""
        size = self.original.shape[1], self.original.shape[0]
        large = cv2.resize(canvas.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        return np.clip(large, 0, 255).astype(np.float32)


def ours(job: Job) -> tuple[Canvas, Comparison]:
    """What Hotfolder does, and what it found."""
    laid, found = composed(job)
    return np.asarray(laid.pixels, np.uint8), found


def composed(job: Job) -> tuple[Laid, Comparison]:
    """The same with what the receipt says."""
    found = compare(job.before, job.after)
    toned = found.in_tone(job.after)
    layer = Compared(colours=toned, raw=job.after, comparison=found, takes_all=False)
    whole = Region(0, 0, job.original.shape[1], job.original.shape[0])
    return compose(job.original, whole, layer, None), found


def plain(job: Job) -> Canvas:
    """Upscaled, cubic."""
    return _levels(job.enlarged(job.after))


def laplacian(job: Job) -> Canvas:
    """The original's fine bands on the upscaled edit, everywhere."""
    lost = job.original.astype(np.float32) - job.enlarged(job.before)
    return _levels(job.enlarged(job.after) + lost)


def guided(job: Job) -> Canvas:
    """The upscaled edit filtered with the original's brightness for its guide."""
    guide, source = luma(job.original), job.enlarged(job.after)
    mean, spread = _box(guide), _box(guide * guide)
    variance = spread - mean * mean
    planes = []
    for channel in range(3):
        plane = source[..., channel]
        shared = _box(guide * plane) - mean * _box(plane)
        gain = shared / (variance + _EPSILON)
        offset = _box(plane) - gain * mean
        planes.append(_box(gain) * guide + _box(offset))
    return _levels(np.stack(planes, axis=2))


def unaligned(job: Job) -> Canvas:
    """Pasted by a mask of the difference, without a look at how the edit lies."""
    weight = _difference(job)[..., None]
    base = job.original.astype(np.float32)
    return _levels(base + (job.enlarged(job.after) - base) * weight)


def seamless(job: Job) -> Canvas:
    """The same mask, pasted by OpenCV's seamlessClone (Perez et al. 2003)."""
    mask = (_difference(job) > 0.5).astype(np.uint8) * 255
    mask[0], mask[-1], mask[:, 0], mask[:, -1] = 0, 0, 0, 0
    x, y, width, height = cv2.boundingRect(mask)
    if not width * height:
        return job.original
    centre = (x + width // 2, y + height // 2)
    source = _levels(job.enlarged(job.after))
    cloned = cv2.seamlessClone(source, job.original, mask, centre, cv2.NORMAL_CLONE)
    return np.asarray(cloned, np.uint8)


RIVALS: dict[str, Callable[[Job], Canvas]] = {
    "plain upscale": plain,
    "Laplacian transfer": laplacian,
    "guided filter": guided,
    "unaligned difference mask": unaligned,
    "seamlessClone": seamless,
}


def _difference(job: Job) -> npt.NDArray[np.float32]:
    first, second = job.before.astype(np.float32), job.after.astype(np.float32)
    different = cv2.GaussianBlur(np.abs(second - first).max(axis=2), (0, 0), 1.5) > _DIFFERENT
    grown = cv2.dilate(different.astype(np.uint8), np.ones((5, 5), np.uint8))
    soft = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 1.5)
    size = job.original.shape[1], job.original.shape[0]
    return np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _box(plane: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    side = 2 * _RADIUS + 1
    return np.asarray(cv2.blur(plane, (side, side)), np.float32)


def _levels(colours: npt.NDArray[np.floating]) -> Canvas:
    levels: Canvas = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return levels
