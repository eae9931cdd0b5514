"""The published model's architecture with random weights, built on the GPU (for benchmarks)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.oracle import restore_picture_positions
from pipeline import checkpoint
from pipeline.checkpoint import Checkpoint

MEGAPIXEL = 1024 * 1024


def source(folder: Path) -> Checkpoint:
    """A tiny checkpoint that says to work at the published models' sizes."""
    from pipeline import tiny_model

    tiny_model.build(folder)
    return replace(checkpoint.read(folder), working_pixels=MEGAPIXEL, condition_pixels=384 * 384)


def pipeline(found: Checkpoint) -> Any:
    """The pipeline on the GPU in bf16: 20.4 B parameters of transformer, 7.6 B of encoder."""
    import torch

    from pipeline.qwen import load
    from pipeline.qwen.precision import Precision

    pipe = load.load(found, Precision.BF16)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"), torch.no_grad():
        parts = {
            "transformer": _transformer(),
            "vae": _vae(),
            "text_encoder": _text_encoder(pipe.text_encoder.config),
        }
        for part in parts.values():
            _fill(part)
    torch.set_default_dtype(usual)
    load.drop_the_logits(parts["text_encoder"])
    restore_picture_positions(parts["text_encoder"])
    pipe.register_modules(**parts)
    pipe.set_progress_bar_config(disable=True)
    torch.cuda.empty_cache()
    return pipe


def _transformer() -> Any:
    from diffusers import QwenImageTransformer2DModel

    # As in Qwen-Image-Edit-2511.
    return QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=60,
        attention_head_dim=128,
        num_attention_heads=24,
        joint_attention_dim=3584,
        axes_dims_rope=(16, 56, 56),
        zero_cond_t=True,
    ).eval()


def _vae() -> Any:
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage().eval()


def _text_encoder(tiny_config: Any) -> Any:
    """Qwen2.5-VL-7B, with the special tokens of the tiny checkpoint's tokenizer."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [16, 24, 24],
        },
    }
    vision = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = {name: getattr(tiny_config, name) for name in names}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens)
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def _fill(module: Any) -> None:
    """Random matrices, gains of one, no biases."""
    import torch

    chance = torch.Generator("cuda").manual_seed(0)
    for name, weight in module.named_parameters():
        if name.endswith("gamma") or ("norm" in name and weight.dim() == 1):
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        elif weight.dim() >= 2:
            weight.normal_(0, 0.02, generator=chance)
        else:
            weight.zero_()
