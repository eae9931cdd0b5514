"""Pictures with what real models change unasked: grass, fur, plain walls, lines of small words."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from rig.studio import Layer, Pixels, lettered, outline, over, pink, ramp


def scene(kind: str, width: int, height: int, seed: int) -> Pixels:
    """A picture of one of the SCENES; another seed is another picture."""
    chance = np.random.default_rng(seed * 103 + list(SCENES).index(kind))
    return np.clip(SCENES[kind](width, height, chance), 0, 255).astype(np.float32)


def strokes(
    base: Pixels, where: Layer, angle: float, chance: np.random.Generator, spread: float = 22.0
) -> Pixels:
    """Texture of many short strokes over `where`, as grass and fur have it; angle in turns."""
    height, width = base.shape[:2]
    texture = base.copy()
    for _ in range(width * height // 45):
        x, y = chance.uniform(0, width), chance.uniform(0, height)
        turn = 2 * np.pi * (angle + chance.normal(0, 0.05))
        length = chance.uniform(5, 16) * width / 1000
        end = (round(x + length * np.cos(turn)), round(y + length * np.sin(turn)))
        at = base[int(y), int(x)] + chance.normal(0, spread)
        cv2.line(texture, (round(x), round(y)), end, at.tolist(), 1, cv2.LINE_AA)
    return over(base, texture, where)


def _meadow(width: int, height: int, chance: np.random.Generator) -> Pixels:
    """A sky, a house with windows, a meadow."""
    sky = ramp(width, height, chance, 185, 225) + pink(width, height, chance)[..., None] * 3
    line = int(height * chance.uniform(0.35, 0.5))
    ground = np.zeros((height, width), np.float32)
    ground[line:] = 1
    green = (
        np.array([105, 125, 70], np.float32)
        * (1 + 0.15 * pink(width, height, chance, 1.2))[..., None]
    )
    base = strokes(over(sky, green, ground), ground, -0.25, chance)
    left, wide = int(width * chance.uniform(0.15, 0.5)), int(width * 0.25)
    top, low = line - height // 5, line + height // 12
    cv2.rectangle(base, (left, top), (left + wide, low), tuple(chance.uniform(60, 200, 3)), -1)
    for window in range(3):
        x = left + wide * (2 * window + 1) // 8 + wide // 16
        cv2.rectangle(
            base, (x, top + height // 20), (x + wide // 8, line - 8), (235, 235, 225), -1
        )
        cv2.rectangle(
            base, (x + 4, top + height // 20 + 4), (x + wide // 8 - 4, line - 12), (60, 70, 90), -1
        )
    return base + chance.normal(0, 1, base.shape).astype(np.float32)


def _fur(width: int, height: int, chance: np.random.Generator) -> Pixels:
    """An animal with a plate before a plain backdrop."""
    base = ramp(width, height, chance, 45, 80)
    body = np.zeros((height, width), np.float32)
    centre = (int(width * chance.uniform(0.45, 0.55)), int(height * 0.62))
    cv2.ellipse(
        body, centre, (int(width * 0.28), int(height * 0.5)), 0, 0, 360, (1,), -1, cv2.LINE_AA
    )
    body = np.asarray(cv2.GaussianBlur(body, (0, 0), 1.5), np.float32)
    coat = chance.uniform(130, 200, 3).astype(np.float32)
    shade = coat * (1 + 0.16 * pink(width, height, chance, 1.3))[..., None]
    base = strokes(over(base, shade, body), body, 0.2, chance, 18.0)
    for side in (-1, 1):
        eye = (centre[0] + side * width // 12, int(height * 0.33))
        cv2.circle(base, eye, width // 45, (180, 160, 60), -1, cv2.LINE_AA)
        cv2.circle(base, eye, width // 90, (15, 15, 15), -1, cv2.LINE_AA)
    x, y = centre[0] - width // 6, int(height * 0.6)
    cv2.rectangle(base, (x, y), (x + width // 3, y + height // 4), (205, 185, 150), -1)
    ink = np.full(3, 25, np.float32)
    place = (x + width // 40, y + height // 6)
    base = lettered(base, "fresh.ink", place, width / 620, ink=ink, stroke=max(1, width // 300))
    return base + chance.normal(0, 1, base.shape).astype(np.float32)


def _wall(width: int, height: int, chance: np.random.Generator) -> Pixels:
    """A plain wall with a picture on it, and a dark floor."""
    base = ramp(width, height, chance, 150, 215) + pink(width, height, chance, 1.4)[..., None] * 2
    line = int(height * chance.uniform(0.75, 0.85))
    base[line:] = ramp(width, height, chance, 15, 45)[line:]
    for _ in range(3):
        x, y = int(chance.uniform(0, width * 0.8)), int(chance.uniform(0.05, 0.5) * height)
        far = (x + int(width * chance.uniform(0.08, 0.2)), y + int(height * 0.22))
        cv2.rectangle(base, (x, y), far, tuple(chance.uniform(30, 230, 3)), -1, cv2.LINE_AA)
        cv2.rectangle(base, (x, y), far, tuple(chance.uniform(30, 90, 3)), 3, cv2.LINE_AA)
    return base + chance.normal(0, 0.7, base.shape).astype(np.float32)


def _poster(width: int, height: int, chance: np.random.Generator) -> Pixels:
    """A white page with coloured things, and a few lines of small words beside each."""
    base = np.full((height, width, 3), 252, np.float32)
    ink = np.full(3, 30, np.float32)
    across, down = width // 4, height // 2
    for place in range(8):
        x, y = place % 4 * across, place // 4 * down
        for line in range(4):
            words = "".join(chance.choice(list("abdefghiklmnoprstuvwy     "), 18))
            at = (x + width // 40, y + height // 16 + line * height // 24)
            base = lettered(base, words, at, width / 2000, ink=ink, stroke=1)
        thing = outline(across, down // 2, chance, 0.4)
        part = base[y + down // 2 : y + down // 2 + down // 2, x : x + across]
        shade = chance.uniform(40, 220, 3).astype(np.float32)
        part[:] = over(part, np.broadcast_to(shade, part.shape), thing[: part.shape[0]])
    return base


def _cover(width: int, height: int, chance: np.random.Generator) -> Pixels:
    """A bright book in the dark; under its title two faint lines of thin strokes."""
    return _book(width, height, chance, is_retitled=False)


def _book(width: int, height: int, chance: np.random.Generator, *, is_retitled: bool) -> Pixels:
    base = ramp(width, height, chance, 12, 40) + pink(width, height, chance)[..., None] * 9
    left, top = int(width * chance.uniform(0.1, 0.35)), int(height * chance.uniform(0.05, 0.2))
    right, low = left + width // 2, top + int(height * 0.75)
    cv2.rectangle(base, (left, top), (right, low), (238, 236, 232), -1)
    bar = tuple(chance.uniform(60, 220, 3))
    cv2.rectangle(base, (left, top + height // 20), (right, top + height // 5), bar, -1)
    place, size = (left + width // 30, top + height // 6), width / 500
    white = np.full(3, 250, np.float32)
    base = lettered(base, "Garden", place, size, ink=white, stroke=max(1, width // 300))
    contrast = chance.uniform(45, 61)
    if is_retitled:
        ink, place = np.full(3, 20, np.float32), (left + width // 8, top + int(height * 0.36))
        base = lettered(base, "2nd Edition", place, width / 900, ink=ink, stroke=2)
    else:
        base = _subtitled(base, (left + width // 10, top + height // 4), 237 - contrast)
    for line in range(5):
        at = (left + width // 20, top + height // 2 + line * height // 22)
        ink = chance.uniform(20, 60, 3).astype(np.float32)
        base = lettered(base, "roses, lilies and herbs", at, width / 1500, ink=ink, stroke=1)
    return base + chance.normal(0, 1, base.shape).astype(np.float32)


def _subtitled(base: Pixels, place: tuple[int, int], level: float) -> Pixels:
    height, width = base.shape[:2]
    strokes_of = cv2.FONT_HERSHEY_SIMPLEX
    cover = np.zeros((height, width), np.uint8)
    for line, words in enumerate(("for Town and Country", "from Spring to Fall")):
        at = (place[0], place[1] + line * height // 18)
        cv2.putText(cover, words, at, strokes_of, width / 1400, (255,), 2, cv2.LINE_AA)
    return over(base, np.full(3, level, np.float32), cover.astype(np.float32) / 255)


def retitled(width: int, height: int, seed: int) -> tuple[Pixels, Pixels]:
    """A cover, and the same after its faint lines went and other words were set beside."""
    before, after = (
        _book(width, height, np.random.default_rng(seed * 107), is_retitled=it)
        for it in (False, True)
    )
    return np.clip(before, 0, 255), np.clip(after, 0, 255)


SCENES: dict[str, Callable[[int, int, np.random.Generator], Pixels]] = {
    "meadow": _meadow,
    "fur": _fur,
    "wall": _wall,
    "poster": _poster,
    "cover": _cover,
}
