"""Our loop gives what diffusers' own pipeline gives, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image
from rig.copy_streams import LateLane
from rig.stage_memory import decide, passing_through, place

from config.settings import ModelSettings
from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import EditRequest
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.processor import PlainProcessor
from pipeline.qwen.stages import whole
from pipeline.tiny_model import CONDITION_PIXELS

TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
EARLIER_PLUS = "QwenImageEditPlusPipeline without zero_cond_t"  # as Qwen-Image-Edit-2509


@pytest.fixture
def areas(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """areas(pixels) lets the library work at that many; its own areas are constants of 1 MP."""
    plus, single = pipeline_qwenimage_edit_plus, pipeline_qwenimage_edit
    original = single.calculate_dimensions

    def set_to(pixels: int) -> None:
        monkeypatch.setattr(plus, "VAE_IMAGE_SIZE", pixels)
        monkeypatch.setattr(plus, "CONDITION_IMAGE_SIZE", CONDITION_PIXELS)
        at_size = lambda _area, ratio: original(pixels, ratio)  # noqa: E731, stands for a function
        monkeypatch.setattr(single, "calculate_dimensions", at_size)

    return set_to


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> Callable[[EditRequest], Callable[[int], None]]:
    """keeping(request) lets the library leave the request's pictures in their sizes."""
    original = pipeline_qwenimage_edit_plus.calculate_dimensions

    def of(request: EditRequest) -> Callable[[int], None]:
        sizes = [_pixels(path).shape[1::-1] for path in request.images]
        by_ratio = {width / height: (width, height) for width, height in sizes}
        assert len(by_ratio) == len(sizes)

        def at_size(area: int, ratio: float) -> Any:
            return original(area, ratio) if area == CONDITION_PIXELS else by_ratio[ratio]

        def set_to(_pixels: int) -> None:
            plus, single = pipeline_qwenimage_edit_plus, pipeline_qwenimage_edit
            monkeypatch.setattr(plus, "CONDITION_IMAGE_SIZE", CONDITION_PIXELS)
            monkeypatch.setattr(plus, "calculate_dimensions", at_size)
            monkeypatch.setattr(single, "calculate_dimensions", lambda *of: (*at_size(*of), None))

        return set_to

    return of


@pytest.fixture(scope="module")
def checkpoints(
    tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The tiny checkpoints, and one more."""
    earlier = tmp_path_factory.mktemp("models") / "earlier"
    shutil.copytree(tiny_models[EDIT_PLUS], earlier)
    config = earlier / "transformer" / "config.json"
    written = json.loads(config.read_text())
    assert written["zero_cond_t"]
    config.write_text(json.dumps({**written, "zero_cond_t": False}))
    return {**tiny_models, EARLIER_PLUS: earlier}


@pytest.fixture(scope="module")
def expected(
    checkpoints: dict[str, Path],
) -> Callable[..., Callable[[Callable[[int], None], EditRequest], Any]]:
    """expected(checkpoint, dtype)(areas, request) -> the library's own picture."""
    opened: dict[tuple[str, str], Any] = {}

    def opening(name: str, dtype: str) -> Callable[[Callable[[int], None], EditRequest], Any]:
        if (name, dtype) not in opened:
            opened[name, dtype] = _open(checkpoints[name], TORCH_DTYPES[dtype])
        return partial(_expected, opened[name, dtype])

    return opening


def _open(folder: Path, dtype: torch.dtype) -> Any:
    pipe = DiffusionPipeline.from_pretrained(
        folder, processor=None, dtype=dtype, local_files_only=True
    )
    pipe.processor = PlainProcessor(pipe.tokenizer, folder / "processor")
    encoder = pipe.text_encoder
    forward = encoder.forward

    def with_positions(**given: Any) -> Any:
        marks = (given["input_ids"] == encoder.config.image_token_id).int()
        return forward(**given, mm_token_type_ids=marks)

    encoder.forward = with_positions
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _expected(pipe: Any, areas: Callable[[int], None], request: EditRequest) -> Any:
    pictures = [Image.open(path) for path in request.images]
    width, height = pictures[0].size
    areas(width * height)
    return np.asarray(
        pipe(
            image=pictures if len(pictures) > 1 else pictures[0],
            prompt=request.prompt,
            negative_prompt=request.negative_prompt if request.cfg > 1 else None,
            true_cfg_scale=request.cfg,
            num_inference_steps=request.steps,
            width=width,
            height=height,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        ).images[0]
    )


def _pixels(path: Path) -> Any:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_an_edit_equals_the_librarys_own(
    *,
    edit_class: str,
    cfg: float,
    dtype: str,
    areas: Callable[[int], None],
    expected: Callable[..., Any],
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    request = request_of(cfg=cfg, negative_prompt="blurred", prompt="把方块变成红色, softly")
    found = picture_of(open_editor(edit_class, dtype), request)
    assert np.array_equal(found, expected(edit_class, dtype)(areas, request))


@pytest.mark.parametrize("size", [(32, 32), (160, 64), (64, 160), (256, 96)])
@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_an_edit_of_any_size_equals_the_librarys_own(
    *,
    edit_class: str,
    size: tuple[int, int],
    areas: Callable[[int], None],
    expected: Callable[..., Any],
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    request = request_of(images=(canvas(size),), cfg=3.0, steps=4, seed=2**40)
    found = picture_of(open_editor(edit_class), request)
    assert (found.shape[1], found.shape[0]) == size
    assert np.array_equal(found, expected(edit_class, "fp32")(areas, request))


@pytest.mark.parametrize("further", [1, 2, 3])
def test_an_edit_with_references_equals_the_librarys_own(
    *,
    further: int,
    areas: Callable[[int], None],
    expected: Callable[..., Any],
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    sizes = [(96, 128), (128, 96), (96, 128), (128, 96)][: further + 1]
    images = tuple(canvas(size, tone=60 * i) for i, size in enumerate(sizes))
    request = request_of(images=images, cfg=2.5)
    result = picture_of(open_editor(EDIT_PLUS), request)
    assert (result.shape[1], result.shape[0]) == sizes[0]
    assert np.array_equal(result, expected(EDIT_PLUS, "fp32")(areas, request))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [EDIT, EDIT_PLUS, EARLIER_PLUS])
def test_each_of_a_mixed_batch_that_streams_equals_the_librarys_own(
    *,
    name: str,
    dtype: str,
    areas: Callable[[int], None],
    expected: Callable[..., Any],
    checkpoints: dict[str, Path],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    wide, tall = canvas((160, 64)), canvas((64, 160), tone=90)
    several = (tall,) if name == EDIT else (tall, wide)
    requests = [
        request_of(cfg=4.0, steps=3, negative_prompt="blurred, dark"),
        request_of(images=(wide,), seed=1, prompt="Turn the square to blue"),
        request_of(images=several, cfg=1.5),
    ]
    copy_stream = LateLane()
    settings = ModelSettings(path=checkpoints[name], batch=4)
    editor = opening(settings, {"DTYPE": dtype}, at=place(copy_stream))
    decide(editor, passing_through(1))
    editor.edit(requests, lambda _event: frozenset())
    editor.close()
    for request in requests:
        with Image.open(request.result) as picture:
            assert np.array_equal(np.asarray(picture), expected(name, dtype)(areas, request))


@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_jobs_of_different_areas_and_multiples_equal_the_librarys_own_alone_and_in_company(
    *,
    edit_class: str,
    keeping: Callable[[EditRequest], Callable[[int], None]],
    expected: Callable[..., Any],
    tiny_models: dict[str, Path],
    tmp_path: Path,
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_models[edit_class], model)
    ours = json.loads((model / "hotfolder.json").read_text())
    (model / "hotfolder.json").write_text(json.dumps({**ours, "multiple": 16}))
    large, small = canvas((224, 336)), canvas((112, 112), tone=90)
    requests = [
        request_of(images=(large,) if edit_class == EDIT else (large, small), cfg=3.0),
        request_of(images=(canvas((176, 80)),), prompt="Turn the square to blue"),
        request_of(images=(small,), seed=1),
    ]
    editor = opening(ModelSettings(path=model, batch=4), {"DTYPE": "fp32"}, at=place(LateLane()))
    assert editor.describe().multiple == 16
    decide(editor, passing_through(1))
    editor.edit(requests, lambda _event: frozenset())
    together = [_pixels(request.result) for request in requests]
    for request, found in zip(requests, together, strict=True):
        assert np.array_equal(found, expected(edit_class, "fp32")(keeping(request), request))
        editor.edit([request], lambda _event: frozenset())
        assert np.array_equal(_pixels(request.result), found)
    editor.close()


def test_zero_cond_t_shows_in_the_picture(
    areas: Callable[[int], None],
    expected: Callable[..., Any],
    request_of: Callable[..., EditRequest],
) -> None:
    request = request_of()
    newest, earlier = (expected(n, "fp32")(areas, request) for n in (EDIT_PLUS, EARLIER_PLUS))
    assert not np.array_equal(newest, earlier)


@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_the_canvas_reaches_the_vae_pixel_by_pixel(
    edit_class: str,
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    from pipeline.qwen.encode import look, prepare
    from pipeline.qwen.read_prompt import read_prompts

    editor = open_editor(edit_class)
    pipe = editor._pipe
    cpu = torch.device("cpu")
    size = (160, 32)  # no size that the library would choose
    request = request_of(images=(canvas(size),))
    with torch.no_grad():
        prepared = prepare(pipe, request, condition_pixels=9216, multiple=32)
        stacks = editor._parts.encoder.stacks
        texts = read_prompts(pipe, stacks, [prepared.prompt], cpu)
        found = look(pipe, prepared, whole(texts), seed=7, device=cpu)
        pixels = np.asarray(Image.open(request.images[0]), dtype=np.float32) / 127.5 - 1
        sample = torch.from_numpy(pixels).permute(2, 0, 1)[None, :, None]
        latents = pipe._encode_vae_image(sample, generator=None)
        packed = pipe._pack_latents(latents, 1, 16, size[1] // 8, size[0] // 8)
    assert torch.allclose(found.references, packed, atol=1e-5)


def test_the_template_before_the_pictures_is_what_the_pipelines_drop(
    open_editor: Callable[..., Any],
) -> None:
    for edit_class in (EDIT, EDIT_PLUS):
        pipe = open_editor(edit_class)._pipe
        head = pipe.prompt_template_encode.partition("user\n")
        tokens = pipe.tokenizer(head[0] + head[1])["input_ids"]
        assert len(tokens) == pipe.prompt_template_encode_start_idx == 64
