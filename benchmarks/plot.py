"""A plain plot: one or more rows of points over megapixels, as a picture for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _EDGE = 720, 360, 60, 50, 20
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
_TICKS = 5


def draw(path: Path, title: str, unit: str, rows: Mapping[str, Points]) -> None:
    """Write a PNG with a line for each row; both axes begin at 0."""
    most_x = max(x for points in rows.values() for x, _ in points)
    most_y = max(y for points in rows.values() for _, y in points)
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    brush, font = ImageDraw.Draw(image), ImageFont.load_default(13)

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + x / most_x * (_WIDTH - _LEFT - _EDGE - 20)
        return across, _HEIGHT - _BOTTOM - y / most_y * (_HEIGHT - _BOTTOM - 2 * _EDGE - 10)

    for tick in range(_TICKS + 1):
        x, y = most_x * tick / _TICKS, most_y * tick / _TICKS
        brush.line([place(0, y), place(most_x, y)], "#dddddd")
        brush.text((8, place(0, y)[1] - 8), f"{y:.1f}", "black", font)
        brush.text((place(x, 0)[0] - 10, _HEIGHT - _BOTTOM + 8), f"{x:.0f}", "black", font)
    for (name, points), colour in zip(rows.items(), _COLOURS, strict=False):
        spots = [place(*point) for point in sorted(points)]
        brush.line(spots, colour, 2)
        for across, down in spots:
            brush.ellipse((across - 3, down - 3, across + 3, down + 3), colour)
        brush.text((spots[-1][0] - 190, spots[-1][1] - 20), name, colour, font)
    brush.text((_LEFT, 6), f"{title}, {unit}", "black", font)
    brush.text((_WIDTH // 2, _HEIGHT - 22), "megapixels", "black", font)
    image.save(path)
