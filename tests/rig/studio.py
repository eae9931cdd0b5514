"""Pictures of several kinds, drawn: smooth, textured, text, a face, a pattern, night and so on."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]  # height x width x 3, levels 0 to 255
Layer = npt.NDArray[np.integer | np.floating]


def picture(kind: str, width: int, height: int, seed: int) -> Pixels:
    """A picture of one of the KINDS; another seed is another picture."""
    chance = np.random.default_rng(seed * 101 + list(KINDS).index(kind))
    return np.clip(KINDS[kind](width, height, chance), 0, 255).astype(np.float32)


def pink(width: int, height: int, chance: np.random.Generator, fall: float = 1.0) -> Pixels:
    """Noise whose amplitude falls with frequency, as in photos; mean 0, deviation 1."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    gain = 1 / np.maximum(np.hypot(down, across), 1 / max(width, height)) ** fall
    gain[0, 0] = 0
    spectrum = np.fft.rfft2(chance.standard_normal((height, width), dtype=np.float32))
    field = np.fft.irfft2(spectrum * gain, s=(height, width)).astype(np.float32)
    result: Pixels = field / field.std()
    return result


def ramp(width: int, height: int, chance: np.random.Generator, low: float, high: float) -> Pixels:
    """A smooth slope between two colours."""
    angle = chance.uniform(0, 2 * np.pi)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    along = np.clip(across * np.cos(angle) + down * np.sin(angle) + 0.5, 0, 1)[..., None]
    first, second = chance.uniform(low, high, (2, 3))
    result: Pixels = (first + (second - first) * along).astype(np.float32)
    return result


def outline(width: int, height: int, chance: np.random.Generator, share: float) -> Pixels:
    """A soft-edged blob somewhere, 0 to 1, that covers about `share` of the picture."""
    radius = np.sqrt(share * width * height / np.pi)
    x = chance.uniform(min(radius * 1.1, width / 2), max(width - radius * 1.1, width / 2 + 1))
    y = chance.uniform(min(radius * 1.1, height / 2), max(height - radius * 1.1, height / 2 + 1))
    corners = int(chance.integers(3, 12))
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False) + chance.uniform(0, 6)
    reach = radius * chance.uniform(0.85, 1.15, corners) * (1.25 if corners < 6 else 1.05)
    points = np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], axis=1)
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, shift=4)
    return mask


def over(base: Pixels, layer: Layer, cover: Layer) -> Pixels:
    """A layer laid over a picture where `cover` is 1."""
    cover = np.asarray(cover, np.float32)[..., None]
    result: Pixels = (base + (layer - base) * cover).astype(np.float32)
    return result


def lettered(
    base: Pixels, words: str, place: tuple[int, int], size: float, *, ink: Pixels, stroke: int
) -> Pixels:
    """Words written on a picture."""
    cover = np.zeros(base.shape[:2], np.uint8)
    cv2.putText(cover, words, place, cv2.FONT_HERSHEY_DUPLEX, size, (255,), stroke, cv2.LINE_AA)
    return over(base, ink, cover.astype(np.float32) / 255)


def _blobs(base: Pixels, chance: np.random.Generator, count: int, spread: float) -> Pixels:
    height, width = base.shape[:2]
    for _ in range(count):
        cover = outline(width, height, chance, chance.uniform(0.005, 0.05))
        shade = ramp(width, height, chance, 20, 235)
        base = over(base, shade, cv2.GaussianBlur(cover, (0, 0), spread))
    return base


def _smooth(width: int, height: int, chance: np.random.Generator) -> Pixels:
    soft = _blobs(ramp(width, height, chance, 60, 200), chance, 7, width / 60)
    return soft + chance.normal(0, 1, soft.shape).astype(np.float32)


def _textured(width: int, height: int, chance: np.random.Generator) -> Pixels:
    grain = pink(width, height, chance)[..., None] * chance.uniform(18, 34, 3)
    base = ramp(width, height, chance, 90, 160) + grain.astype(np.float32)
    return _blobs(base, chance, 5, 1.0) + pink(width, height, chance, 0.7)[..., None] * 9


def _text(width: int, height: int, chance: np.random.Generator) -> Pixels:
    page = np.full((height, width, 3), chance.uniform(225, 250, 3), np.float32)
    size = width / 1100
    for line in range(int(30 * size) + 10, height - 10, int(34 * size)):
        words = "".join(chance.choice(list("abdefghiklmnoprstuvwy     "), 64))
        ink = chance.uniform(10, 60, 3).astype(np.float32)
        page = lettered(page, words, (int(width * 0.05), line), size * 0.8, ink=ink, stroke=1)
    return page + chance.normal(0, 1, page.shape).astype(np.float32)


def _face(width: int, height: int, chance: np.random.Generator) -> Pixels:
    base = np.asarray(
        cv2.GaussianBlur(_textured(width, height, chance), (0, 0), width / 120), np.float32
    )
    x, y, size = width * chance.uniform(0.4, 0.6), height * 0.5, height * 0.34
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    reach = np.hypot((across - x) / 0.75, down - y) / size
    cover = np.clip((1 - reach) * size / 2, 0, 1)
    skin = np.array([205, 160, 135], np.float32) - 45 * (reach[..., None] ** 2)
    base = over(base, skin + pink(width, height, chance)[..., None] * 4, cover)
    for side in (-0.33, 0.33):
        eye = (int(x + side * size), int(y - 0.15 * size))
        cv2.ellipse(
            base, eye, (int(size * 0.13), int(size * 0.07)), 0, 0, 360, (240, 240, 238), -1
        )
        cv2.circle(base, eye, int(size * 0.06), tuple(chance.uniform(20, 90, 3)), -1, cv2.LINE_AA)
    mouth = (int(x), int(y + 0.45 * size))
    cv2.ellipse(base, mouth, (int(size * 0.26), int(size * 0.08)), 0, 0, 360, (160, 70, 75), -1)
    for strand in range(260):
        start = (int(x + (strand / 130 - 1) * size * 0.75), int(y - size * 0.75))
        end = (
            int(start[0] + chance.normal(0, 0.1) * size),
            int(start[1] - chance.uniform(0.1, 0.4) * size),
        )
        cv2.line(base, start, end, tuple(chance.uniform(20, 80, 3)), 1, cv2.LINE_AA)
    return base + chance.normal(0, 1.5, base.shape).astype(np.float32)


def _pattern(width: int, height: int, chance: np.random.Generator) -> Pixels:
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    step = width / chance.uniform(24, 40)
    row = np.floor(down / step)
    brick = ((across + (row % 2) * step) % (2 * step) > 0.12 * step) & (down % step > 0.12 * step)
    colour, joint = chance.uniform(90, 190, 3), chance.uniform(190, 230, 3)
    base = np.where(brick[..., None], colour, joint).astype(np.float32)
    return cv2.GaussianBlur(base, (0, 0), 0.8) + pink(width, height, chance, 0.7)[..., None] * 4


def _night(width: int, height: int, chance: np.random.Generator) -> Pixels:
    base = ramp(width, height, chance, 4, 22)
    for _ in range(90):
        x, y = int(chance.uniform(0, width)), int(chance.uniform(0, height))
        tint = tuple(chance.uniform(120, 255, 3))
        cv2.circle(
            base, (x, y), int(chance.uniform(1, 5) * width / 1000) + 1, tint, -1, cv2.LINE_AA
        )
    glow = cv2.GaussianBlur(base, (0, 0), width / 90)
    return np.maximum(base, glow * 2) + chance.normal(0, 3, base.shape).astype(np.float32)


def _high_key(width: int, height: int, chance: np.random.Generator) -> Pixels:
    base = ramp(width, height, chance, 232, 254)
    for _ in range(6):
        cover = outline(width, height, chance, chance.uniform(0.01, 0.06))
        base = over(base, base - chance.uniform(8, 40, 3).astype(np.float32), cover)
    return base + chance.normal(0, 1, base.shape).astype(np.float32)


def _shapes(width: int, height: int, chance: np.random.Generator) -> Pixels:
    """A studio scene: shaded shapes with soft shadows on a textured gradient."""
    base = ramp(width, height, chance, 70, 210) + pink(width, height, chance)[..., None] * 6
    for _ in range(3):
        cover = outline(width, height, chance, chance.uniform(0.02, 0.06))
        shadow = cv2.GaussianBlur(
            np.roll(cover, (width // 60, width // 80), (0, 1)), (0, 0), width / 80
        )
        base = base * (1 - 0.35 * shadow[..., None])
        base = over(base, ramp(width, height, chance, 30, 240), cover)
    return base + chance.normal(0, 1, base.shape).astype(np.float32)


KINDS: dict[str, Callable[[int, int, np.random.Generator], Pixels]] = {
    "smooth": _smooth,
    "textured": _textured,
    "text": _text,
    "face": _face,
    "pattern": _pattern,
    "night": _night,
    "high key": _high_key,
    "shapes": _shapes,
}
