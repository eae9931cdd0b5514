"""The models of a checkpoint, built without their weights.

Each is what the libraries' from_pretrained makes, whole but for its parameters, which are on
torch's meta device: what is computed and not read, such as tables of positions, is there. The
functions raise what the libraries raise if a config.json is none for its model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import accelerate
import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from diffusers.models import modeling_utils
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, initialization

# The libraries are untyped here: this stands for one of their models.
Model: TypeAlias = Any


def text_encoder(folder: Path, dtype: torch.dtype) -> Model:
    """Qwen2.5-VL, as transformers has it."""
    config = Qwen2_5_VLConfig.from_pretrained(str(folder), local_files_only=True)
    # To draw numbers for weights that are not there takes torch seconds, and half its compiler.
    with _without_weights(dtype), initialization.no_init_weights():
        return Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=dtype).eval()


def transformer(folder: Path, dtype: torch.dtype) -> Model:
    """The transformer that denoises, as diffusers has it."""
    return _of_diffusers(QwenImageTransformer2DModel, folder, dtype)


def vae(folder: Path, dtype: torch.dtype) -> Model:
    """The picture's encoder and decoder, as diffusers has it."""
    return _of_diffusers(AutoencoderKLQwenImage, folder, dtype)


def _of_diffusers(model_class: Any, folder: Path, dtype: torch.dtype) -> Model:
    config = model_class.load_config(str(folder), local_files_only=True)
    with _without_weights(dtype):
        return model_class.from_config(config).eval()


@contextmanager
def _without_weights(dtype: torch.dtype) -> Iterator[None]:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with (
            accelerate.init_empty_weights(include_buffers=False),
            modeling_utils.no_init_weights(),
        ):
            yield
    finally:
        torch.set_default_dtype(usual)
