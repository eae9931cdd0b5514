"""Pictures of a known scene, and what can be seen in the results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.drawing import coverage, draw, numbers
from training.exam import decibel
from training.scene import COLOURS, Backdrop, Scene, Thing, Wave

TOP = Path(__file__).parents[1]
SMALL_MODEL = TOP / "models" / "small"
STILL = Wave(across=1.0, down=1.0, phase=0.0, strength=(0.0, 0.0, 0.0))


def thing(
    shape: str, colour: str, x: float = 0.5, y: float = 0.5, *, radius: float = 0.17
) -> Thing:
    """A shape in its colour; x and y are shares of width and height."""
    return Thing(shape=shape, colour=colour, paint=COLOURS[colour], x=x, y=y, radius=radius)


def scene(ground: str, *things: Thing) -> Scene:
    """Things on a softly lit backdrop."""
    backdrop = Backdrop(
        colour=ground,
        paint=COLOURS[ground],
        light=(0.1, 0.1),
        vignette=0.1,
        floor=0.65,
        floor_shade=0.08,
        waves=(STILL,) * 10,
    )
    return Scene(backdrop=backdrop, things=things)


def picture(shown: Scene, width: int = 256, height: int = 256) -> torch.Tensor:
    """The scene in pixels: (3, height, width), 0..1."""
    return draw(torch.from_numpy(numbers([shown], len(shown.things))), height, width)[0]


def inside(shown: Scene, index: int, like: torch.Tensor, *, grown: float = 0.0) -> torch.Tensor:
    """Where a thing of the scene is: (height, width) bool; grown by shares of its shorter side."""
    one = shown.things[index]
    shown = shown.with_thing(index, replace(one, radius=one.radius + grown))
    rows = torch.from_numpy(numbers([shown], len(shown.things)))
    return coverage(rows, like.shape[-2], like.shape[-1])[0, index] > 0.5


def colour_of(pixels: torch.Tensor, where: torch.Tensor) -> str:
    """The name of the colour that a part of a picture has on the whole."""
    median = pixels[:, where].median(dim=1).values
    return min(COLOURS, key=lambda name: float((median - torch.tensor(COLOURS[name])).norm()))


def likeness_db(
    one: torch.Tensor, other: torch.Tensor, where: torch.Tensor | None = None
) -> float:
    """PSNR of two pictures, or of a part of them."""
    squared = (one - other).square()
    return decibel(float((squared if where is None else squared[:, where]).mean()))


def save(pixels: torch.Tensor, path: Path) -> None:
    """Write 8 bits a channel; JPEG without much loss."""
    values = (pixels.permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(values).save(path, quality=97, subsampling=0)


def load(path: Path) -> torch.Tensor:
    """(3, height, width), 0..1."""
    with Image.open(path) as opened:
        values = np.asarray(opened.convert("RGB"), np.float32) / 255
    return torch.from_numpy(values.copy()).permute(2, 0, 1)
