"""What saving a large picture costs, by format and setting."""

from __future__ import annotations

import time
from collections.abc import Mapping
from io import BytesIO

import cv2
import numpy as np
from PIL import Image
from rig.studio import picture

SIZE = (6000, 4000)
Options = Mapping[str, int | str | bool]

PNG: tuple[Options, ...] = tuple({"compress_level": level} for level in (1, 3, 6))
FINE: Options = {"quality": 95, "subsampling": "4:4:4"}
JPEG: tuple[Options, ...] = (
    FINE,
    {**FINE, "optimize": True},
    {**FINE, "optimize": True, "progressive": True},
)
WEBP: tuple[Options, ...] = (
    {"quality": 95, "method": 0},
    {"quality": 95, "method": 4},
    {"lossless": True, "quality": 0, "method": 0},
)
TIFF: tuple[Options, ...] = (
    {"compression": "raw"},
    {"compression": "tiff_lzw"},
    {"compression": "tiff_adobe_deflate"},
)
SETTINGS = {"PNG": PNG, "JPEG": JPEG, "WEBP": WEBP, "TIFF": TIFF}


def measure() -> list[dict[str, object]]:
    """Save a grainy picture of 24 megapixels in every way, once."""
    small = picture("textured", SIZE[0] // 4, SIZE[1] // 4, 1)
    large = cv2.resize(small, SIZE, interpolation=cv2.INTER_CUBIC)
    chance = np.random.default_rng(1)
    grain = chance.standard_normal((*large.shape[:2], 1), dtype=np.float32) * 2
    image = Image.fromarray(np.clip(np.add(large, grain), 0, 255).astype(np.uint8))
    return [_row(image, kind, it) for kind, ways in SETTINGS.items() for it in ways]


def _row(image: Image.Image, kind: str, options: Options) -> dict[str, object]:
    content = BytesIO()
    began = time.process_time()
    try:
        image.save(content, kind, **dict(options))
    except ValueError as error:  # a picture can be too rich for what WebP's header counts
        return {"format": kind, "settings": dict(options), "failed": str(error)}
    seconds = time.process_time() - began
    return {
        "format": kind,
        "settings": dict(options),
        "cpu_seconds": round(seconds, 2),
        "mib": round(content.tell() / 2**20, 1),
    }
