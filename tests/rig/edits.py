"""Edits of known extent: an ideal editor, at full size, that changes only what it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from rig.studio import KINDS, Pixels, lettered, outline, over, picture, pink, ramp

Extent = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A picture after an ideal edit, and where it differs from before."""

    pixels: Pixels
    extent: Extent  # height x width; all False = null edit, all True = global


class Scope(NamedTuple):
    """Edits of one kind by their names."""

    local: tuple[str, ...] = ("paste", "recolour", "remove", "write")
    background: tuple[str, ...] = ("background",)
    whole: tuple[str, ...] = ("style", "relight", "grey", "darker", "warmer", "invert")
    null: tuple[str, ...] = ("nothing",)


SCOPE = Scope()


def edit(name: str, before: Pixels, seed: int) -> Edit:
    """Apply the edit of this name."""
    chance = np.random.default_rng(seed * 977 + 5)
    if name in SCOPE.whole:
        after = np.clip(_WHOLE[name](before, chance), 0, 255).astype(np.float32)
        return Edit(pixels=after, extent=np.ones(before.shape[:2], bool))
    if name in SCOPE.null:
        return Edit(pixels=before, extent=np.zeros(before.shape[:2], bool))
    layer, cover = _PARTS[name](before, chance)
    after = np.clip(over(before, layer, cover), 0, 255)
    return Edit(pixels=after, extent=cover > 0.5)


def _paste(before: Pixels, chance: np.random.Generator) -> tuple[Pixels, Pixels]:
    height, width = before.shape[:2]
    cover = outline(width, height, chance, chance.uniform(0.02, 0.2))
    local = before[cover > 0.5].mean(axis=0)
    shift = (np.where(local > 127, -1, 1) * chance.uniform(45, 110, 3)).astype(np.float32)
    grain = pink(width, height, chance)[..., None] * 10
    return np.clip(local + shift + ramp(width, height, chance, -25, 25) + grain, 0, 255), cover


def _recolour(before: Pixels, chance: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Other colours, the same structure."""
    height, width = before.shape[:2]
    cover = outline(width, height, chance, chance.uniform(0.02, 0.2))
    shift = chance.permutation([chance.uniform(35, 70), -chance.uniform(35, 70), 0])
    local = before[cover > 0.5].mean(axis=0)
    shift = np.where(local + shift > 245, -abs(shift), shift)
    shift = np.where(local + shift < 10, abs(shift), shift)
    return np.clip(before + shift.astype(np.float32), 0, 255), cover


def _remove(before: Pixels, chance: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Something goes, its surroundings spread: seen only where they differ."""
    height, width = before.shape[:2]
    cover = outline(width, height, chance, chance.uniform(0.02, 0.12))
    cover = np.maximum(cover, 0)
    soft = cv2.GaussianBlur(before, (0, 0), width / 12)
    grain = pink(width, height, chance)[..., None] * 3
    level = np.where(soft.mean() > 127, -35, 35).astype(np.float32)
    return np.clip(soft + level + grain, 0, 255), cover


def _write(before: Pixels, chance: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A plate with other words."""
    height, width = before.shape[:2]
    w, h = int(width * chance.uniform(0.25, 0.5)), int(height * chance.uniform(0.12, 0.25))
    x, y = int(chance.uniform(0, width - w)), int(chance.uniform(0, height - h))
    cover = np.zeros((height, width), np.float32)
    cover[y : y + h, x : x + w] = 1
    is_light = before[y : y + h, x : x + w].mean() > 127
    plate = np.full_like(before, 35 if is_light else 225) + ramp(width, height, chance, -20, 20)
    ink = np.full(3, 235 if is_light else 15, np.float32)
    place = (x + w // 12, y + int(h * 0.65))
    return lettered(plate, "SALE 42", place, h / 60, ink=ink, stroke=max(1, h // 20)), cover


def _background(before: Pixels, chance: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Everything but one thing is replaced."""
    height, width = before.shape[:2]
    kept = outline(width, height, chance, chance.uniform(0.15, 0.4))
    kind = str(chance.choice([kind for kind in KINDS if kind not in {"text", "pattern"}]))
    other = picture(kind, width, height, int(chance.integers(1000, 9999)))
    near = np.abs(other.mean() - before.mean()) < 30
    other = 255 - other if near else other
    return other, 1 - kept


def _style(before: Pixels, chance: np.random.Generator) -> Pixels:
    """As if painted: flat patches, other colours, drawn edges."""
    flat = np.asarray(before, np.uint8)
    for _ in range(2):
        half = cv2.bilateralFilter(cv2.resize(flat, None, fx=0.5, fy=0.5), 7, 50, 5)
        size = before.shape[1], before.shape[0]
        flat = np.asarray(cv2.resize(half, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    levels = np.floor(flat.astype(np.float32) / 40) * 40 + 20
    mixed = levels @ (
        np.eye(3, dtype=np.float32) * 0.7 + chance.uniform(0, 0.2, (3, 3)).astype(np.float32)
    )
    grey = cv2.GaussianBlur(before.mean(axis=2), (0, 0), 1.5)
    edges = np.clip(np.abs(cv2.Laplacian(grey, cv2.CV_32F, ksize=3)) * 6, 0, 110)
    grain = pink(before.shape[1], before.shape[0], chance)[..., None] * 6
    return np.asarray(mixed - edges[..., None] + grain, np.float32)


def _relight(before: Pixels, chance: np.random.Generator) -> Pixels:
    """Light from one side, of another colour."""
    height, width = before.shape[:2]
    light = ramp(width, height, chance, 0, 1).mean(axis=2, keepdims=True)
    light = (light - light.min()) / (np.ptp(light) + 1e-6)
    tint = np.array([1.15, 1.0, 0.75], np.float32)
    return np.asarray(before * (0.35 + 0.95 * light) * tint + 18 * light, np.float32)


def _grey(before: Pixels, chance: np.random.Generator) -> Pixels:
    weights = np.array([0.3, 0.59, 0.11], np.float32)
    grey = (before @ weights)[..., None] * np.ones(3, np.float32)
    return np.asarray((grey - 128) * chance.uniform(1.15, 1.35) + 118, np.float32)


def _darker(before: Pixels, chance: np.random.Generator) -> Pixels:
    return before * np.float32(chance.uniform(0.5, 0.75)) - 10


def _warmer(before: Pixels, chance: np.random.Generator) -> Pixels:
    strength = chance.uniform(0.13, 0.25)
    gains = np.array([1 + strength, 1.0, 1 - strength * 1.4], np.float32)
    return before * gains + np.array([14, 3, -16], np.float32)


def _invert(before: Pixels, _: np.random.Generator) -> Pixels:
    return 255 - before


_PARTS: dict[str, Callable[[Pixels, np.random.Generator], tuple[Pixels, Pixels]]] = {
    "paste": _paste,
    "recolour": _recolour,
    "remove": _remove,
    "write": _write,
    "background": _background,
}
_WHOLE: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "style": _style,
    "relight": _relight,
    "grey": _grey,
    "darker": _darker,
    "warmer": _warmer,
    "invert": _invert,
}
