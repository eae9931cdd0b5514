"""The parts of the small model: the published classes, at a size that fits into a repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from pipeline.tiny_model import make_tokenizer
from training.world import vocabulary

CHANNELS = 24  # of a latent
SCALE = 8  # pixels along a side of a latent
TOKEN = 2 * SCALE  # pixels along a side of what the transformer takes for one token
WIDTH = 192  # of the text encoder, hence also the width at which the transformer takes text
GLIMPSE_PIXELS = 116 * 116  # the text encoder sees each picture at about this area, at most
_HEADS = 6
_TEXT_LAYERS = 3
_VISION_WIDTH = 64


def autoencoder(
    mean: Sequence[float] | None = None, deviation: Sequence[float] | None = None
) -> AutoencoderKLQwenImage:
    """An eighth of the picture's width, 24 channels; no picture needs its layers for time."""
    return AutoencoderKLQwenImage(
        base_dim=32,
        z_dim=CHANNELS,
        dim_mult=[1, 2, 3, 3],
        num_res_blocks=1,
        temperal_downsample=[False, False, False],
        latents_mean=list(mean or [0.0] * CHANNELS),
        latents_std=list(deviation or [1.0] * CHANNELS),
    )


def transformer() -> QwenImageTransformer2DModel:
    """Five blocks of width 256, which begin as the identity."""
    model = QwenImageTransformer2DModel(
        in_channels=4 * CHANNELS,
        out_channels=CHANNELS,
        num_layers=5,
        attention_head_dim=64,
        num_attention_heads=4,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(16, 24, 24),
    )
    with torch.no_grad():
        # "adaLN-Zero", Peebles and Xie, "Scalable Diffusion Models with Transformers", 2022.
        for block in model.transformer_blocks:
            for modulation in (block.img_mod, block.txt_mod):
                modulation[-1].weight.zero_()
                modulation[-1].bias.zero_()
        for last in (model.norm_out.linear, model.proj_out):
            last.weight.zero_()
            last.bias.zero_()
    return model


def tokenizer() -> Qwen2Tokenizer:
    """Knows the words of the world; spells all others in bytes."""
    return make_tokenizer([*vocabulary()])


def text_encoder(words: Qwen2Tokenizer) -> Qwen2_5_VLForConditionalGeneration:
    """Three layers that read, and two that see."""
    token_id: Any = words.convert_tokens_to_ids
    text = {
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": _TEXT_LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [4, 6, 6],
        },
        "bos_token_id": None,
        "eos_token_id": token_id("<|im_end|>"),
        "pad_token_id": token_id("<|endoftext|>"),
        "tie_word_embeddings": True,
    }
    vision = {
        "depth": 2,
        "hidden_size": _VISION_WIDTH,
        "intermediate_size": 2 * _VISION_WIDTH,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [0, 1],
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=True,
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
    )
    return Qwen2_5_VLForConditionalGeneration(config)
