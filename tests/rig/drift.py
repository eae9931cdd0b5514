"""What models do to what they were not asked to change.

Moved, zoomed, turned, tinted, blurred; and what real models do besides: texture drawn anew, a tone
that varies slowly, regions that moved on their own, outlines sharper than they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rig.studio import Pixels, outline

Canvas = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]  # height x width


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
    redrawn: float = 0.0  # pixels by which fine texture strays, deviation; edges and letters stay
    texture_contrast: float = 1.0  # by what the contrast of texture is multiplied
    slow_tone: float = 0.0  # levels, deviation of what varies over places, channels and levels
    strayed: float = 0.0  # pixels by which some regions moved on their own, at most
    sharpening: float = 0.0  # share of what a blur of a pixel takes that is added

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


def real(seed: int) -> Drift:
    """What real models do on a usual day: the medians of pairs of real models."""
    chance = np.random.default_rng(seed * 37 + 11)
    shift = chance.normal(0, 0.15, 2)
    gains = chance.uniform(0.985, 1.015, 3)
    is_sharper = chance.random() < 0.5
    return Drift(
        zoom=1 + 0.0003 * chance.uniform(-1, 1),
        shift=(shift[0], shift[1]),
        gains=(gains[0], gains[1], gains[2]),
        blur=0.0 if is_sharper else 0.4,
        noise=1.0,
        redrawn=1.0,
        texture_contrast=chance.choice([0.92, 1.08]),
        slow_tone=1.5,
        strayed=1.5,
        sharpening=0.25 if is_sharper else 0.0,
    )


def really_bad(seed: int) -> Drift:
    """A real model's bad day: what a tenth of the pairs of real models show."""
    chance = np.random.default_rng(seed * 41 + 13)
    shift = chance.uniform(-2, 2, 2)
    gains = chance.uniform(0.96, 1.04, 3)
    is_sharper = chance.random() < 0.5
    return Drift(
        zoom=1 + chance.choice([0.007, 0.041]),
        shift=(shift[0], shift[1]),
        gains=(gains[0], gains[1], gains[2]),
        blur=0.0 if is_sharper else 0.7,
        noise=1.5,
        jpeg_quality=90,
        redrawn=1.2,
        texture_contrast=chance.choice([0.85, 1.15]),
        slow_tone=2.5,
        strayed=4.0,
        sharpening=0.4 if is_sharper else 0.0,
    )


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
    apart = np.random.default_rng((seed, 1))  # the grain below stays what it was without it
    moved = _moved(_redrawn(made.astype(np.float32), drift, apart), drift, apart)
    if drift.blur > 0:
        moved = _blurred(moved, drift.blur)
    moved = moved + np.float32(drift.sharpening) * (moved - _blurred(moved, 1.0))
    chance = np.random.default_rng(seed)
    moved = moved * np.array(drift.gains, np.float32) + np.float32(drift.offset)
    if drift.slow_tone > 0:
        moved = moved + slow_tone(moved, drift.slow_tone, apart)
    moved = moved + _grain(moved.shape, drift.noise, chance)
    after = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return after if drift.jpeg_quality is None else _jpeg(after, drift.jpeg_quality)


def _redrawn(made: Pixels, drift: Drift, chance: np.random.Generator) -> Pixels:
    """Draw fine texture anew: another sample at 1-2 pixels, the same at 3-6.

    Each place is taken from a pixel beside it, another way every few pixels; not at edges and
    letters, which models keep.
    """
    if not drift.redrawn:
        return made
    height, width = made.shape[:2]
    texture = _texture(made)
    strays = [drift.redrawn * waves(width, height, 2.0, chance) * texture for _ in range(2)]
    anew = _taken(made, strays[0], strays[1])
    soft = _blurred(anew, 3.0)
    gain = 1 + (np.float32(drift.texture_contrast) - 1) * texture[..., None]
    return np.asarray(soft + (anew - soft) * gain, np.float32)


def _texture(made: Pixels) -> Plane:
    """Where there is texture: 1, and 0 around outlines and letters.

    Outlines are steep still when blurred, letters have more contrast than texture.
    """
    soft = _blurred(made, 2.5)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    outlined = np.clip(np.hypot(across, down).max(axis=2) / 2.5 - 1.4, 0, 1)
    inked = np.clip(np.abs(made - soft).max(axis=2) / 15 - 3, 0, 1)
    kept = cv2.dilate(np.maximum(outlined, inked), np.ones((5, 5), np.uint8))
    return 1 - _blurred(np.asarray(kept, np.float32), 1.0)


def _moved(made: Pixels, drift: Drift, chance: np.random.Generator) -> Pixels:
    height, width = made.shape[:2]
    matrix = drift.matrix(width, height)
    if drift.strayed:
        made = _taken(made, *_strays(width, height, drift.strayed, chance))
    moved = cv2.warpAffine(
        made,
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(moved, np.float32)


def _strays(
    width: int, height: int, most: float, chance: np.random.Generator
) -> tuple[Plane, Plane]:
    """Return how far each place moved, right and down: a third of a pixel, some regions more."""
    right, down = (0.25 * waves(width, height, width / 16, chance) for _ in range(2))
    for _ in range(4):
        region = outline(width, height, chance, chance.uniform(0.005, 0.02))
        region = _blurred(region, 3.0)
        turn, reach = chance.uniform(0, 2 * np.pi), most * chance.uniform(0.4, 1)
        right += region * np.float32(reach * np.cos(turn))
        down += region * np.float32(reach * np.sin(turn))
    return right, down


def slow_tone(made: Pixels, levels: float, chance: np.random.Generator) -> Pixels:
    """Levels to add: they vary slowly over the picture, and by channel and level."""
    height, width = made.shape[:2]
    soft = _blurred(made, 2.0)
    shared = waves(width, height, width / 8, chance)
    planes = []
    for channel in range(3):
        place = 0.7 * shared + 0.5 * waves(width, height, width / 10, chance)
        turn = chance.uniform(0, 2 * np.pi)
        level = 0.6 * np.sin(soft[..., channel] / 255 * 2 * np.pi + turn)
        planes.append(place + level)
    return np.asarray(levels * np.stack(planes, axis=2), np.float32)


def waves(width: int, height: int, length: float, chance: np.random.Generator) -> Plane:
    """Noise that varies over `length` pixels; mean about 0, deviation 1."""
    step = max(1, int(length / 3))  # few numbers say what varies slowly
    rows, columns, reach = height // step + 2, width // step + 2, 3 * int(np.ceil(length / step))
    field = chance.normal(0, 1, (rows + 2 * reach, columns + 2 * reach)).astype(np.float32)
    field = _blurred(field, length / step)[reach:-reach, reach:-reach]
    large = cv2.resize(field, (columns * step, rows * step), interpolation=cv2.INTER_CUBIC)
    large = large[:height, :width]
    return np.asarray(large / max(float(large.std()), 1e-6), np.float32)


def _taken(made: Pixels, right: Plane, down: Plane) -> Pixels:
    """A picture whose places moved by so many pixels."""
    rows, columns = np.mgrid[0 : made.shape[0], 0 : made.shape[1]].astype(np.float32)
    taken = cv2.remap(
        made, columns - right, rows - down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(taken, np.float32)


def _blurred(planes: npt.NDArray[np.float32], deviation: float) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(planes, (0, 0), deviation), np.float32)


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
