"""Pixels onto a canvas and back: scaled once, reflected at the edges, cut out again."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.pictures import Placement


def scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture in this size (Lanczos), or itself where it has that size."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS)


def padded(content: Image.Image, placement: Placement) -> Image.Image:
    """Return the RGB canvas of scaled content, its surroundings a reflection of it."""
    canvas = placement.canvas_width, placement.canvas_height
    if content.size == canvas:
        return content
    right = canvas[0] - placement.left - placement.content_width
    bottom = canvas[1] - placement.top - placement.content_height
    edges = ((placement.top, bottom), (placement.left, right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(content), edges, mode="reflect"))


def content(canvas: Image.Image, placement: Placement) -> Image.Image:
    """Return the part of a canvas that is no padding."""
    size = placement.content_width, placement.content_height
    if canvas.size == size:
        return canvas
    right, bottom = placement.left + size[0], placement.top + size[1]
    return canvas.crop((placement.left, placement.top, right, bottom))
