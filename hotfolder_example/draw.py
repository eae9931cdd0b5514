"""Draws the pictures of this example anew: python hotfolder_example/draw.py."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

INBOX = Path(__file__).with_name("inbox")
_FINER = 3  # shapes are drawn so many times larger: smooth edges

Pixels = NDArray[np.float32]  # height x width x 3, or height x width for a mask, 0..1
Colour = tuple[float, float, float]
Points = Sequence[tuple[float, float]]


class Canvas:
    """A picture in the making; later strokes cover earlier ones."""

    def __init__(self, width: int, height: int, sky: Sequence[Colour]) -> None:
        """Begin with a background that runs from the first colour at the top to the last."""
        self.width, self.height = width, height
        self.rows, self.columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.pixels = self.between(sky, self.rows / (height - 1))

    def between(self, colours: Sequence[Colour], position: Pixels) -> Pixels:
        """Blend a row of colours: 0 gives the first, 1 the last."""
        stops = np.linspace(0, 1, len(colours))
        table = np.array(colours, np.float32)
        channels = [np.interp(position, stops, table[:, channel]) for channel in range(3)]
        return np.stack(channels, -1).astype(np.float32)

    def polygon(self, points: Points, blur: float = 0) -> Pixels:
        """Give the mask of a polygon."""
        return self._mask(lambda draw: draw.polygon(_finer(points), fill=255), blur)

    def ellipse(self, x: float, y: float, across: float, down: float, blur: float = 0) -> Pixels:
        """Give the mask of an ellipse by its centre and half axes."""
        box = _finer([(x - across, y - down), (x + across, y + down)])
        return self._mask(lambda draw: draw.ellipse(box, fill=255), blur)

    def box(self, corners: Points, radius: float = 0, blur: float = 0) -> Pixels:
        """Give the mask of a rectangle with round corners."""
        box, round_ = _finer(corners), radius * _FINER
        return self._mask(lambda draw: draw.rounded_rectangle(box, round_, fill=255), blur)

    def line(self, points: Points, width: float, blur: float = 0) -> Pixels:
        """Give the mask of a line with round bends."""
        wide, path = round(width * _FINER), _finer(points)
        return self._mask(lambda draw: draw.line(path, fill=255, width=wide, joint="curve"), blur)

    def paint(self, mask: Pixels, colour: Colour | Pixels, strength: float = 1) -> None:
        """Lay a colour, or a picture, over what is there."""
        cover = (mask * strength)[..., None]
        self.pixels = self.pixels * (1 - cover) + np.asarray(colour, np.float32) * cover

    def round(self, x: float, y: float, across: float, colours: Sequence[Colour]) -> Pixels:
        """Give the light on something round, brightest at (x, y)."""
        distance = np.hypot(self.columns - x, self.rows - y) / across
        return self.between(colours, np.clip(distance, 0, 1))

    def sideways(self, left: float, right: float, colours: Sequence[Colour]) -> Pixels:
        """Give a blend from left to right, as on a cylinder."""
        return self.between(colours, np.clip((self.columns - left) / (right - left), 0, 1))

    def image(self, grain: float = 0.012) -> Image.Image:
        """Give the picture, with the grain of a photograph."""
        noise = np.random.default_rng(0).normal(0, grain, self.pixels.shape)
        return Image.fromarray((np.clip(self.pixels + noise, 0, 1) * 255 + 0.5).astype(np.uint8))

    def _mask(self, stroke: Callable[[ImageDraw.ImageDraw], None], blur: float) -> Pixels:
        large = Image.new("L", (self.width * _FINER, self.height * _FINER))
        stroke(ImageDraw.Draw(large))
        small = large.resize((self.width, self.height), Image.Resampling.BOX)
        if blur:
            small = small.filter(ImageFilter.GaussianBlur(blur))
        return np.asarray(small, np.float32) / np.float32(255)


def _finer(points: Points) -> list[tuple[float, float]]:
    return [(x * _FINER, y * _FINER) for x, y in points]


def waves(phase: float, width: int, base: float, heights: Sequence[float]) -> Points:
    """Give a skyline from left to right, closed far below: hills, dunes, tree tops."""
    line = [
        (
            float(x),
            base
            - sum(
                h * math.sin(x / width * (n + 1) * 3.3 + phase * (n + 2))
                for n, h in enumerate(heights)
            ),
        )
        for x in range(0, width + 8, 4)
    ]
    return [*line, (width + 8, 4000), (0, 4000)]


def lamp() -> Image.Image:
    """A desk lamp on a wooden table."""
    it = Canvas(720, 540, [(0.80, 0.83, 0.84), (0.90, 0.90, 0.88)])
    table = it.box([(-9, 390), (730, 550)])
    grain = 0.5 + 0.5 * np.sin(it.rows * 0.9 + 3 * np.sin(it.columns / 70 + it.rows / 25))
    it.paint(table, it.between([(0.55, 0.36, 0.22), (0.66, 0.45, 0.29)], grain))
    it.paint(it.ellipse(350, 300, 250, 200, blur=70), (1.0, 0.93, 0.72), 0.55)
    it.paint(it.ellipse(420, 446, 150, 20, blur=14), (0.16, 0.09, 0.05), 0.55)
    metal = it.sideways(300, 470, [(0.08, 0.30, 0.32), (0.25, 0.58, 0.58), (0.05, 0.22, 0.24)])
    it.paint(it.ellipse(385, 440, 88, 20), metal)
    it.paint(it.line([(390, 435), (470, 290), (352, 180)], 11), (0.10, 0.28, 0.30))
    it.paint(it.ellipse(470, 290, 13, 13), (0.75, 0.60, 0.30))
    shade = it.polygon([(392, 138), (345, 120), (215, 222), (330, 290), (400, 190)])
    it.paint(shade, it.round(330, 160, 190, [(0.42, 0.76, 0.74), (0.10, 0.38, 0.40)]))
    it.paint(it.ellipse(272, 262, 40, 26, blur=3), (1.0, 0.97, 0.82))
    return it.image()


def harbour() -> Image.Image:
    """Boats before painted houses, in few colours: a palette PNG."""
    it = Canvas(640, 420, [(0.55, 0.78, 0.90), (0.93, 0.91, 0.80)])
    it.paint(it.polygon(waves(0.6, 640, 210, (22, 14, 6))), (0.45, 0.60, 0.52))
    colours = [(0.84, 0.38, 0.27), (0.95, 0.80, 0.48), (0.93, 0.90, 0.84), (0.40, 0.60, 0.68)]
    for number in range(8):
        left, top = 20 + number * 76, 150 - (number * 37) % 46
        it.paint(it.box([(left, top), (left + 68, 260)]), colours[number % 4])
        roof = [(left - 4, top), (left + 34, top - 34), (left + 72, top)]
        it.paint(it.polygon(roof), (0.52, 0.24, 0.20))
        for x, y in ((14, 22), (40, 22), (14, 58), (40, 58)):
            window = [(left + x, top + y), (left + x + 14, top + y + 20)]
            it.paint(it.box(window), (0.22, 0.30, 0.38))
    sea = it.between([(0.22, 0.50, 0.60), (0.10, 0.30, 0.42)], (it.rows - 255) / 165)
    it.paint(it.box([(-9, 255), (650, 430)]), sea)
    for x, y, size in ((150, 330, 1.0), (430, 360, 1.3), (320, 295, 0.6)):
        _boat(it, x, y, size)
    return it.image(0.004).quantize(48, dither=Image.Dither.NONE)


def _boat(it: Canvas, x: float, y: float, size: float) -> None:
    hull = [(-70, 0), (70, 0), (48, 26), (-52, 26)]
    sails = ([(4, -112), (4, -8), (62, -8)], [(-4, -96), (-4, -8), (-50, -8)])
    it.paint(it.ellipse(x, y + 28 * size, 66 * size, 6 * size, blur=3), (0.05, 0.16, 0.24), 0.7)
    it.paint(it.polygon([(x + a * size, y + b * size) for a, b in hull]), (0.72, 0.22, 0.18))
    for sail in sails:
        it.paint(it.polygon([(x + a * size, y + b * size) for a, b in sail]), (0.97, 0.95, 0.90))


def teapot() -> Image.Image:
    """A white and blue teapot on a dark cloth."""
    it = Canvas(600, 480, [(0.36, 0.27, 0.24), (0.20, 0.14, 0.13)])
    it.paint(it.box([(-9, 350), (610, 490)]), (0.42, 0.12, 0.13))
    it.paint(it.ellipse(310, 402, 190, 24, blur=16), (0.06, 0.02, 0.02), 0.8)
    glaze = [(1.0, 1.0, 0.99), (0.88, 0.92, 0.95), (0.60, 0.68, 0.76)]
    light = it.round(255, 225, 260, glaze)
    it.paint(it.line([(430, 230), (500, 236), (512, 300), (440, 345)], 20), light)
    it.paint(
        it.polygon([(190, 350), (110, 230), (86, 218), (104, 206), (140, 214), (215, 280)]), light
    )
    it.paint(it.ellipse(310, 305, 148, 108), light)
    it.paint(it.ellipse(310, 210, 74, 22), it.round(285, 200, 110, glaze))
    it.paint(it.ellipse(310, 184, 17, 17), it.round(304, 178, 26, glaze))
    for angle in range(0, 360, 60):
        turn = math.radians(angle)
        petal = it.ellipse(310 + 34 * math.cos(turn), 310 + 30 * math.sin(turn), 19, 17)
        it.paint(petal, (0.16, 0.30, 0.66), 0.85)
    it.paint(it.ellipse(310, 310, 13, 12), (0.90, 0.75, 0.30))
    it.paint(it.ellipse(255, 245, 26, 14, blur=7), (1, 1, 1), 0.9)
    return it.image()


def garden() -> Image.Image:
    """A garden path between flowers."""
    it = Canvas(640, 448, [(0.62, 0.82, 0.95), (0.88, 0.94, 0.92)])
    it.paint(it.polygon(waves(2.0, 640, 190, (26, 12, 5))), (0.36, 0.56, 0.40))
    it.paint(it.polygon(waves(4.1, 640, 232, (8, 10, 4))), (0.45, 0.66, 0.36))
    path = [(300, 232), (330, 232), (480, 460), (170, 460)]
    it.paint(it.polygon(path, blur=2), (0.86, 0.78, 0.62))
    chance = np.random.default_rng(5)
    blooms = [(0.90, 0.30, 0.42), (0.98, 0.78, 0.26), (0.96, 0.94, 0.96), (0.58, 0.36, 0.74)]
    for _ in range(190):
        depth = float(chance.uniform(0, 1)) ** 1.3
        x, y = float(chance.uniform(0, 640)), 246 + 196 * depth
        if abs(x - 318) > 30 + 140 * depth:
            size = 2.2 + 6 * depth
            it.paint(it.line([(x, y), (x, y + 4 * size)], max(1, size / 4)), (0.20, 0.42, 0.20))
            it.paint(it.ellipse(x, y, size, size), blooms[int(chance.integers(4))])
            it.paint(it.ellipse(x, y, size / 3, size / 3), (0.98, 0.86, 0.45))
    it.paint(it.box([(92, 96), (108, 240)]), (0.36, 0.25, 0.18))
    for x, y, size in ((100, 84, 52), (64, 112, 36), (138, 112, 38)):
        it.paint(
            it.ellipse(x, y, size, size * 0.9),
            it.round(x - 12, y - 18, size * 1.4, [(0.52, 0.74, 0.38), (0.20, 0.44, 0.24)]),
        )
    return it.image()


def portrait() -> Image.Image:
    """A person in front of a plain wall."""
    it = Canvas(448, 560, [(0.78, 0.74, 0.68), (0.60, 0.56, 0.52)])
    it.paint(it.ellipse(150, 180, 220, 220, blur=80), (0.95, 0.92, 0.86), 0.6)
    hair = (0.20, 0.12, 0.09)
    it.paint(it.ellipse(224, 250, 118, 150), hair)
    coat = it.sideways(60, 400, [(0.20, 0.36, 0.44), (0.30, 0.50, 0.56), (0.13, 0.24, 0.32)])
    it.paint(it.ellipse(224, 590, 190, 180), coat)
    skin = [(0.98, 0.82, 0.70), (0.90, 0.68, 0.55), (0.70, 0.46, 0.36)]
    it.paint(it.box([(188, 330), (260, 440)], radius=34), it.round(200, 330, 150, skin[1:]))
    it.paint(it.ellipse(224, 265, 84, 108), it.round(195, 235, 170, skin))
    it.paint(
        it.polygon(
            [(138, 250), (150, 165), (224, 135), (304, 168), (312, 250), (268, 190), (190, 186)]
        ),
        hair,
    )
    for x in (192, 258):
        it.paint(it.ellipse(x, 262, 13, 7), (0.98, 0.96, 0.94))
        it.paint(it.ellipse(x, 262, 6, 6), (0.22, 0.30, 0.26))
        it.paint(it.line([(x - 17, 244), (x, 239), (x + 17, 244)], 4), hair)
    it.paint(it.line([(226, 266), (234, 298), (220, 302)], 3, blur=1), (0.72, 0.48, 0.38))
    it.paint(it.ellipse(224, 328, 25, 8), (0.76, 0.36, 0.36))
    for x in (172, 276):
        it.paint(it.ellipse(x, 304, 20, 15, blur=8), (0.92, 0.52, 0.46), 0.45)
    return it.image()


def mug() -> Image.Image:
    """A plain white mug on a pastel ground."""
    it = Canvas(560, 560, [(0.96, 0.86, 0.78), (0.93, 0.76, 0.68)])
    it.paint(it.box([(-9, 400), (570, 570)]), (0.88, 0.66, 0.58))
    it.paint(it.ellipse(300, 456, 165, 22, blur=14), (0.40, 0.22, 0.18), 0.55)
    handle = it.ellipse(400, 300, 70, 82) * (1 - it.ellipse(400, 300, 46, 58))
    it.paint(handle, it.sideways(360, 470, [(0.95, 0.94, 0.92), (0.74, 0.73, 0.73)]))
    body = it.sideways(140, 400, [(0.80, 0.80, 0.80), (1.0, 1.0, 0.99), (0.78, 0.77, 0.77)])
    it.paint(it.box([(140, 180), (400, 450)], radius=34), body)
    it.paint(it.box([(140, 180), (400, 260)]), body)
    it.paint(it.ellipse(270, 182, 130, 30), (0.90, 0.89, 0.88))
    it.paint(it.ellipse(270, 188, 116, 22), (0.32, 0.19, 0.12))
    it.paint(it.ellipse(245, 183, 40, 6, blur=3), (0.62, 0.42, 0.28), 0.8)
    return it.image()


def logo() -> Image.Image:
    """A round mark on a transparent ground."""
    it = Canvas(256, 256, [(0.10, 0.42, 0.40), (0.10, 0.42, 0.40)])
    disc = it.ellipse(128, 128, 116, 116)
    it.paint(it.ellipse(128, 128, 92, 92), (0.97, 0.95, 0.88))
    it.paint(it.polygon([(128, 52), (180, 176), (128, 148), (76, 176)]), (0.86, 0.34, 0.22))
    mark = it.image(0).convert("RGBA")
    mark.putalpha(Image.fromarray((disc * 255).astype(np.uint8)))
    return mark


_DOOR: Points = ((300, 232), (392, 440))


def street() -> Image.Image:
    """A house front with a door."""
    it = Canvas(680, 480, [(0.90, 0.84, 0.72), (0.86, 0.78, 0.64)])
    brick = (it.rows % 16 < 1.5) | ((it.columns + (it.rows // 16 % 2) * 20) % 40 < 1.5)
    it.paint(brick.astype(np.float32), (0.76, 0.66, 0.54), 0.5)
    it.paint(it.box([(-9, 440), (690, 490)]), (0.52, 0.52, 0.54))
    for x in (70, 500):
        it.paint(it.box([(x - 12, 120), (x + 122, 300)]), (0.98, 0.97, 0.94))
        sky = it.between([(0.42, 0.58, 0.68), (0.74, 0.84, 0.86)], (it.rows - 120) / 180)
        for column in (0, 58):
            for row in (132, 214):
                it.paint(it.box([(x + column, row), (x + column + 52, row + 74)]), sky)
        it.paint(it.box([(x - 18, 300), (x + 128, 316)]), (0.70, 0.60, 0.50))
        for flower in range(7):
            colour = (0.88, 0.28, 0.36) if flower % 2 else (0.94, 0.62, 0.70)
            it.paint(it.ellipse(x + 4 + flower * 17, 296, 11, 9), colour)
    (left, top), (right, bottom) = _DOOR
    it.paint(it.box([(left - 14, top - 16), (right + 14, bottom)]), (0.98, 0.97, 0.94))
    it.paint(it.box(_DOOR), it.sideways(left, right, [(0.16, 0.32, 0.26), (0.24, 0.44, 0.36)]))
    for y in (top + 14, top + 112):
        it.paint(it.box([(left + 14, y), (right - 14, y + 80)], 4), (0.13, 0.26, 0.21))
    it.paint(it.ellipse(right - 12, (top + bottom) / 2, 5, 5), (0.90, 0.74, 0.34))
    return it.image()


def street_mask() -> Image.Image:
    """White where the door is: only there may the picture change."""
    it = Canvas(680, 480, [(0, 0, 0), (0, 0, 0)])
    it.paint(it.box(_DOOR), (1, 1, 1))
    return it.image(0).convert("L")


def mountains() -> Canvas:
    """Ridge behind ridge in the morning, with the finest shades of sky."""
    it = Canvas(720, 440, [(0.34, 0.46, 0.66), (0.78, 0.72, 0.74), (0.98, 0.86, 0.70)])
    it.paint(it.ellipse(520, 170, 34, 34, blur=4), (1.0, 0.96, 0.84))
    it.paint(it.ellipse(520, 170, 120, 120, blur=60), (1.0, 0.90, 0.70), 0.5)
    ridges = (
        (1.2, 210, (30, 22, 14, 8), (0.60, 0.60, 0.70)),
        (3.4, 262, (26, 20, 12, 9), (0.42, 0.46, 0.58)),
        (5.0, 312, (22, 22, 10, 9), (0.26, 0.32, 0.42)),
        (0.3, 372, (14, 18, 12, 8), (0.12, 0.18, 0.24)),
    )
    for phase, base, heights, colour in ridges:
        it.paint(it.polygon(waves(phase, 720, base, heights)), colour)
        it.paint(it.box([(-9, base), (730, base + 44)], blur=26), (0.98, 0.90, 0.82), 0.22)
    return it


def poster() -> Image.Image:
    """Oranges in inks: a CMYK JPEG as print shops send it."""
    it = Canvas(480, 600, [(0.10, 0.44, 0.50), (0.10, 0.44, 0.50)])
    it.paint(it.ellipse(240, 250, 190, 190), (0.98, 0.90, 0.70))
    for x, y in ((180, 330), (300, 330), (240, 235)):
        it.paint(it.ellipse(x, y + 62, 62, 10, blur=6), (0.45, 0.22, 0.06), 0.5)
        it.paint(
            it.ellipse(x, y, 66, 66),
            it.round(
                x - 22, y - 24, 100, [(1.0, 0.80, 0.36), (0.96, 0.55, 0.10), (0.78, 0.36, 0.05)]
            ),
        )
        it.paint(it.polygon([(x, y - 60), (x + 34, y - 88), (x + 44, y - 62)]), (0.2, 0.46, 0.2))
    it.paint(it.box([(60, 480), (420, 496)], 8), (0.98, 0.90, 0.70))
    it.paint(it.box([(110, 516), (370, 528)], 6), (0.98, 0.90, 0.70))
    return it.image(0.006).convert("CMYK")


def balloon() -> Image.Image:
    """A hot-air balloon over fields."""
    it = Canvas(520, 520, [(0.40, 0.66, 0.90), (0.86, 0.93, 0.97)])
    for x, y, size in ((90, 120, 40), (130, 132, 30), (410, 210, 44), (370, 222, 28)):
        it.paint(it.ellipse(x, y, size * 1.5, size * 0.55, blur=9), (1, 1, 1), 0.85)
    it.paint(it.polygon(waves(1.0, 520, 430, (12, 8))), (0.62, 0.72, 0.38))
    it.paint(it.polygon(waves(3.0, 520, 468, (10, 9))), (0.82, 0.74, 0.40))
    for x in (-30, 30):
        it.paint(it.line([(260 + x * 1.9, 286), (260 + x * 0.7, 352)], 1.5), (0.3, 0.2, 0.15))
    hull = np.maximum(
        it.ellipse(260, 190, 118, 122),
        it.polygon([(152, 236), (368, 236), (292, 320), (228, 320)]),
    )
    stripes = np.sin(
        (it.columns - 260) / np.sqrt(np.clip(1.02 - ((it.rows - 190) / 150) ** 2, 0.1, 1)) / 12
    )
    it.paint(hull, it.between([(0.86, 0.24, 0.24), (0.98, 0.80, 0.36)], stripes * 3 + 0.5))
    it.paint(hull, it.round(215, 140, 220, [(1, 1, 1), (0.2, 0.1, 0.2)]), 0.22)
    it.paint(it.box([(238, 350), (282, 384)], 5), (0.48, 0.32, 0.20))
    return it.image()


def save_all(inbox: Path) -> None:
    """Write every picture of the example."""
    (inbox / "portraits").mkdir(parents=True, exist_ok=True)
    save_photo(lamp(), inbox / "lamp.jpg")
    harbour().save(inbox / "harbour.png", optimize=True)
    save_photo(teapot(), inbox / "茶壶.jpg")
    garden().save(inbox / "花园.webp", quality=86)
    save_photo(mug(), inbox / "mug.jpg")
    logo().save(inbox / "logo.png", optimize=True)
    save_photo(street(), inbox / "street.jpg")
    street_mask().save(inbox / "street.mask.png", optimize=True)
    poster().save(inbox / "poster.jpg", quality=85)
    save_photo(balloon(), inbox / "balloon.jpg")
    save_deep(mountains(), inbox / "mountains.png")
    save_lying(portrait(), inbox / "portraits" / "anna.jpg")


def save_photo(image: Image.Image, path: Path) -> None:
    """Save as a camera does."""
    image.save(path, quality=88, dpi=(300, 300))


def save_lying(image: Image.Image, path: Path) -> None:
    """Save as a camera held upright does: the pixels lie, the EXIF says how to turn them."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees clockwise to view
    exif[0x010F] = "Hotfolder example"
    image.transpose(Image.Transpose.ROTATE_90).save(path, quality=88, exif=exif)


def save_deep(canvas: Canvas, path: Path) -> None:
    """Save as PNG with 16 bits a channel, which Pillow cannot write; see the PNG specification."""
    samples = (np.clip(canvas.pixels, 0, 1) * 4095 + 0.5).astype(">u2") * 16  # as 12-bit cameras
    rows = samples.astype(">u2").view(np.uint8).reshape(canvas.height, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((canvas.height, 1), 2, np.uint8), rows - above])  # 2: up
    header = struct.pack(">IIBBBBB", canvas.width, canvas.height, 16, 2, 0, 0, 0)  # 2: RGB
    body = zlib.compress(filtered.tobytes(), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


if __name__ == "__main__":
    save_all(INBOX)
