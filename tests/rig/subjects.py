"""Subjects before a background, drawn with their true alpha: products, hair, fur, glass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from rig.studio import Pixels, pink, ramp

Plane = npt.NDArray[np.float32]  # height x width

SHADOW_DEPTH, SHADOW_SOFTNESS = 0.35, 0.02  # a share of the light; shares of the shorter side
FINER = 2  # times the size in which outlines are drawn


@dataclass(frozen=True, slots=True)
class Subject:
    """What stands before a background."""

    alpha: Plane  # 0 = the background alone shows, 1 = the subject alone
    colours: Pixels  # of the subject, everywhere

    def shaded(self, ground: Pixels) -> Pixels:
        """A ground with the soft shadow that it throws."""
        height, width = self.alpha.shape
        short = min(height, width)
        moved = np.array([[1, 0, 0.022 * short], [0, 1, 0.035 * short]], np.float32)
        cast = cv2.warpAffine(self.alpha, moved, (width, height))
        shadow = cv2.GaussianBlur(cast, (0, 0), SHADOW_SOFTNESS * short)
        return np.asarray(ground * (1 - SHADOW_DEPTH * shadow[..., None]), np.float32)

    def before(self, ground: Pixels) -> Pixels:
        """The picture of it before a ground as it is."""
        cover = self.alpha[..., None]
        return np.asarray(ground + (self.colours - ground) * cover, np.float32)

    def inner(self, reach: int) -> npt.NDArray[np.bool_]:
        """What is the subject alone, and further than `reach` pixels from its outline."""
        opaque = (self.alpha > 0.999).astype(np.uint8)
        distance = cv2.distanceTransform(opaque, cv2.DIST_L2, 5)
        return np.asarray(distance > reach)

    def band(self, reach: int) -> npt.NDArray[np.bool_]:
        """What lies within `reach` pixels of the outline, soft parts included."""
        soft = ((self.alpha > 0.001) & (self.alpha < 0.999)).astype(np.uint8)
        covered = (self.alpha > 0.5).astype(np.uint8)
        edge = cv2.morphologyEx(covered, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        size = (2 * reach + 1, 2 * reach + 1)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size)
        return np.asarray(cv2.dilate(np.maximum(soft, edge), disc) > 0)


def subject(kind: str, width: int, height: int, seed: int) -> Subject:
    """One of PRODUCTS or FINE; another seed has another tint."""
    chance = np.random.default_rng(seed * 131 + sum(map(ord, kind)))
    outlined = _Outline(width, height)
    (PRODUCTS | FINE)[kind](outlined, chance)
    alpha = outlined.alpha()
    return Subject(alpha, _tinted(alpha, chance, detail=outlined.detail))


class _Outline:
    """Shapes in shares of the shorter side, x and y from the centre of the picture."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._scale = min(width, height) * FINER
        self._cover = np.zeros((height * FINER, width * FINER), np.uint8)
        self._opacity: list[tuple[Plane, float]] = []
        self.detail = 2.5  # levels of texture
        self.softness = 0.0  # pixels

    def alpha(self) -> Plane:
        size = self._size
        cover = _smaller(self._cover, size)
        for where, opacity in self._opacity:
            cover *= 1 - (1 - opacity) * where
        if self.softness:
            cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), self.softness), np.float32)
        return cover

    def filled(self, points: npt.NDArray[np.floating], level: int = 255) -> None:
        cv2.fillPoly(self._cover, [self._placed(points)], (level,), cv2.LINE_AA, shift=4)

    def line(self, points: npt.NDArray[np.floating], pixels: float, level: int = 255) -> None:
        placed = [self._placed(points)]
        thick = max(1, round(pixels * FINER))
        cv2.polylines(self._cover, placed, False, (level,), thick, cv2.LINE_AA, shift=4)

    def glassy(self, points: npt.NDArray[np.floating], opacity: float) -> None:
        """Let what is covered here shine through, as glass does."""
        where = np.zeros_like(self._cover)
        cv2.fillPoly(where, [self._placed(points)], (255,), cv2.LINE_AA, shift=4)
        self._opacity.append((_smaller(where, self._size), opacity))

    def _placed(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
        centre = np.array(self._cover.shape[::-1]) / 2
        placed = np.rint((points * self._scale + centre) * 16)
        return placed.astype(np.int32)


def _smaller(cover: npt.NDArray[np.uint8], size: tuple[int, int]) -> Plane:
    mean = np.asarray(cv2.resize(cover, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(mean / np.float32(255), np.float32)


def _tinted(alpha: Plane, chance: np.random.Generator, detail: float) -> Pixels:
    """A soft tint, lit from one side, with a gloss and a little texture, as products have."""
    height, width = alpha.shape
    base = chance.uniform(60, 215, 3).astype(np.float32)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = 1.05 - 0.35 * across - 0.25 * down
    gloss = 55 * np.exp(-((across + 0.12) ** 2 * 60 + (down + 0.2) ** 2 * 9))
    colours = base * light[..., None] + gloss[..., None]
    colours = colours + pink(width, height, chance, 0.8)[..., None] * detail
    return np.asarray(np.clip(colours, 4, 251), np.float32)


def _round(x: float, y: float, wide: float, high: float, power: float = 2.0) -> Pixels:
    """A superellipse."""
    turn = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.stack(
        [
            x + wide * np.sign(cosine) * np.abs(cosine) ** (2 / power),
            y + high * np.sign(sine) * np.abs(sine) ** (2 / power),
        ],
        axis=1,
    )


def _turned(heights: list[float], radii: list[float]) -> Pixels:
    """The silhouette of something turned on a lathe."""
    down = np.linspace(heights[0], heights[-1], 200)
    reach = np.interp(down, heights, radii)
    reach = np.convolve(np.pad(reach, 6, mode="edge"), np.ones(13) / 13, mode="valid")
    right, left = np.stack([reach, down], axis=1), np.stack([-reach, down], axis=1)
    return np.vstack([right, left[::-1]])


def _bottle(outline: _Outline, _: np.random.Generator) -> None:
    heights = [-0.36, -0.30, -0.29, -0.16, -0.06, 0.33, 0.36]
    outline.filled(_turned(heights, [0.045, 0.045, 0.036, 0.036, 0.11, 0.11, 0.10]))


def _mug(outline: _Outline, _: np.random.Generator) -> None:
    outline.filled(_round(0.16, 0.02, 0.13, 0.14))
    outline.filled(_round(0.16, 0.02, 0.09, 0.10), level=0)
    outline.filled(_round(-0.03, 0.0, 0.19, 0.23, power=6))


def _vase(outline: _Outline, _: np.random.Generator) -> None:
    heights = [-0.34, -0.30, -0.18, 0.08, 0.28, 0.34]
    outline.filled(_turned(heights, [0.11, 0.075, 0.06, 0.19, 0.11, 0.12]))


def _jar(outline: _Outline, _: np.random.Generator) -> None:
    outline.filled(_round(0, 0.08, 0.2, 0.17, power=5))
    outline.filled(_round(0, -0.15, 0.18, 0.08, power=7))


def _pear(outline: _Outline, _: np.random.Generator) -> None:
    heights = [-0.28, -0.26, -0.12, 0.0, 0.14, 0.27, 0.31]
    outline.filled(_turned(heights, [0.0, 0.05, 0.08, 0.15, 0.21, 0.14, 0.0]))
    outline.line(np.array([[0.0, -0.26], [0.015, -0.31], [0.04, -0.35]]), 9)
    outline.softness = 1.2


def _bag(outline: _Outline, _: np.random.Generator) -> None:
    outline.line(_round(0, -0.1, 0.13, 0.2), 16)
    outline.filled(_round(0, 0.12, 0.24, 0.18, power=7))


def _hair(outline: _Outline, chance: np.random.Generator) -> None:
    """A head with strands of one and two pixels, some of them lying across each other."""
    outline.filled(_round(0, 0.06, 0.19, 0.24, power=2.3))
    for _ in range(260):
        turn = chance.uniform(np.pi * 0.95, np.pi * 2.05)
        start = np.array([0.185 * np.cos(turn), 0.05 + 0.22 * np.sin(turn)])
        way = np.array([np.cos(turn), np.sin(turn)]) * chance.uniform(0.04, 0.13)
        bend = chance.normal(0, 0.03, 2)
        steps = np.linspace(0, 1, 12)[:, None]
        outline.line(start + way * steps + bend * steps**2, float(chance.uniform(1, 2)))
    outline.detail = 9.0


def _fur(outline: _Outline, chance: np.random.Generator) -> None:
    outline.filled(_round(0, 0.02, 0.23, 0.22, power=2.2))
    for _ in range(1400):
        turn = chance.uniform(0, 2 * np.pi)
        start = np.array([0.225 * np.cos(turn), 0.02 + 0.215 * np.sin(turn)])
        along = turn + chance.normal(0, 0.35)
        reach = chance.uniform(0.01, 0.035)
        end = start + reach * np.array([np.cos(along), np.sin(along)])
        outline.line(np.stack([start, end]), float(chance.uniform(1, 2.2)))
    outline.softness = 0.7
    outline.detail = 12.0


def _blurred(outline: _Outline, _: np.random.Generator) -> None:
    """Out of focus at its outline."""
    outline.filled(_round(0, 0.0, 0.24, 0.2, power=2.5))
    outline.softness = 7.0


def _glass(outline: _Outline, _: np.random.Generator) -> None:
    """A goblet whose bowl lets half of the ground shine through."""
    heights = [-0.33, -0.2, 0.0, 0.05, 0.27, 0.3, 0.32]
    outline.filled(_turned(heights, [0.15, 0.17, 0.1, 0.02, 0.02, 0.1, 0.13]))
    bowl = _turned([-0.32, -0.2, -0.02], [0.13, 0.15, 0.08])
    outline.glassy(bowl, 0.5)


def _handles(outline: _Outline, _: np.random.Generator) -> None:
    """A basket: a thin handle, and holes of a few pixels."""
    outline.line(_round(0, -0.06, 0.2, 0.26), 5)
    outline.filled(_round(0, 0.14, 0.26, 0.16, power=6))
    for column in np.arange(-0.2, 0.21, 0.05):
        for row in (0.06, 0.12, 0.18, 0.24):
            outline.filled(_round(column, row, 0.014, 0.018), level=0)


Drawn = Callable[[_Outline, np.random.Generator], None]
PRODUCTS: dict[str, Drawn] = {
    "bottle": _bottle,
    "mug": _mug,
    "vase": _vase,
    "jar": _jar,
    "pear": _pear,
    "bag": _bag,
}
FINE: dict[str, Drawn] = {
    "hair": _hair,
    "fur": _fur,
    "blurred": _blurred,
    "glass": _glass,
    "handles": _handles,
}


def ground(kind: str, width: int, height: int, seed: int) -> Pixels:
    """A background: light, dark, gradient or textured."""
    chance = np.random.default_rng(seed * 17 + sum(map(ord, kind)))
    match kind:
        case "light":
            base = ramp(width, height, chance, 212, 248)
        case "dark":
            base = ramp(width, height, chance, 12, 48)
        case "gradient":
            base = ramp(width, height, chance, 40, 225)
        case "textured":
            grain = pink(width, height, chance)[..., None] * chance.uniform(8, 14, 3)
            base = ramp(width, height, chance, 80, 180) + grain.astype(np.float32)
        case _:
            raise KeyError(kind)
    noise = chance.normal(0, 1, base.shape)
    return np.clip(base + noise, 0, 255).astype(np.float32)
