"""What a drawn picture shows: things on a backdrop, as numbers that any size can be drawn from."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import TypeAlias

Colour: TypeAlias = tuple[float, float, float]  # sRGB, 0..1

COLOURS: dict[str, Colour] = {
    "red": (0.84, 0.17, 0.18),
    "orange": (0.93, 0.52, 0.12),
    "yellow": (0.95, 0.82, 0.23),
    "green": (0.20, 0.63, 0.30),
    "blue": (0.15, 0.37, 0.80),
    "purple": (0.50, 0.23, 0.68),
    "pink": (0.95, 0.55, 0.70),
    "brown": (0.48, 0.31, 0.18),
    "white": (0.94, 0.94, 0.93),
    "black": (0.11, 0.11, 0.13),
    "grey": (0.55, 0.55, 0.56),
}
SHAPES = ("circle", "square", "triangle", "star", "ring", "heart", "cross")
# Where a thing can be put: its centre as shares of width and height.
PLACES: dict[str, tuple[float, float]] = {
    "top left": (0.2, 0.22),
    "top right": (0.8, 0.22),
    "bottom left": (0.2, 0.78),
    "bottom right": (0.8, 0.78),
    "centre": (0.5, 0.5),
    "top": (0.5, 0.2),
    "bottom": (0.5, 0.8),
    "left": (0.2, 0.5),
    "right": (0.8, 0.5),
}
MOST_THINGS = 4  # of a scene, one that is added later counted
ADDED_RADIUS = 0.14
_COLOUR_JITTER = 0.05
_RADII = (0.11, 0.19)  # shares of the shorter side


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One flat shape with its paint."""

    shape: str  # one of SHAPES
    colour: str  # its name; `paint` is what is drawn
    paint: Colour
    x: float  # centre, share of the width
    y: float  # share of the height
    radius: float  # share of the shorter side
    turn: float = 0.0  # radians
    shadow: float = 1.0  # 0: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One sine of a texture; several make cloth, clouds or noise."""

    across: float  # periods per shorter side
    down: float
    phase: float  # radians
    strength: Colour  # added to each channel, as a share of the paint


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    """What lies behind the things."""

    colour: str
    paint: Colour
    light: tuple[float, float]  # towards where it gets darker, as a vector in the picture
    vignette: float
    floor: float  # height of the horizon, share of the height
    floor_shade: float  # how much darker the floor is; 0: none
    waves: tuple[Wave, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture before it is drawn."""

    backdrop: Backdrop
    things: tuple[Thing, ...]

    def with_thing(self, index: int, thing: Thing) -> Scene:
        """Return the scene with another thing in the place of one."""
        things = list(self.things)
        things[index] = thing
        return replace(self, things=tuple(things))

    def without(self, index: int) -> Scene:
        """Return the scene without one of its things."""
        return replace(self, things=self.things[:index] + self.things[index + 1 :])


def jittered(colour: str, chance: random.Random) -> Colour:
    """A paint that anybody would still call by that name."""
    red, green, blue = (
        min(1.0, max(0.0, one + chance.uniform(-_COLOUR_JITTER, _COLOUR_JITTER)))
        for one in COLOURS[colour]
    )
    return red, green, blue


def studio(chance: random.Random, aspect: float) -> Scene:
    """One to three things on a softly lit backdrop; `aspect` is width over height.

    No two things share both shape and colour, and none has the backdrop's colour.
    """
    ground = chance.choice(list(COLOURS))
    things: list[Thing] = []
    for _ in range(chance.choice((1, 1, 2, 2, 3))):
        thing = _thing(chance, ground, things, aspect)
        if thing is not None:
            things.append(thing)
    return Scene(backdrop=_backdrop(chance, ground), things=tuple(things))


def busy(chance: random.Random, aspect: float) -> Scene:
    """A crowded, textured picture that has nothing to name, in place of a photograph."""
    things = []
    for _ in range(chance.randint(0, 22)):
        radius = 0.03 + 0.3 * chance.random() ** 2
        paint = chance.random(), chance.random(), chance.random()
        things.append(
            Thing(
                shape=chance.choice(SHAPES),
                colour="",
                paint=paint,
                x=chance.uniform(-0.05, 1.05),
                y=chance.uniform(-0.05, 1.05),
                radius=radius,
                turn=chance.uniform(-math.pi, math.pi),
                shadow=chance.choice((0.0, 1.0)),
            )
        )
    things.sort(key=lambda thing: -thing.radius)
    paint = chance.random(), chance.random(), chance.random()
    backdrop = _backdrop(chance, "grey")
    waves = tuple(_rough_wave(chance) for _ in range(WAVES))
    return Scene(backdrop=replace(backdrop, paint=paint, waves=waves), things=tuple(things))


WAVES = 10


def free_places(scene: Scene, aspect: float) -> list[str]:
    """The names of the places where a thing can be added without touching another."""
    return [
        name
        for name, (x, y) in PLACES.items()
        if all(_apart(x, y, ADDED_RADIUS, other, aspect) for other in scene.things)
    ]


def _thing(chance: random.Random, ground: str, others: list[Thing], aspect: float) -> Thing | None:
    for _ in range(30):
        radius = chance.uniform(*_RADII)
        x, y = (_within(chance, radius, side) for side in _sides(aspect))
        shape = chance.choice(SHAPES)
        colour = chance.choice([name for name in COLOURS if name != ground])
        if any((other.shape, other.colour) == (shape, colour) for other in others):
            continue
        if all(_apart(x, y, radius, other, aspect) for other in others):
            return Thing(
                shape=shape,
                colour=colour,
                paint=jittered(colour, chance),
                x=x,
                y=y,
                radius=radius,
                turn=chance.uniform(-0.3, 0.3),
            )
    return None


def _sides(aspect: float) -> tuple[float, float]:
    """Width and height in shorter sides."""
    return max(1.0, aspect), max(1.0, 1 / aspect)


def _within(chance: random.Random, radius: float, side: float) -> float:
    margin = (radius + 0.04) / side
    return chance.uniform(margin, 1 - margin)


def _apart(x: float, y: float, radius: float, other: Thing, aspect: float) -> bool:
    width, height = _sides(aspect)
    distance = math.hypot((x - other.x) * width, (y - other.y) * height)
    return distance > 1.06 * (radius + other.radius)


def _backdrop(chance: random.Random, ground: str) -> Backdrop:
    angle = chance.uniform(0, 2 * math.pi)
    steep = chance.uniform(0.0, 0.32)
    grain = chance.choice((0.0, 0.02, 0.05))
    return Backdrop(
        colour=ground,
        paint=jittered(ground, chance),
        light=(steep * math.cos(angle), steep * math.sin(angle)),
        vignette=chance.uniform(0.0, 0.25),
        floor=chance.uniform(0.5, 0.75),
        floor_shade=chance.choice((0.0, chance.uniform(0.05, 0.2))),
        waves=tuple(_soft_wave(chance, grain) for _ in range(WAVES)),
    )


def _soft_wave(chance: random.Random, grain: float) -> Wave:
    period = 2.0 ** chance.uniform(0, 4)
    angle = chance.uniform(0, 2 * math.pi)
    strength = grain * chance.random()
    return Wave(
        across=period * math.cos(angle),
        down=period * math.sin(angle),
        phase=chance.uniform(0, 2 * math.pi),
        strength=(strength, strength, strength),
    )


def _rough_wave(chance: random.Random) -> Wave:
    """As in photographs, the finer the weaker."""
    period = 2.0 ** chance.uniform(-0.5, 5)
    angle = chance.uniform(0, 2 * math.pi)
    most = 0.5 / (1 + period) ** 0.7
    return Wave(
        across=period * math.cos(angle),
        down=period * math.sin(angle),
        phase=chance.uniform(0, 2 * math.pi),
        strength=(
            chance.uniform(-most, most),
            chance.uniform(-most, most),
            chance.uniform(-most, most),
        ),
    )
