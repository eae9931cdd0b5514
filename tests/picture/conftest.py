from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from config.settings import Gps
from config.values import Format, Keep, MinConfidence, Off, OriginalSize, Region, Size
from pipeline.editor import ModelFacts
from pipeline.picture.tasks import compose, prepare
from pipeline.pixel_requests import Compose, Composed, Prepare, Prepared
from pipeline.provenance import Provenance
from pipeline.recipe import Recipe

Array = npt.NDArray[np.uint8]
Edit = Callable[[Image.Image], Image.Image]


def _same(canvas: Image.Image) -> Image.Image:
    return canvas


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One picture on its way through prepare, an edit and compose."""

    into: Path
    megapixels: float | None = None
    size: Size = field(default_factory=OriginalSize)
    keep: Keep = Keep.AUTO
    format: Format = Format.SAME
    quality: int | None = None
    region: Region | None = None
    mask: Path | None = None
    references: tuple[Path, ...] = ()
    working_pixels: int | None = None
    multiple: int = 1
    max_megapixels: float = 70
    allow_flat: bool = True
    prompt: str = "make it blue"
    embeds_prompt: bool = True
    has_model: bool = True
    gps: Gps = Gps.KEEP
    wants_preview: bool = False

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            prompt=self.prompt,
            negative_prompt=" ",
            preset=None,
            steps=4,
            cfg=1.0,
            seed=7,
            lora=None,
            images=tuple(path.name for path in self.references),
            mask=None if self.mask is None else self.mask.name,
            region=self.region,
            variants=1,
            priority=5,
            megapixels=self.megapixels,
            size=self.size,
            keep=self.keep,
            format=self.format,
            quality=self.quality,
            min_keep_psnr=Off.OFF,
            max_shift_px=Off.OFF,
            max_changed=Off.OFF,
            min_confidence=MinConfidence.OFF,
        )

    def prepare(self, image: Path) -> Prepared:
        return prepare(
            Prepare(
                image=image,
                name=image.name,
                references=tuple((path.name, path) for path in self.references),
                mask=None if self.mask is None else (self.mask.name, self.mask),
                recipe=self.recipe,
                working_pixels=self.working_pixels,
                multiple=self.multiple,
                max_megapixels=self.max_megapixels,
                into=self.into,
            )
        )

    def run(self, image: Path, edit: Edit = _same) -> Composed:
        prepared = self.prepare(image)
        edited = self.into / "edited.png"
        with Image.open(prepared.canvases[0]) as canvas:
            edit(canvas).save(edited, compress_level=1)
        return compose(self.composing(image, prepared, edited))

    def composing(self, image: Path, prepared: Prepared, edited: Path) -> Compose:
        return Compose(
            image=image,
            name=image.name,
            mask=None if self.mask is None else (self.mask.name, self.mask),
            recipe=self.recipe,
            prepared=prepared,
            edited=edited,
            allow_flat=self.allow_flat,
            told=self.told(image),
            gps=self.gps,
            wants_preview=self.wants_preview,
            result=self.into / "result.of.1",
        )

    def told(self, image: Path) -> Provenance:
        return Provenance(
            job_id="20261122-120000-aaaaaaaa",
            recipe=self.recipe,
            model=ModelFacts(
                path="/models/Qwen-Image-Edit-2511" if self.has_model else "",
                class_name="QwenImageEditPlusPipeline",
                fingerprint="0170b198c0ffee",
                dtype="bf16",
                attention="native",
                is_compiled=False,
                weights="trained" if self.has_model else "none",
                working_pixels=self.working_pixels,
                multiple=self.multiple,
                versions=(),
            ),
            software="Hotfolder 0.1.0",
            made_at=1_790_000_000.0,
            source_name=image.name,
            source_sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
            embeds_prompt=self.embeds_prompt,
        )


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """job(**choices) -> a Job on a scratch folder of its own."""
    (tmp_path / "scratch").mkdir()

    def make(**choices: object) -> Job:
        return Job(into=tmp_path / "scratch", **choices)  # type: ignore[arg-type]  # test sugar

    return make


@pytest.fixture
def pixels() -> Callable[[Path], Array]:
    """pixels(path) -> what a file shows, as Pillow decodes it."""

    def read(path: Path) -> Array:
        with Image.open(path) as image:
            return np.asarray(image)

    return read


def _tag(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(
    space: bytes, device: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ "
) -> bytes:
    """An ICC v2 profile (ICC.1:2001-04) with these tags beside its white point and texts."""
    text = b"text\0\0\0\0made for a test\0"
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": name, b"cprt": text, b"wtpt": _tag((0.9642, 1.0, 0.8249)), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, content in tags.items():
        table += key + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, device, space, connection)
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header + bytes(128 - len(header)) + table + body


@pytest.fixture
def wide_profile() -> bytes:
    """Adobe RGB (1998): primaries adapted to D50, gamma 563/256."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0"
    return _profile(
        b"RGB ",
        b"mntr",
        {
            b"rXYZ": _tag((0.60974, 0.31111, 0.01947)),
            b"gXYZ": _tag((0.20528, 0.62567, 0.06087)),
            b"bXYZ": _tag((0.14919, 0.06322, 0.74457)),
            b"rTRC": curve,
            b"gTRC": curve,
            b"bTRC": curve,
        },
    )


@pytest.fixture
def grey_profile() -> bytes:
    """Grey with gamma 1.8, darker in sRGB than its numbers look."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 461) + b"\0\0"
    return _profile(b"GRAY", b"mntr", {b"kTRC": curve})


@pytest.fixture
def table_profile() -> Callable[[bytes], bytes]:
    """table_profile(space) -> a profile for reading only: all inks or lights are grey.

    Ink of CMYK darkens, light of RGB lightens, the strongest channel decides.
    """

    def make(space: bytes) -> bytes:
        inputs = 4 if space == b"CMYK" else 3
        corners = itertools.product((0, 1), repeat=inputs)
        levels = [255 * max(corner) for corner in corners]
        lightness = [255 - level if space == b"CMYK" else level for level in levels]
        table = b"mft1\0\0\0\0" + bytes([inputs, 3, 2, 0])
        table += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
        table += bytes(range(256)) * inputs
        table += b"".join(bytes([level, 128, 128]) for level in lightness)
        table += bytes(range(256)) * 3
        device = b"prtr" if space == b"CMYK" else b"scnr"
        return _profile(space, device, {b"A2B0": table}, b"Lab ")

    return make
