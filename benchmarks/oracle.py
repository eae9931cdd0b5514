"""The picture that diffusers' own pipeline makes of a request."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

from pipeline.editor import EditRequest


class Oracle:
    """A checkpoint in diffusers' own pipeline, on a device."""

    def __init__(self, folder: Path, dtype: str, device: Any) -> None:
        import torch
        from diffusers import DiffusionPipeline

        from pipeline.qwen.processor import PlainProcessor

        self._pipe: Any = DiffusionPipeline.from_pretrained(
            folder,
            processor=None,
            dtype={"fp32": torch.float32, "bf16": torch.bfloat16}[dtype],
            local_files_only=True,
        )
        self._pipe.processor = PlainProcessor(self._pipe.tokenizer, folder / "processor")
        self._pipe.set_progress_bar_config(disable=True)
        self._pipe.to(device)
        restore_picture_positions(self._pipe.text_encoder)

    def picture(self, request: EditRequest) -> Any:
        """Pixels, uint8 of (height, width, 3), at the size of the request's first image."""
        import numpy as np
        import torch
        from PIL import Image

        pictures = [Image.open(path) for path in request.images]
        width, height = pictures[0].size
        _work_at(width * height)
        found = self._pipe(
            image=pictures if len(pictures) > 1 else pictures[0],
            prompt=request.prompt,
            negative_prompt=request.negative_prompt if request.cfg > 1 else None,
            true_cfg_scale=request.cfg,
            num_inference_steps=request.steps,
            width=width,
            height=height,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        ).images[0]
        return np.asarray(found)


def restore_picture_positions(text_encoder: Any) -> None:
    """Have the encoder told which tokens stand for pictures, which the pipelines leave out.

    See pipeline.qwen.read_prompt, where our own engine sees to it.
    """

    def tell(
        module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if kwargs.get("input_ids") is None:  # our engine, which gives the positions itself
            return args, kwargs
        marks = (kwargs["input_ids"] == module.config.image_token_id).int()
        return args, {**kwargs, "mm_token_type_ids": marks}

    # A hook, not a wrapped forward: offloading replaces forward.
    text_encoder.register_forward_pre_hook(tell, with_kwargs=True)


def _work_at(pixels: int) -> None:
    """Let the library work at that area; its own are constants of a megapixel."""
    from diffusers.pipelines.qwenimage import (
        pipeline_qwenimage_edit,
        pipeline_qwenimage_edit_plus,
    )

    from pipeline.tiny_model import CONDITION_PIXELS

    plus, single = pipeline_qwenimage_edit_plus, pipeline_qwenimage_edit
    plus.VAE_IMAGE_SIZE, plus.CONDITION_IMAGE_SIZE = pixels, CONDITION_PIXELS
    own = getattr(single.calculate_dimensions, "__wrapped__", single.calculate_dimensions)

    @wraps(own)
    def at_that_area(_area: int, ratio: float) -> Any:
        return own(pixels, ratio)

    single.calculate_dimensions = at_that_area
