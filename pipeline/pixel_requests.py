"""What the daemon asks of a pixel worker and gets back; no picture library is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.settings import Gps
from config.values import Region
from pipeline.picture.fidelity import Fidelity
from pipeline.provenance import Provenance
from pipeline.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Open a picture with its references and make the model's canvases of them."""

    image: Path  # private copy of the original, local scratch
    name: str  # what people call the original: its path in the inbox
    references: tuple[tuple[str, Path], ...]  # (name, private copy) in the order of the recipe
    mask: tuple[str, Path] | None
    recipe: Recipe
    working_pixels: int | None  # None = no scaling
    multiple: int
    max_megapixels: float
    into: Path  # existing scratch folder of this job


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the picture lies on its canvas and where its edit returns to.

    The part `region` of the upright original was scaled to `content_width` x `content_height` and
    lies at (`left`, `top`) of the canvas; the rest of the canvas is reflected padding.
    """

    region: Region  # the whole picture where the recipe has none
    canvas_width: int
    canvas_height: int
    content_width: int
    content_height: int
    left: int
    top: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The model's inputs lie on scratch."""

    canvases: tuple[Path, ...]  # 8-bit sRGB RGB; the picture to edit first, then the references
    width: int  # of the upright original
    height: int
    placement: Placement
    notes: tuple[str, ...]  # plain sentences: what was surprising about the files


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """Bring an edited canvas back to the original's place, size, profile and format."""

    image: Path
    name: str
    mask: tuple[str, Path] | None
    recipe: Recipe
    prepared: Prepared
    edited: Path
    told: Provenance
    gps: Gps
    wants_preview: bool
    allow_flat: bool  # an editor without a model may return a flat picture
    result: Path  # scratch path without extension; the worker adds the extension


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A small picture of before and after, on scratch."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A finished picture on scratch, opened again and found whole."""

    path: Path  # result + extension in lower case
    format_changed: bool  # the content's format differs from the input's content
    width: int
    height: int
    sha256: str
    preview: Preview | None
    notes: tuple[str, ...]
    fidelity: Fidelity


class PictureError(Exception):
    """A picture that cannot be used: the cause and what to do; trying again will not help."""

    def __init__(self, cause: str, advice: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.advice = advice
