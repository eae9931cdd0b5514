"""What models do to what they were not asked to change: moved, zoomed, turned, tinted, blurred."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rig.studio import Pixels

Canvas = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Of a picture at the model's size."""

    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # right and down, pixels
    degrees: float = 0.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: float = 0.0  # levels
    blur: float = 0.0  # pixels, deviation of a Gaussian
    noise: float = 0.0  # levels, deviation
    jpeg_quality: int | None = None

    def matrix(self, width: int, height: int) -> npt.NDArray[np.float64]:
        """Where a point goes (2 x 3), pixel centres at whole numbers."""
        centre = ((width - 1) / 2, (height - 1) / 2)
        matrix = cv2.getRotationMatrix2D(centre, self.degrees, self.zoom)
        moved = np.asarray(matrix, np.float64)
        moved[:, 2] += np.array(self.shift)
        return moved


def mild(seed: int) -> Drift:
    """A good model's day: less than half a percent, a pixel, two percent of tone."""
    return _drawn(
        seed, zoom=0.004, shift=1.0, degrees=0.0, tone=0.02, blur=0.6, noise=1.5, jpeg=None
    )


def bad(seed: int) -> Drift:
    """The worst that is repaired: 2 % zoom, 6 pixels, half a degree, 5 % of tone, JPEG."""
    return _drawn(seed, zoom=0.02, shift=6.0, degrees=0.5, tone=0.05, blur=1.0, noise=2.5, jpeg=85)


def _drawn(
    seed: int,
    *,
    zoom: float,
    shift: float,
    degrees: float,
    tone: float,
    blur: float,
    noise: float,
    jpeg: int | None,
) -> Drift:
    chance = np.random.default_rng(seed * 31 + 7)
    gains = 1 + tone * chance.uniform(-1, 1, 3)
    direction = chance.uniform(0, 2 * np.pi)
    return Drift(
        zoom=1 + zoom * chance.uniform(0.4, 1) * chance.choice([-1, 1]),
        shift=(shift * np.cos(direction), shift * np.sin(direction)),
        degrees=degrees * chance.uniform(-1, 1),
        gains=(gains[0], gains[1], gains[2]),
        blur=blur * chance.uniform(0.7, 1),
        noise=noise,
        jpeg_quality=jpeg,
    )


def canvas(pixels: Pixels, width: int, height: int) -> Canvas:
    """A picture at the model's size, as the model gets it."""
    image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def drifted(made: Canvas, drift: Drift, seed: int) -> Canvas:
    """What a model with this drift makes of its own ideal result."""
    height, width = made.shape[:2]
    moved = cv2.warpAffine(
        made.astype(np.float32),
        drift.matrix(width, height),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if drift.blur > 0:
        moved = cv2.GaussianBlur(moved, (0, 0), drift.blur)
    chance = np.random.default_rng(seed)
    moved = moved * np.array(drift.gains, np.float32) + np.float32(drift.offset)
    moved = moved + _grain(moved.shape, drift.noise, chance)
    after = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return after if drift.jpeg_quality is None else _jpeg(after, drift.jpeg_quality)


def _grain(shape: tuple[int, ...], noise: float, chance: np.random.Generator) -> Pixels:
    """Half of it single pixels, half of it blotches, as decoders leave them."""
    fine = chance.normal(0, 1, shape).astype(np.float32)
    blotches = chance.normal(0, 1, shape).astype(np.float32)
    coarse = np.asarray(cv2.GaussianBlur(blotches, (0, 0), 1.5), np.float32)
    coarse = coarse / max(float(coarse.std()), 1e-6)
    return np.asarray(noise * 0.7 * (fine + coarse), np.float32)


def _jpeg(pixels: Canvas, quality: int) -> Canvas:
    content = BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))
