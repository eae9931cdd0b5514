from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter, ImageOps, JpegImagePlugin
from rig.studio import picture

from config.values import ExactSize, Format, Keep, ModelSize, Region, Size
from pipeline.picture.fidelity import Strategy, percent
from pipeline.picture.save import result_kind
from pipeline.picture.tasks import compose
from pipeline.pixel_requests import PictureError
from pipeline.sniff.whole_file import Kind

Scene = Callable[[int, int], Image.Image]
Pixels = Callable[[Path], npt.NDArray[np.uint8]]
MakeJob = Callable[..., Any]  # the fixture `job`

MODEL = {"working_pixels": 128 * 128, "multiple": 32}


@pytest.fixture
def photo(tmp_path: Path, scene: Scene) -> Path:
    path = tmp_path / "photo.png"
    scene(60, 40).save(path)
    return path


def painted(canvas: Image.Image) -> Image.Image:
    """An edit that changes every pixel and is not flat."""
    return ImageOps.invert(canvas)


@pytest.mark.parametrize("file", ["RGB.png", "L.png", "RGB.bmp", "L.bmp", "RGB.tif", "RGB.webp"])
@pytest.mark.parametrize("way", [{}, MODEL])
def test_an_echo_comes_back_pixel_by_pixel(
    tmp_path: Path, scene: Scene, job: MakeJob, file: str, way: dict[str, int]
) -> None:
    path = tmp_path / file
    image = scene(61, 37).convert(path.stem)
    image.save(path, lossless=True)
    composed = job(**way).run(path)
    with Image.open(path) as before, Image.open(composed.path) as after:
        assert after.format == before.format
        assert after.mode == before.mode
        assert after.tobytes() == before.tobytes()
    assert not composed.format_changed


@pytest.mark.parametrize(("mode", "extension"), [("RGBA", "png"), ("LA", "png"), ("RGBA", "webp")])
def test_alpha_comes_back_on_the_edit(
    tmp_path: Path, scene: Scene, job: MakeJob, mode: str, extension: str
) -> None:
    path = tmp_path / f"photo.{extension}"
    image = scene(60, 40).convert(mode)
    alpha = Image.linear_gradient("L").resize((60, 40))
    image.putalpha(alpha)
    image.save(path, lossless=True, exact=True)
    composed = job().run(path, painted)
    with Image.open(composed.path) as result:
        assert result.mode == mode
        assert result.getchannel("A").tobytes() == alpha.tobytes()
        inverted = ImageOps.invert(image.convert(mode[:-1]))
        assert result.convert(mode[:-1]).tobytes() == inverted.tobytes()


def test_alpha_follows_the_size_of_the_result(tmp_path: Path, scene: Scene, job: MakeJob) -> None:
    path = tmp_path / "photo.png"
    image = scene(60, 40)
    image.putalpha(Image.new("L", (60, 40), 77))
    image.save(path)
    composed = job(size=ExactSize(25, 25)).run(path, painted)
    with Image.open(composed.path) as result:
        assert result.getchannel("A").getextrema() == (77, 77)


def test_transparent_parts_become_white_in_a_jpeg_and_that_is_said(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    path = tmp_path / "photo.png"
    image = scene(60, 40)
    alpha = Image.new("L", (60, 40), 255)
    alpha.paste(0, (0, 0, 30, 40))
    image.putalpha(alpha)
    image.save(path)
    composed = job(format=Format.JPG).run(path)
    assert "white" in composed.notes[0]
    with Image.open(composed.path) as result:
        assert result.getpixel((5, 20)) == (255, 255, 255)


def test_grey_with_a_coloured_edit_becomes_rgb(
    tmp_path: Path, scene: Scene, job: MakeJob, pixels: Pixels
) -> None:
    path = tmp_path / "photo.png"
    scene(60, 40).convert("L").save(path)
    composed = job(keep=Keep.NONE).run(path, lambda canvas: scene(*canvas.size))
    assert (pixels(composed.path) == np.asarray(scene(60, 40))).all()
    assert pixels(job().run(path, painted).path).shape == (40, 60)


@pytest.mark.parametrize("way", [{}, MODEL])
def test_outside_the_region_every_pixel_is_the_original_s(
    photo: Path, job: MakeJob, pixels: Pixels, way: dict[str, int]
) -> None:
    composed = job(region=Region(10, 5, 30, 20), **way).run(photo, painted)
    changed = (pixels(composed.path) != pixels(photo)).any(axis=2)
    assert changed[5:25, 10:40].mean() > 0.9
    changed[5:25, 10:40] = False
    assert not changed.any()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_a_mask_in_any_mode_is_white_where_it_may_change(
    tmp_path: Path, photo: Path, job: MakeJob, pixels: Pixels, mode: str
) -> None:
    values = np.zeros((40, 60), dtype=np.uint16)
    values[10:30, 20:50] = 65535
    mask = tmp_path / "photo.mask.png"
    if mode == "I;16":
        Image.fromarray(values).save(mask)
    else:
        Image.fromarray((values // 257).astype(np.uint8)).convert(mode).save(mask)
    composed = job(mask=mask).run(photo, painted)
    before, after = pixels(photo), pixels(composed.path)
    assert (after[values == 0] == before[values == 0]).all()
    assert (after[12:28, 22:48] == 255 - before[12:28, 22:48]).all()


def test_transparent_parts_of_a_mask_may_change(
    tmp_path: Path, photo: Path, job: MakeJob, pixels: Pixels
) -> None:
    mask = tmp_path / "photo.mask.png"
    image = Image.new("RGBA", (60, 40), (255, 255, 255, 255))
    image.paste((255, 255, 255, 0), (20, 10, 50, 30))
    image.save(mask)
    composed = job(mask=mask).run(photo, painted)
    changed = (pixels(composed.path) != pixels(photo)).any(axis=2)
    assert changed[10:30, 20:50].mean() > 0.9
    changed[10:30, 20:50] = False
    assert not changed.any()


def test_the_noise_of_a_jpeg_mask_changes_nothing_outside(
    tmp_path: Path, photo: Path, job: MakeJob, pixels: Pixels
) -> None:
    mask = tmp_path / "photo.mask.jpg"
    image = Image.new("L", (60, 40), 5)
    image.paste(250, (24, 8, 48, 32))
    image.save(mask, quality=95)
    composed = job(mask=mask).run(photo, painted)
    before, after = pixels(photo), pixels(composed.path)
    assert (after[:, :16] == before[:, :16]).all()
    assert (after[16:24, 32:40] == 255 - before[16:24, 32:40]).all()


def test_keep_none_takes_the_whole_edit_despite_a_mask(
    tmp_path: Path, photo: Path, job: MakeJob, pixels: Pixels
) -> None:
    mask = tmp_path / "photo.mask.png"
    Image.new("L", (60, 40)).save(mask)
    composed = job(mask=mask, keep=Keep.NONE).run(photo, painted)
    assert (pixels(composed.path) == 255 - pixels(photo)).all()


def test_the_model_s_size_is_the_content_without_padding(photo: Path, job: MakeJob) -> None:
    composed = job(size=ModelSize(), **MODEL).run(photo, painted)
    assert (composed.width, composed.height) == (144, 96)
    with Image.open(composed.path) as result:
        assert result.size == (144, 96)


def test_a_region_at_the_model_s_size_is_the_region_alone(
    tmp_path: Path, photo: Path, job: MakeJob
) -> None:
    mask = tmp_path / "photo.mask.png"
    Image.new("L", (60, 40), "white").save(mask)
    made = job(size=ModelSize(), region=Region(10, 5, 20, 20), mask=mask, **MODEL)
    with Image.open(made.run(photo, painted).path) as result:
        assert result.size == (128, 128)


@pytest.mark.parametrize(
    ("size", "note"),
    [
        (ExactSize(30, 20), None),
        (ExactSize(20, 20), "To fill 20x20, 33% of the width was cut away, half at each end."),
        (ExactSize(120, 40), "To fill 120x40, 50% of the height was cut away, half at each end."),
    ],
)
@pytest.mark.parametrize("region", [None, Region(20, 10, 20, 20)])
def test_an_exact_size_is_filled_and_cut_but_never_stretched(
    tmp_path: Path, job: MakeJob, size: ExactSize, note: str | None, region: Region | None
) -> None:
    disc = Image.new("RGB", (60, 40), "white")
    disc.paste("black", (20, 10, 40, 30))
    path = tmp_path / "square.png"
    disc.save(path)
    composed = job(size=size, region=region).run(path)
    assert composed.notes == (() if note is None else (note,))
    with Image.open(composed.path) as result:
        assert result.size == (size.width, size.height)
        dark = np.asarray(result.convert("L")) < 128
    assert dark.any(axis=0).sum() == pytest.approx(dark.any(axis=1).sum(), abs=1)


def test_an_exact_size_does_not_go_through_a_small_original(tmp_path: Path, job: MakeJob) -> None:
    path = tmp_path / "small.png"
    Image.radial_gradient("L").resize((16, 16)).convert("RGB").save(path)

    def stripes(canvas: Image.Image) -> Image.Image:
        values = np.indices(canvas.size[::-1])[1] // 4 % 2 * 255
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")

    composed = job(size=ExactSize(128, 128), **MODEL).run(path, stripes)
    with Image.open(composed.path) as result:
        assert np.asarray(result.convert("L")).std() > 120


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [(Format.PNG, Kind.PNG), (Format.JPG, Kind.JPEG), (Format.WEBP, Kind.WEBP)],
)
def test_a_wanted_format_is_written_and_named(
    tmp_path: Path, scene: Scene, job: MakeJob, wanted: Format, kind: Kind
) -> None:
    path = tmp_path / "photo.bmp"
    scene(60, 40).save(path)
    composed = job(format=wanted).run(path)
    assert composed.path.name == f"result.of.1.{wanted}"
    assert composed.format_changed
    with Image.open(composed.path) as result:
        assert result.format == kind


def test_the_receipt_s_numbers_are_the_file_s(photo: Path, job: MakeJob) -> None:
    composed = job().run(photo, painted)
    assert composed.sha256 == hashlib.sha256(composed.path.read_bytes()).hexdigest()
    assert not list(composed.path.parent.glob("*.part"))


def test_a_lying_name_keeps_the_format_of_the_content(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    path = tmp_path / "photo.png"
    scene(60, 40).save(path, format="JPEG")
    composed = job().run(path)
    assert composed.path.suffix == ".jpg"
    assert not composed.format_changed


@pytest.mark.parametrize(("quality", "sampling"), [(95, 0), (90, 0), (89, 2)])
def test_fine_jpegs_keep_the_full_resolution_of_colour(
    photo: Path, job: MakeJob, quality: int, sampling: int
) -> None:
    composed = job(format=Format.JPG, quality=quality).run(photo)
    with Image.open(composed.path) as result:
        assert JpegImagePlugin.get_sampling(result) == sampling


@pytest.mark.parametrize(
    ("mode", "packing"),
    [
        ("RGB", {"quality": 35, "subsampling": "4:2:0"}),
        ("RGB", {"quality": 92, "subsampling": "4:2:2"}),
        ("RGB", {"quality": 98, "subsampling": "4:4:4"}),
        ("RGB", {"qtables": "web_low"}),
        ("L", {"quality": 60}),
        ("CMYK", {"quality": 80}),
    ],
)
def test_a_jpeg_is_packed_as_finely_as_its_original(
    tmp_path: Path, scene: Scene, job: MakeJob, mode: str, packing: dict[str, Any]
) -> None:
    path = tmp_path / "photo.jpg"
    scene(60, 40).convert(mode).save(path, **packing)
    with Image.open(path) as before, Image.open(job().run(path, painted).path) as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.quantization == before.quantization
        if mode == "RGB":
            assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)


def test_a_quality_that_was_written_wins_over_the_original_s(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    rough, fine = tmp_path / "rough.jpg", tmp_path / "fine.jpg"
    scene(60, 40).save(rough, quality=35)
    scene(60, 40).save(fine, quality=96, subsampling="4:4:4")
    with Image.open(job(quality=96).run(rough).path) as after, Image.open(fine) as wanted:
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert isinstance(wanted, JpegImagePlugin.JpegImageFile)
        assert after.quantization == wanted.quantization


def test_a_grey_jpeg_with_a_coloured_edit_keeps_its_only_table(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    path = tmp_path / "photo.jpg"
    scene(60, 40).convert("L").save(path, quality=60)
    composed = job().run(path, lambda canvas: scene(*canvas.size))
    with Image.open(path) as before, Image.open(composed.path) as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.mode == "RGB"
        assert after.quantization == before.quantization


def test_a_jpeg_that_comes_back_unchanged_loses_next_to_nothing(
    tmp_path: Path, scene: Scene, job: MakeJob, pixels: Pixels
) -> None:
    path = tmp_path / "photo.jpg"
    scene(64, 48).save(path, quality=80)
    before, after = pixels(path).astype(int), pixels(job().run(path).path).astype(int)
    assert np.abs(after - before).mean() < 0.5


def test_what_a_format_cannot_hold_becomes_png_and_is_said() -> None:
    assert result_kind(Format.WEBP, Kind.JPEG, (16_383, 9)) == (Kind.WEBP, ())
    kind, notes = result_kind(Format.WEBP, Kind.JPEG, (9, 16_384))
    assert kind is Kind.PNG
    assert "16383 pixels" in notes[0]
    assert result_kind(Format.SAME, Kind.JPEG, (65_501, 1))[0] is Kind.PNG
    assert result_kind(Format.SAME, Kind.TIFF, (70_001, 1)) == (Kind.TIFF, ())


def test_a_panorama_wider_than_webp_is_saved_as_png(
    tmp_path: Path, scene: Scene, job: MakeJob
) -> None:
    path = tmp_path / "wide.png"
    scene(17_000, 2).save(path)
    composed = job(format=Format.WEBP).run(path)
    assert composed.path.suffix == ".png"
    assert not composed.format_changed
    assert composed.notes


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_edit_of_a_picture_is_a_failure(photo: Path, job: MakeJob, level: int) -> None:
    made = job(allow_flat=False, **MODEL)
    with pytest.raises(PictureError, match=r"edited picture of photo\.png is (black|of one)"):
        made.run(photo, lambda canvas: Image.new("RGB", canvas.size, (level,) * 3))
    assert made.run(photo, painted).width == 60


def test_a_flat_edit_of_a_flat_picture_is_a_result_unless_it_is_black(
    tmp_path: Path, job: MakeJob
) -> None:
    path = tmp_path / "flat.png"
    Image.new("RGB", (60, 40), "white").save(path)
    made = job(allow_flat=False)
    made.run(path, lambda canvas: Image.new("RGB", canvas.size, "red"))
    with pytest.raises(PictureError, match="black all over"):
        made.run(path, lambda canvas: Image.new("RGB", canvas.size, "black"))


def test_a_plain_ground_from_which_all_was_removed_is_a_result(
    tmp_path: Path, job: MakeJob
) -> None:
    path = tmp_path / "alone.png"
    picture = Image.new("RGB", (60, 40), "pink")
    picture.paste("green", (20, 10, 40, 30))
    picture.save(path)
    made = job(allow_flat=False)
    cleared = made.run(path, lambda canvas: Image.new("RGB", canvas.size, "pink"))
    with Image.open(cleared.path) as result:
        assert result.getcolors() == [(60 * 40, (255, 192, 203))]
    with pytest.raises(PictureError, match="of one colour all over"):
        made.run(path, lambda canvas: Image.new("RGB", canvas.size, "green"))


def test_an_editor_without_a_model_may_return_black(photo: Path, job: MakeJob) -> None:
    composed = job().run(photo, lambda canvas: Image.new("RGB", canvas.size))
    assert composed.width == 60


def test_an_edit_of_another_size_is_refused(photo: Path, job: MakeJob) -> None:
    with pytest.raises(PictureError, match="the editor returned"):
        job().run(photo, lambda canvas: canvas.resize((10, 10)))


def test_an_edit_that_is_cut_short_is_refused(photo: Path, job: MakeJob) -> None:
    made = job()
    prepared = made.prepare(photo)
    edited = made.into / "edited.png"
    edited.write_bytes(photo.read_bytes()[:2000])
    with pytest.raises(PictureError, match="edited picture of photo"):
        compose(made.composing(photo, prepared, edited))


@pytest.mark.parametrize("size", [ExactSize(33, 22), ModelSize()])
def test_a_small_original_limits_no_larger_result(
    tmp_path: Path, scene: Scene, job: MakeJob, size: Size
) -> None:
    path = tmp_path / "tiny.png"
    scene(3, 2).save(path)
    composed = job(size=size, **MODEL).run(path, painted)
    assert composed.width > 30


def edge_of(canvas: Image.Image) -> Image.Image:
    """An edit of a corner: a frame of another colour, the rest as a model returns it."""
    noise = np.random.default_rng(4).normal(0, 1.2, (*canvas.size[::-1], 3))
    values = np.asarray(canvas) * np.array([1.01, 1.0, 0.99]) + noise
    height, width = values.shape[:2]
    values[: height // 3, : width // 3] = (20, 200, 60)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.png"
    Image.fromarray(picture("textured", 768, 512, 1).astype(np.uint8)).save(path)
    return path


LARGER = {"working_pixels": 384 * 256, "multiple": 32}


def test_what_did_not_change_is_the_original_s_bit_for_bit(
    large: Path, job: MakeJob, pixels: Pixels
) -> None:
    composed = job(**LARGER).run(large, edge_of)
    before, after = pixels(large), pixels(composed.path)
    assert (after[:, 280:] == before[:, 280:]).all()
    assert (after[190:] == before[190:]).all()
    assert np.abs(after[:160, :245].astype(int) - (20, 200, 60)).max() <= 8
    fidelity = composed.fidelity
    assert fidelity.strategy is Strategy.LOCAL
    assert fidelity.changed_share == pytest.approx(1 / 9, abs=0.01)
    assert fidelity.before is not None
    assert fidelity.after is not None
    assert fidelity.before.psnr_db < 35
    assert fidelity.after.psnr_db > 60


def test_a_mask_limits_what_is_found_to_have_changed(
    tmp_path: Path, large: Path, job: MakeJob, pixels: Pixels
) -> None:
    mask = tmp_path / "mask.png"
    image = Image.new("L", (768, 512))
    image.paste(255, (0, 0, 200, 512))
    image.save(mask)
    after = pixels(job(mask=mask, **LARGER).run(large, edge_of).path)
    assert (after[:, 200:] == pixels(large)[:, 200:]).all()


@pytest.mark.parametrize(
    "limits", [{}, {"region": Region(100, 60, 120, 90)}], ids=["all", "region"]
)
def test_the_log_says_the_share_that_the_receipt_has(
    large: Path, job: MakeJob, limits: dict[str, Any]
) -> None:
    composed = job(**limits, **LARGER).run(large, edge_of)
    share = percent(composed.fidelity.changed_share)
    assert composed.fidelity.strategy is Strategy.LOCAL
    assert composed.fidelity.reason.startswith(f"{share} of the picture changed")
    assert f"large.png: {composed.fidelity.reason} (strategy: local)." in composed.notes


def test_keep_mask_takes_all_that_the_mask_lets_change(
    tmp_path: Path, large: Path, job: MakeJob, pixels: Pixels
) -> None:
    mask = tmp_path / "mask.png"
    image = Image.new("L", (768, 512))
    image.paste(255, (384, 256, 768, 512))
    image.save(mask)
    composed = job(mask=mask, keep=Keep.MASK, **LARGER).run(large, edge_of)
    before, after = pixels(large), pixels(composed.path)
    assert composed.fidelity.strategy is Strategy.MASK
    assert (after[300:, 430:] != before[300:, 430:]).any(axis=2).mean() > 0.5


def test_keep_none_takes_the_edit_without_a_look_at_it(large: Path, job: MakeJob) -> None:
    fidelity = job(keep=Keep.NONE, **LARGER).run(large, edge_of).fidelity
    assert fidelity.strategy is Strategy.NONE
    assert (fidelity.before, fidelity.changed_share) == (None, 1)


def test_an_edit_that_changed_nothing_is_the_original_and_said(
    large: Path, job: MakeJob, pixels: Pixels
) -> None:
    composed = job(**LARGER).run(large, lambda canvas: canvas.filter(ImageFilter.BoxBlur(0.4)))
    assert (pixels(composed.path) == pixels(large)).all()
    assert composed.fidelity.strategy is Strategy.UNCHANGED
    assert "nothing changed" in composed.fidelity.reason


def test_a_dark_picture_with_a_bright_new_half_is_composed(tmp_path: Path, job: MakeJob) -> None:
    """What was kept is too dark to say anything of the tone of what is bright."""
    path = tmp_path / "photo.png"
    dark = picture("textured", 240, 160, 1) * 0.25
    Image.fromarray(dark.astype(np.uint8)).save(path)

    def brightened(canvas: Image.Image) -> Image.Image:
        made = np.asarray(canvas, np.float32) + 2
        made[:, 120:] = (picture("shapes", 240, 160, 3) * 0.7 + 70)[:, 120:]
        return Image.fromarray(made.astype(np.uint8))

    fidelity = job(working_pixels=240 * 160).run(path, brightened).fidelity
    assert fidelity.strategy is Strategy.LOCAL
    assert fidelity.tone_gain == (1, 1, 1)


def test_an_edit_of_all_of_it_is_returned_whole(large: Path, job: MakeJob) -> None:
    fidelity = job(**LARGER).run(large, painted).fidelity
    assert fidelity.strategy is Strategy.WHOLE
    assert fidelity.after is None


def test_the_fidelity_of_a_jpeg_is_that_of_its_file(large: Path, job: MakeJob) -> None:
    fidelity = job(format=Format.JPG, quality=80, **LARGER).run(large, edge_of).fidelity
    assert fidelity.after is not None
    assert fidelity.file is not None
    assert 25 < fidelity.file.psnr_db < 45
    assert fidelity.after.psnr_db > 45


def test_a_region_gets_the_model_s_full_area(large: Path, job: MakeJob, pixels: Pixels) -> None:
    made = job(region=Region(600, 400, 100, 60), **LARGER)
    placement = made.prepare(large).placement
    part = placement.region
    assert placement.content_width / part.width > 1.5
    assert part.width >= 150
    changed = (pixels(made.run(large, painted).path) != pixels(large)).any(axis=2)
    assert changed[402:458, 602:698].mean() > 0.95
    changed[400:460, 600:700] = False
    assert not changed.any()


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (63, 65), (97, 300), (1000, 100), (33, 1)])
def test_every_size_comes_back_exactly(
    tmp_path: Path, job: MakeJob, size: tuple[int, int]
) -> None:
    chance = np.random.default_rng(size[0])
    path = tmp_path / "photo.png"
    Image.fromarray(chance.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(path)
    composed = job(**MODEL).run(path, painted)
    with Image.open(composed.path) as result:
        assert result.size == size
