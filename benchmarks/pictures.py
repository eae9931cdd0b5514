"""Pictures and instructions to measure with."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

SIDECAR = "prompt: Replace the background with a beach at dawn\nsteps: 10\ncfg: 4.0\nseed: 42\n"


@cache
def jpeg(width: int, height: int) -> bytes:
    """A grainy picture with a third of a byte a pixel, as photos of a phone have."""
    grain = Image.effect_noise((width, height), 20)
    slope = Image.linear_gradient("L").resize((width, height))
    picture = Image.merge("RGB", (grain, slope, Image.blend(grain, slope, 0.5)))
    content = BytesIO()
    picture.save(content, "JPEG", quality=90)
    return content.getvalue()


def small() -> bytes:
    """A picture that is looked at and never edited."""
    return jpeg(160, 120)


def megapixel() -> bytes:
    """A picture of 1024 x 1024 pixels."""
    return jpeg(1024, 1024)


def write_pair(folder: Path, stem: str, picture: bytes, sidecar: str = SIDECAR) -> None:
    """Write an image and its instruction."""
    (folder / f"{stem}.jpg").write_bytes(picture)
    (folder / f"{stem}.yaml").write_text(sidecar, encoding="utf-8")
