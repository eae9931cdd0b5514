"""The values that an instruction or a preset may hold, each typed and within its range."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Keep(StrEnum):
    """How pixels outside the edit return from the original."""

    AUTO = "auto"
    MASK = "mask"
    NONE = "none"


class Format(StrEnum):
    """The file format of a result; SAME is the format of the input's content."""

    SAME = "same"
    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels of the upright original."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class OriginalSize:
    """The result has the upright original's size."""

    def __str__(self) -> str:
        return "original"


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The result has the size at which the model worked."""

    def __str__(self) -> str:
        return "model"


@dataclass(frozen=True, slots=True)
class ExactSize:
    """The result has this size in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


Size = OriginalSize | ModelSize | ExactSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The keys of a sidecar or a preset as somebody wrote them; None = not written."""

    prompt: str | None = None
    negative_prompt: str | None = None
    preset: str | None = None
    steps: int | None = None
    cfg: float | None = None
    seed: int | None = None
    lora: str | None = None
    images: tuple[str, ...] | None = None
    mask: str | None = None
    region: Region | None = None
    variants: int | None = None
    priority: int | None = None
    size: Size | None = None
    keep: Keep | None = None
    format: Format | None = None
    quality: int | None = None
