"""Our loop gives what diffusers' own pipeline gives, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image

from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import EditRequest
from pipeline.qwen.processor import PlainProcessor
from pipeline.tiny import CONDITION_PIXELS

SMALL_PIXELS = 128 * 96
TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's areas are constants of about 1 MP; make them the canvases' own."""
    plus, single = pipeline_qwenimage_edit_plus, pipeline_qwenimage_edit
    monkeypatch.setattr(plus, "VAE_IMAGE_SIZE", SMALL_PIXELS)
    monkeypatch.setattr(plus, "CONDITION_IMAGE_SIZE", CONDITION_PIXELS)
    original = single.calculate_dimensions
    small = lambda _area, ratio: original(SMALL_PIXELS, ratio)  # noqa: E731, stands for a function
    monkeypatch.setattr(single, "calculate_dimensions", small)


@pytest.fixture(scope="session")
def oracle(folders: dict[str, Path]) -> Callable[..., Any]:
    opened: dict[tuple[str, str], Any] = {}

    def opening(edit_class: str, dtype: str) -> Any:
        if (edit_class, dtype) not in opened:
            opened[edit_class, dtype] = _open(folders[edit_class], TORCH_DTYPES[dtype])
        return opened[edit_class, dtype]

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


def _expected(pipe: Any, request: EditRequest) -> Any:
    pictures = [Image.open(path) for path in request.images]
    width, height = pictures[0].size
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


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_an_edit_equals_the_librarys_own(
    *,
    edit_class: str,
    cfg: float,
    dtype: str,
    oracle: Callable[..., Any],
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    request = request_of(cfg=cfg, negative_prompt="blurred", prompt="把方块变成红色, softly")
    expected = _expected(oracle(edit_class, dtype), request)
    assert np.array_equal(picture_of(open_editor(edit_class, dtype), request), expected)


@pytest.mark.parametrize("sizes", [[(128, 96), (96, 128)], [(96, 128), (128, 96), (128, 96)]])
def test_an_edit_with_references_equals_the_librarys_own(
    *,
    sizes: list[tuple[int, int]],
    oracle: Callable[..., Any],
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    images = tuple(canvas(size, tone=60 * i) for i, size in enumerate(sizes))
    request = request_of(images=images, cfg=2.5)
    result = picture_of(open_editor(EDIT_PLUS), request)
    assert (result.shape[1], result.shape[0]) == sizes[0]
    assert np.array_equal(result, _expected(oracle(EDIT_PLUS, "fp32"), request))


@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_the_canvas_reaches_the_vae_pixel_by_pixel(
    edit_class: str,
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
) -> None:
    from pipeline.qwen.encode import look, prepare, read_text

    pipe = open_editor(edit_class)._pipe
    cpu = torch.device("cpu")
    size = (160, 32)  # no size that the library would choose
    request = request_of(images=(canvas(size),))
    with torch.no_grad():
        prepared = prepare(pipe, request, condition_pixels=9216)
        text = read_text(pipe, prepared.prompt, cpu)
        found = look(pipe, prepared, [text], seed=7, device=cpu)
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
