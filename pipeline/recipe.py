"""Every choice of one job, made: an instruction, its presets and the limits become one recipe."""

from __future__ import annotations

from dataclasses import dataclass

from config.keys import Format, Keep, Region, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All keys of an instruction, resolved; alone enough to repeat the job."""

    prompt: str
    negative_prompt: str
    preset: str | None
    steps: int
    cfg: float
    seed: int  # of the first variant; variant i has seed + i
    lora: str | None
    images: tuple[str, ...]  # further references, base names in the image's folder
    mask: str | None
    region: Region | None
    variants: int
    priority: int
    size: Size
    keep: Keep
    format: Format
    quality: int
