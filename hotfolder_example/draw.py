"""Draws the pictures of this example anew: python -m hotfolder_example.draw."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from training.drawing import coverage, draw, numbers
from training.scene import COLOURS, Backdrop, Scene, Thing, studio

INBOX = Path(__file__).with_name("inbox")
LANDSCAPE, PORTRAIT, SQUARE = (1600, 1200), (1200, 1600), (1600, 1600)

Pixels: TypeAlias = NDArray[np.float32]  # height x width x 3, or height x width, 0..1


@dataclass(frozen=True, slots=True)
class Still:
    """A scene, and the width and height at which it is taken."""

    size: tuple[int, int]
    scene: Scene

    def pixels(self) -> Pixels:
        """The picture."""
        width, height = self.size
        (pixels,) = draw(self._row(), height, width)
        return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())

    def image(self) -> Image.Image:
        """The picture in 8 bits a channel."""
        return Image.fromarray(_bytes(self.pixels()))

    def cover(self, index: int) -> Pixels:
        """Where one of its things is, without the thing's shadow."""
        width, height = self.size
        (cover,) = coverage(self._row(), height, width)[:, index]
        return np.asarray(cover.numpy(), np.float32)

    def _row(self) -> torch.Tensor:
        return torch.from_numpy(numbers([self.scene], len(self.scene.things)))


def taken(size: tuple[int, int], backdrop: Backdrop, *things: Thing) -> Still:
    """Put things before a backdrop."""
    return Still(size, Scene(backdrop=backdrop, things=things))


def thing(
    colour: str, shape: str, place: tuple[float, float], radius: float, turn: float = 0
) -> Thing:
    """A thing; its place is in shares of width and height, its radius of the shorter side."""
    x, y = place
    paint = COLOURS[colour]
    return Thing(shape=shape, colour=colour, paint=paint, x=x, y=y, radius=radius, turn=turn)


def backdrop(
    colour: str,
    seed: int,
    *,
    light: tuple[float, float] = (0.12, 0.1),
    floor: float = 0.66,
    floor_shade: float = 0.14,
) -> Backdrop:
    """A studio's backdrop in a colour; the seed chooses its texture."""
    ground = studio(random.Random(seed), 1).backdrop
    ground = replace(ground, colour=colour, paint=COLOURS[colour], light=light, vignette=0.18)
    return replace(ground, floor=floor, floor_shade=floor_shade)


def plain(ground: Backdrop) -> Backdrop:
    """Without texture, and lit from above alone: few different pixels, small files."""
    flat = tuple(replace(wave, strength=(0.0, 0.0, 0.0)) for wave in ground.waves)
    return replace(ground, waves=flat, light=(0.0, ground.light[1]), vignette=0.0)


STILLS = {
    "wall": taken(
        LANDSCAPE,
        backdrop("grey", 3),
        thing("red", "heart", (0.25, 0.42), 0.19, -0.12),
        thing("yellow", "star", (0.53, 0.66), 0.18, 0.2),
        thing("white", "ring", (0.79, 0.38), 0.17),
    ),
    "circle": taken(
        LANDSCAPE,
        plain(backdrop("pink", 5)),
        thing("green", "circle", (0.32, 0.46), 0.19),
        thing("blue", "square", (0.7, 0.58), 0.17, 0.2),
    ),
    "心形": taken(
        PORTRAIT,
        backdrop("white", 8, light=(0.18, 0.06), floor=0.72),
        thing("red", "heart", (0.4, 0.36), 0.19, 0.15),
        thing("yellow", "star", (0.64, 0.72), 0.17, -0.1),
    ),
    "ring": taken(
        SQUARE,
        backdrop("blue", 13, light=(-0.1, 0.16), floor=0.7),
        thing("orange", "ring", (0.34, 0.4), 0.19),
        thing("pink", "circle", (0.62, 0.7), 0.17),
    ),
    "still": taken(
        PORTRAIT,
        backdrop("white", 27, light=(-0.16, 0.12), floor=0.7),
        thing("blue", "square", (0.36, 0.34), 0.18, -0.2),
        thing("grey", "triangle", (0.68, 0.54), 0.19, 0.1),
        thing("pink", "circle", (0.32, 0.74), 0.16),
    ),
    "star": taken(
        LANDSCAPE,
        backdrop("brown", 34, light=(0.2, 0.04)),
        thing("white", "star", (0.3, 0.46), 0.19, -0.15),
        thing("orange", "ring", (0.72, 0.56), 0.17),
    ),
    "sample": taken((800, 600), backdrop("grey", 55), thing("blue", "circle", (0.5, 0.5), 0.19)),
    "heart": taken(
        LANDSCAPE,
        backdrop("green", 89, light=(0.1, 0.18), floor=0.62),
        thing("red", "heart", (0.5, 0.5), 0.19, 0.08),
        thing("yellow", "cross", (0.19, 0.58), 0.16, 0.25),
        thing("blue", "ring", (0.81, 0.44), 0.17),
    ),
    "pair": taken(
        LANDSCAPE,
        plain(backdrop("purple", 144, light=(0.0, 0.24))),
        thing("yellow", "star", (0.24, 0.54), 0.15, -0.2),
        thing("yellow", "star", (0.72, 0.54), 0.15, 0.2),
    ),
    "poster": taken(
        PORTRAIT,
        backdrop("orange", 233, light=(0.06, 0.2), floor=0.74),
        thing("white", "square", (0.5, 0.37), 0.19, 0.18),
        thing("green", "circle", (0.36, 0.7), 0.15),
    ),
    "cross": taken(
        SQUARE,
        backdrop("yellow", 377, light=(0.14, 0.14)),
        thing("red", "cross", (0.4, 0.44), 0.19, -0.2),
        thing("black", "ring", (0.7, 0.72), 0.16),
    ),
}


def save_all(inbox: Path) -> None:
    """Write every picture of the example."""
    (inbox / "album").mkdir(parents=True, exist_ok=True)
    for name in ("wall", "心形", "star", "sample", "heart", "cross"):
        save_photo(STILLS[name].image(), inbox / f"{name}.jpg")
    palette = STILLS["circle"].image().quantize(256, dither=Image.Dither.NONE)
    palette.save(inbox / "circle.png", optimize=True)
    STILLS["ring"].image().save(inbox / "ring.webp", quality=86)
    heart_alone = Image.fromarray(_bytes(1 - STILLS["heart"].cover(0)))
    heart_alone.save(inbox / "heart.mask.png", optimize=True)
    STILLS["poster"].image().convert("CMYK").save(inbox / "poster.jpg", quality=85)
    save_deep(STILLS["pair"].pixels(), inbox / "pair.png")
    save_lying(STILLS["still"].image(), inbox / "album" / "still.jpg")


def save_photo(image: Image.Image, path: Path) -> None:
    """Save as a camera does."""
    image.save(path, quality=88, dpi=(300, 300))


def save_lying(image: Image.Image, path: Path) -> None:
    """Save as a camera held upright does: the pixels lie, the EXIF says how to turn them."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees clockwise to view
    exif[0x010F] = "Hotfolder example"
    image.transpose(Image.Transpose.ROTATE_90).save(path, quality=88, exif=exif)


def save_deep(pixels: Pixels, path: Path) -> None:
    """Save as PNG with 16 bits a channel, which Pillow cannot write; see the PNG specification."""
    height, width, _ = pixels.shape
    samples = (pixels * 4095 + 0.5).astype(">u2") * 16  # as 12-bit cameras
    rows = samples.astype(">u2").view(np.uint8).reshape(height, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows - above])  # 2: up
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)  # 2: RGB
    body = zlib.compress(filtered.tobytes(), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def _bytes(pixels: Pixels) -> NDArray[np.uint8]:
    return (pixels * 255 + 0.5).astype(np.uint8)


if __name__ == "__main__":
    save_all(INBOX)
