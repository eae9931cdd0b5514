"""Cut-outs: what an editor makes of them has no rim, whatever colours lie under transparency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from config.values import ExactSize, Format, Keep, ModelSize, OriginalSize, Region, Size
from pipeline.picture.fidelity import Strategy

MakeJob = Callable[..., Any]  # the fixture `job`
Floats = npt.NDArray[np.float32]

WIDTH, HEIGHT = 160, 96  # of the canvas
MODEL = {"working_pixels": WIDTH * HEIGHT, "multiple": 32}
SUBJECT = (210.0, 190.0, 150.0)
HIDDEN = {"black": (0, 0, 0), "white": (255, 255, 255), "edge": SUBJECT}
TINT = (0.5, 0.8, 1.1)
FEW_LEVELS = 9


def disc(width: int, height: int) -> Image.Image:
    """The alpha of a disc in the middle, with a smooth edge."""
    times = max(3, 2400 // width)
    large = Image.new("L", (times * width, times * height))
    middle = times * width / 2, times * height / 2
    ImageDraw.Draw(large).circle(middle, 0.36 * times * height, fill=255)
    return large.resize((width, height), Image.Resampling.BOX)


@dataclass(frozen=True, slots=True)
class CutOut:
    """A disc with a soft pattern, before whatever lies under transparency."""

    path: Path
    shown: Floats  # height x width x 3, levels 0 to 255, under transparency too
    alpha: npt.NDArray[np.uint8]

    @property
    def opaque(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.alpha == 255, bool)

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.alpha > 0, bool)


def cut_out(
    path: Path, scale: float, hidden: str, bits: int = 8, *, textured: bool = False
) -> CutOut:
    width, height = round(WIDTH * scale), round(HEIGHT * scale)
    alpha = np.asarray(disc(width, height))
    down, across = np.mgrid[0:height, 0:width] / scale
    shown = np.asarray(SUBJECT, np.float32) + np.zeros((height, width, 3), np.float32)
    shown += (20 * np.sin(across / 9) * np.cos(down / 7)).astype(np.float32)[..., None]
    if textured:
        spots = np.random.default_rng(3).integers(0, 255, (24, 40, 3)).astype(np.uint8)
        grain = Image.fromarray(spots).resize((width, height), Image.Resampling.BICUBIC)
        shown = 0.6 * shown + 0.35 * np.asarray(grain, np.float32)
    stored = np.where(alpha[..., None] > 0, shown, np.asarray(HIDDEN[hidden]))
    levels = np.dstack([stored[..., ::-1], alpha])
    depth = np.uint8 if bits == 8 else np.uint16
    cv2.imwrite(str(path), np.rint(levels * (1 if bits == 8 else 257)).astype(depth))
    return CutOut(path, shown, alpha)


def read(path: Path) -> Floats:
    """Red, green, blue and alpha, levels 0 to 255."""
    levels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    white = 257 if levels.dtype == np.uint16 else 1
    return (levels[..., [2, 1, 0, 3]] / np.float32(white)).astype(np.float32)


def tinted(canvas: Image.Image) -> Image.Image:
    levels = np.rint(np.asarray(canvas) * np.asarray(TINT))
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def tinted_disc(canvas: Image.Image) -> Image.Image:
    """What is around the disc is left as it was."""
    return Image.composite(tinted(canvas), canvas, disc(*canvas.size))


def tinted_half(canvas: Image.Image) -> Image.Image:
    where = disc(*canvas.size)
    where.paste(0, (0, 0, canvas.width // 2, canvas.height))
    return Image.composite(tinted(canvas), canvas, where)


def tinted_before_a_red_wall(canvas: Image.Image) -> Image.Image:
    wall = Image.new("RGB", canvas.size, (200, 20, 20))
    return Image.composite(tinted(canvas), wall, disc(*canvas.size))


def losses(canvas: Image.Image) -> Image.Image:
    """As a model gives back what it did not edit."""
    noise = np.random.default_rng(1).normal(0, 1.2, (canvas.height, canvas.width, 3))
    levels = np.rint(np.asarray(canvas) + noise)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


EDITS = [tinted, tinted_disc, tinted_half, tinted_before_a_red_wall]


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(
    "way", [(1, 16, Keep.AUTO), (2.5, 8, Keep.AUTO), (5, 16, Keep.AUTO), (3.7, 8, Keep.NONE)]
)
def test_an_edited_cut_out_has_no_rim_whatever_is_hidden(
    tmp_path: Path,
    job: MakeJob,
    way: tuple[float, int, Keep],
    edit: Callable[[Image.Image], Image.Image],
) -> None:
    scale, bits, keep = way
    results = []
    for hidden in HIDDEN:
        picture = cut_out(tmp_path / f"{hidden}.png", scale, hidden, bits)
        composed = job(keep=keep, **MODEL).run(picture.path, edit)
        result = read(composed.path)
        assert (result[..., 3] == picture.alpha).all()
        expected = np.clip(picture.shown * np.asarray(TINT), 0, 255)
        counts = picture.opaque.copy()
        if edit is tinted_half:
            middle, border = expected.shape[1] // 2, round(8 * scale)
            expected[:, :middle] = picture.shown[:, :middle]
            counts[:, middle - border : middle + border] = False
        off = np.abs(result[..., :3] - expected).max(axis=2)
        assert off[counts].max() <= FEW_LEVELS
        results.append((result[picture.visible], composed.fidelity.as_json()))
    for others in results[1:]:
        assert (others[0] == results[0][0]).all()
        assert others[1] == results[0][1]


def drifted(canvas: Image.Image) -> Image.Image:
    """As a model gives it back: a percent larger, turned and shifted."""
    way = 1.01, 0.004, -1.9, -0.004, 1.01, 1.1
    return canvas.transform(canvas.size, Image.Transform.AFFINE, way, Image.Resampling.BICUBIC)


def test_an_edit_that_drifted_is_laid_without_a_rim_too(tmp_path: Path, job: MakeJob) -> None:
    results = []
    for hidden in HIDDEN:
        picture = cut_out(tmp_path / f"{hidden}.png", 2.5, hidden, textured=True)
        composed = job(**MODEL).run(picture.path, lambda canvas: drifted(tinted(canvas)))
        assert composed.fidelity.zoom == pytest.approx(0.99, abs=0.003)
        result = read(composed.path)
        expected = np.clip(picture.shown * np.asarray(TINT), 0, 255)
        off = np.abs(result[..., :3] - expected).max(axis=2)
        assert off[picture.opaque].max() <= FEW_LEVELS
        results.append(result[picture.visible])
    assert all((result == results[0]).all() for result in results)


def test_a_cut_out_that_drifted_and_was_not_edited_is_the_original(
    tmp_path: Path, job: MakeJob
) -> None:
    picture = cut_out(tmp_path / "photo.png", 1, "black", textured=True)
    composed = job(**MODEL).run(picture.path, drifted)
    assert composed.fidelity.shift_px is not None
    assert (read(composed.path) == read(picture.path)).all()


@pytest.mark.parametrize("edit", [None, losses])
@pytest.mark.parametrize(
    "kind", [(1, 8, "black"), (3.7, 8, "white"), (3.7, 16, "black"), (3.7, 16, "edge")]
)
def test_an_unchanged_cut_out_is_the_original_hidden_colours_and_all(
    tmp_path: Path,
    job: MakeJob,
    kind: tuple[float, int, str],
    edit: Callable[[Image.Image], Image.Image] | None,
) -> None:
    scale, bits, hidden = kind
    picture = cut_out(tmp_path / "photo.png", scale, hidden, bits)
    composed = job(**MODEL).run(picture.path, *(() if edit is None else (edit,)))
    assert composed.fidelity.strategy is Strategy.UNCHANGED
    assert composed.fidelity.changed_share == 0
    assert (read(composed.path) == read(picture.path)).all()


@pytest.mark.parametrize(
    "size", [ExactSize(40, 24), ExactSize(400, 240), ExactSize(800, 480), ModelSize()]
)
@pytest.mark.parametrize(("hidden", "bits"), [("black", 8), ("white", 8), ("edge", 16)])
def test_an_unchanged_cut_out_of_another_size_is_as_pillow_scales_it(
    tmp_path: Path, job: MakeJob, size: Size, hidden: str, bits: int
) -> None:
    picture = cut_out(tmp_path / "photo.png", 2.5, hidden, bits)
    result = read(job(size=size, **MODEL).run(picture.path).path)
    with Image.open(picture.path) as original:
        wanted = original.resize((result.shape[1], result.shape[0]), Image.Resampling.LANCZOS)
    expected = np.asarray(wanted, np.float32)
    seen = expected[..., 3:] / 255
    assert (result[..., 3] == expected[..., 3]).all()
    assert np.abs((result - expected)[..., :3] * seen).max() <= 1


@pytest.mark.parametrize("size", [OriginalSize(), ExactSize(200, 120), ModelSize()])
def test_a_thing_put_on_a_cut_out_leaves_all_else_as_it_was(
    tmp_path: Path, job: MakeJob, size: Size
) -> None:
    """What was not edited is the original, scaled or not; so are colours under transparency."""

    def patched(canvas: Image.Image) -> Image.Image:
        canvas = canvas.copy()
        canvas.paste((30, 60, 200), (70, 40, 84, 54))
        return canvas

    picture = cut_out(tmp_path / "photo.png", 2.5, "black")
    made = job(size=size, **MODEL)
    before, after = read(made.run(picture.path).path), read(made.run(picture.path, patched).path)
    kept = np.ones(before.shape[:2], bool)
    scale = before.shape[1] / WIDTH
    kept[round(34 * scale) : round(60 * scale), round(64 * scale) : round(90 * scale)] = False
    assert (before[kept] == after[kept]).all()
    middle = after[round(47 * scale), round(77 * scale)]
    assert np.abs(middle - (30, 60, 200, 255)).max() <= 2


def test_a_new_ground_under_transparency_changes_nothing_that_is_seen(
    tmp_path: Path, job: MakeJob
) -> None:
    def before_a_red_wall(canvas: Image.Image) -> Image.Image:
        levels = np.asarray(canvas).copy()
        levels[(levels == 255).all(axis=2)] = 200, 20, 20
        return Image.fromarray(levels)

    picture = cut_out(tmp_path / "photo.png", 2.5, "black")
    composed = job(**MODEL).run(picture.path, before_a_red_wall)
    before, after = read(picture.path), read(composed.path)
    assert (before[picture.visible] == after[picture.visible]).all()
    assert composed.fidelity.changed_share == 0


def test_fidelity_counts_what_is_seen_alone(tmp_path: Path, job: MakeJob) -> None:
    picture = cut_out(tmp_path / "photo.png", 2.5, "black")
    fidelity = job(**MODEL).run(picture.path, tinted_half).fidelity
    assert fidelity.changed_share == pytest.approx(0.5, abs=0.03)
    assert fidelity.before.psnr_db > 40  # hidden black before a white ground: 3 dB
    assert job(keep=Keep.NONE, **MODEL).run(picture.path, tinted).fidelity.changed_share == 1


def test_a_region_of_a_cut_out_changes_and_no_more(tmp_path: Path, job: MakeJob) -> None:
    region = Region(200, 60, 120, 120)
    picture = cut_out(tmp_path / "photo.png", 2.5, "black")
    made = job(region=region, keep=Keep.MASK, **MODEL)
    before, after = read(picture.path), read(made.run(picture.path, tinted).path)
    inside = np.zeros(before.shape[:2], bool)
    inside[60:180, 200:320] = True
    assert (before[~inside] == after[~inside]).all()
    core = np.zeros_like(inside)
    core[70:170, 210:310] = True
    expected = np.clip(picture.shown * np.asarray(TINT), 0, 255)
    off = np.abs(after[..., :3] - expected).max(axis=2)
    assert off[core & picture.opaque].max() <= FEW_LEVELS


def test_grey_cut_outs_have_no_rim_either(tmp_path: Path, job: MakeJob) -> None:
    alpha = disc(400, 240)
    image = Image.new("L", alpha.size)
    image.paste(200, mask=alpha.point(lambda level: 255 * (level > 0)))
    image.putalpha(alpha)
    path = tmp_path / "photo.png"
    image.save(path)
    composed = job(keep=Keep.NONE, **MODEL).run(
        path, lambda it: it.point(lambda level: level // 2)
    )
    with Image.open(composed.path) as result:
        assert result.mode == "LA"
        levels, seen = np.asarray(result.getchannel("L")), np.asarray(result.getchannel("A"))
    assert set(np.unique(levels[seen == 255])) <= {99, 100, 101}


def test_a_reference_shows_no_hidden_colours(tmp_path: Path, job: MakeJob) -> None:
    photo = cut_out(tmp_path / "photo.png", 1, "black")
    canvases = set()
    for hidden in HIDDEN:
        logo = cut_out(tmp_path / "logo.png", 2.5, hidden)
        prepared = job(references=(logo.path,), **MODEL).prepare(photo.path)
        canvases.add(prepared.canvases[1].read_bytes())
    assert len(canvases) == 1


@pytest.mark.parametrize("format_", [Format.PNG, Format.JPG])
def test_neither_preview_nor_jpeg_shows_a_rim(
    tmp_path: Path, job: MakeJob, format_: Format
) -> None:
    picture = cut_out(tmp_path / "photo.png", 6, "black")
    composed = job(wants_preview=True, format=format_, size=ExactSize(700, 420), **MODEL).run(
        picture.path
    )
    with Image.open(composed.preview.path) as sheet:
        assert np.asarray(sheet.convert("L")).min() > 165  # the subject's darkest is 169
    if format_ is Format.JPG:
        with Image.open(composed.path) as result:
            assert np.asarray(result.convert("L")).min() > 165
