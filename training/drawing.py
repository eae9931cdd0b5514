"""Scenes as pixels: drawn by formula, many at once, in any size, on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from training.scene import SHAPES, WAVES, Scene

THING_NUMBERS = 10
BACKDROP_NUMBERS = 8
WAVE_NUMBERS = 6
_SHADOW_OFFSET = 0.022, 0.035  # shares of the shorter side
_SHADOW_SOFTNESS = 0.022
_SHADOW_DEPTH = 0.42


def numbers(scenes: Sequence[Scene], most_things: int) -> np.ndarray:
    """All that drawing needs: (scenes, BACKDROP + WAVES * WAVE + most_things * THING) float32."""
    rows = np.zeros((len(scenes), row_length(most_things)), np.float32)
    for row, scene in zip(rows, scenes, strict=True):
        row[:] = _row(scene, most_things)
    return rows


def row_length(most_things: int) -> int:
    """How many numbers a scene of at most so many things is."""
    return BACKDROP_NUMBERS + WAVES * WAVE_NUMBERS + most_things * THING_NUMBERS


def _row(scene: Scene, most_things: int) -> list[float]:
    ground = scene.backdrop
    row = [*ground.paint, *ground.light, ground.vignette, ground.floor, ground.floor_shade]
    for wave in ground.waves:
        row += [wave.across, wave.down, wave.phase, *wave.strength]
    for thing in scene.things:
        row += [1.0, SHAPES.index(thing.shape), thing.x, thing.y, thing.radius, thing.turn]
        row += [*thing.paint, thing.shadow]
    # What is not there is drawn outside.
    row += [0.0, 0.0, -9.0, -9.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0] * (most_things - len(scene.things))
    return row


def draw(rows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Pixels of scenes given as rows of `numbers`: (scenes, 3, height, width), 0..1."""
    x, y = _coordinates(rows, height, width)
    ground_end = BACKDROP_NUMBERS
    waves_end = ground_end + WAVES * WAVE_NUMBERS
    waves = rows[:, ground_end:waves_end].unflatten(1, (WAVES, WAVE_NUMBERS))
    things = rows[:, waves_end:].unflatten(1, (-1, THING_NUMBERS))
    pixels = _ground(rows[:, :ground_end], waves, x, y)
    softness = 0.7 / min(height, width)
    for index in range(things.shape[1]):
        pixels = _with_thing(pixels, things[:, index], x, y, softness)
    return pixels.clamp(0, 1)


def quicken() -> None:
    """Compile the strokes; a whole picture in one piece takes minutes to compile."""
    module = globals()
    for stroke in ("_ground", "_with_thing"):
        module[stroke] = torch.compile(module[stroke])


def coverage(rows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Where each thing is: (scenes, things, height, width), 0 outside, 1 inside; no shadows."""
    x, y = _coordinates(rows, height, width)
    start = BACKDROP_NUMBERS + WAVES * WAVE_NUMBERS
    things = rows[:, start:].unflatten(1, (-1, THING_NUMBERS))
    softness = 0.7 / min(height, width)
    inside = [_inside(one, x, y, softness) for one in things.unbind(1)]
    return torch.stack(inside, dim=1)


def _coordinates(rows: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel centres in shorter sides: (1, 1, width) and (1, height, 1)."""
    short = min(height, width)
    x = (torch.arange(width, device=rows.device, dtype=rows.dtype) + 0.5) / short
    y = (torch.arange(height, device=rows.device, dtype=rows.dtype) + 0.5) / short
    return x.view(1, 1, -1), y.view(1, -1, 1)


def _each(values: torch.Tensor) -> torch.Tensor:
    """(scenes,) or (scenes, n) shaped for pixels."""
    return values[..., None, None]


def _ground(
    ground: torch.Tensor, waves: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    wide, high = x.max(), y.max()
    across, down = x / wide, y / high
    light = 1 - _each(ground[:, 3]) * across - _each(ground[:, 4]) * down
    light = light.clamp_max(1.08)
    far = (across - 0.5).square() + (down - 0.5).square()
    light = light * (1 - _each(ground[:, 5]) * 2 * far)
    below = torch.sigmoid((down - _each(ground[:, 6])) * 60)
    light = light * (1 - _each(ground[:, 7]) * below)
    texture = torch.ones((), device=x.device, dtype=x.dtype)
    for wave in waves.unbind(1):
        angle = 2 * math.pi * (_each(wave[:, 0]) * x + _each(wave[:, 1]) * y) + _each(wave[:, 2])
        texture = texture + _each(wave[:, 3:6]) * angle.sin()[:, None]
    return _each(ground[:, :3]) * light[:, None] * texture


def _with_thing(
    pixels: torch.Tensor, thing: torch.Tensor, x: torch.Tensor, y: torch.Tensor, softness: float
) -> torch.Tensor:
    right, below = _SHADOW_OFFSET
    shade = _inside(thing, x - right, y - below, _SHADOW_SOFTNESS) * _each(thing[:, 9])
    pixels = pixels * (1 - _SHADOW_DEPTH * shade)[:, None]
    u, v = _local(thing, x, y)
    light = 1.02 - 0.16 * u - 0.2 * v
    gloss = 0.22 * torch.exp(-((u + 0.35).square() + (v + 0.4).square()) * 9)
    paint = _each(thing[:, 6:9]) * light[:, None] + gloss[:, None]
    inside = _inside(thing, x, y, softness)[:, None]
    return pixels + (paint - pixels) * inside


def _local(
    thing: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates around a thing's centre, in its radii, upright as the picture is."""
    wide, high = _edges(x, y)
    radius = _each(thing[:, 4])
    return (x - _each(thing[:, 2]) * wide) / radius, (y - _each(thing[:, 3]) * high) / radius


def _edges(x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Width and height of the picture in shorter sides."""
    width, height = x.shape[-1], y.shape[-2]
    return width / min(width, height), height / min(width, height)


def _inside(
    thing: torch.Tensor, x: torch.Tensor, y: torch.Tensor, softness: float
) -> torch.Tensor:
    u, v = _local(thing, x, y)
    turn = _each(thing[:, 5])
    across = u * turn.cos() + v * turn.sin()
    down = v * turn.cos() - u * turn.sin()
    distance = _distance(_each(thing[:, 1]), across, down)
    radius = _each(thing[:, 4])
    return torch.sigmoid(-2.5 * distance * radius / softness) * _each(thing[:, 0])


def _distance(kind: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """About how far outside a shape of radius 1 a point is, negative inside."""
    far = (u.square() + v.square() + 1e-9).sqrt()
    ways = (
        far - 0.92,
        torch.maximum(u.abs(), v.abs()) - 0.8,
        _triangle(u, v, far),
        _star(u, v, far),
        (far - 0.72).abs() - 0.24,
        _heart(u, v),
        _cross(u, v),
    )
    distance = ways[0]
    for index, way in enumerate(ways[1:], start=1):
        distance = torch.where(kind == index, way, distance)
    return distance


def _triangle(u: torch.Tensor, v: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Equal sides, a corner on top: distance along the normal of the nearest side."""
    part = 2 * math.pi / 3
    aside = torch.remainder(torch.atan2(u, -v), part) - part / 2
    return far * aside.cos() - 0.5


def _star(u: torch.Tensor, v: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Five points on the unit circle, notches at 0.45 of it: distance from the nearest edge."""
    part = 2 * math.pi / 5
    aside = (torch.remainder(torch.atan2(u, -v) + part / 2, part) - part / 2).abs()
    along, across = far * aside.cos(), far * aside.sin()
    to_notch = 0.45 * math.cos(part / 2) - 1.0, 0.45 * math.sin(part / 2)
    return (across * -to_notch[0] + (along - 1.0) * to_notch[1]) / math.hypot(*to_notch)


def _heart(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Two round lobes and a point below: exact, after Inigo Quilez, "2D distance functions"."""
    x, y = 0.62 * u.abs(), 0.56 - 0.62 * v
    lobe = ((x - 0.25).square() + (y - 0.75).square() + 1e-9).sqrt() - math.sqrt(2) / 4
    half = 0.5 * (x + y).clamp_min(0)
    nearest = torch.minimum(
        x.square() + (y - 1).square(), (x - half).square() + (y - half).square()
    )
    flank = (nearest + 1e-9).sqrt() * torch.sign(x - y)
    return torch.where(x + y > 1, lobe, flank) / 0.62


def _cross(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Two crossing bars."""
    a, b = u.abs(), v.abs()
    upright = torch.maximum(a - 0.3, b - 0.9)
    lying = torch.maximum(a - 0.9, b - 0.3)
    return torch.minimum(upright, lying)
