"""The published model's architecture with random weights, built on the GPU (for benchmarks)."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.oracle import restore_picture_positions
from pipeline import checkpoint
from pipeline.checkpoint import Checkpoint

MEGAPIXEL = 1024 * 1024
CONDITION_PIXELS = 384 * 384
_SHARD_BYTES = 5 * 10**9  # as published
_NOISE_NUMBERS = 2**26


def source(folder: Path) -> Checkpoint:
    """A tiny checkpoint that says to work at the published models' sizes."""
    from pipeline import tiny_model

    tiny_model.build(folder)
    return replace(
        checkpoint.read(folder), working_pixels=MEGAPIXEL, condition_pixels=CONDITION_PIXELS
    )


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


def write(folder: Path) -> None:
    """A folder of the published size, 57 GB of random weights in bf16, in shards."""
    import accelerate
    import torch
    from transformers import Qwen2_5_VLConfig

    from pipeline import tiny_model

    tiny_model.build(folder)
    tiny_config = Qwen2_5_VLConfig.from_pretrained(str(folder / "text_encoder"))
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with accelerate.init_empty_weights():
        parts = {
            "transformer": _transformer(),
            "text_encoder": _text_encoder(tiny_config),
            "vae": _vae(),
        }
    torch.set_default_dtype(usual)
    for name, part in parts.items():
        shutil.rmtree(folder / name)
        (folder / name).mkdir()
        if name == "text_encoder":
            part.config.save_pretrained(folder / name)
        else:
            part.save_config(folder / name)
    ours = {"working_pixels": MEGAPIXEL, "condition_pixels": CONDITION_PIXELS, "weights": "random"}
    (folder / "hotfolder.json").write_text(json.dumps(ours))
    write_weights({folder / name: part for name, part in parts.items()})


def write_weights(models: Mapping[Path, Any]) -> None:
    """Random weights of each model to its folder, as its library names the files."""
    import torch

    chance = torch.Generator().manual_seed(0)
    noise = (torch.randn(_NOISE_NUMBERS, generator=chance) * 0.02).bfloat16()
    normal = bytes(noise.view(torch.uint8).numpy())
    ones = bytes(torch.ones(2**16, dtype=torch.bfloat16).view(torch.uint8).numpy())
    with ThreadPoolExecutor(8) as writers:
        under_way = [
            writers.submit(_write_shard, path, shard, normal, ones)
            for folder, model in models.items()
            for path, shard in _shards(folder, model)
        ]
        for one in under_way:
            one.result()


def _shards(folder: Path, model: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file with its weights, and the index of all."""
    weights = {name: one for name, one in model.named_parameters() if not name.startswith("lm_")}
    shards: list[dict[str, Any]] = [{}]
    size_bytes = 0
    for name, weight in weights.items():
        size_bytes += weight.numel() * 2
        if size_bytes > _SHARD_BYTES:
            shards.append({})
            size_bytes = weight.numel() * 2
        shards[-1][name] = weight
    stem = "model" if folder.name == "text_encoder" else "diffusion_pytorch_model"
    if len(shards) == 1:
        yield folder / f"{stem}.safetensors", shards[0]
        return
    names = [f"{stem}-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    where = {weight: name for name, shard in zip(names, shards, strict=True) for weight in shard}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    for name, shard in zip(names, shards, strict=True):
        yield folder / name, shard


def _write_shard(path: Path, weights: Mapping[str, Any], normal: bytes, ones: bytes) -> None:
    tensors: dict[str, object] = {}
    end = 0
    for name, weight in weights.items():
        start, end = end, end + weight.numel() * 2
        offsets = [start, end]
        tensors[name] = {"dtype": "BF16", "shape": list(weight.shape), "data_offsets": offsets}
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    chance = random.Random(path.name)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, weight in weights.items():
            for part in _numbers(name, weight, normal, ones, chance):
                file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _numbers(
    name: str, weight: Any, normal: bytes, ones: bytes, chance: random.Random
) -> Iterator[bytes | memoryview]:
    """As `_fill` makes them, in another order."""
    left = weight.numel() * 2
    if weight.dim() < 2:
        is_gain = name.endswith("gamma") or ("norm" in name and not name.endswith("bias"))
        yield ones[:left] if is_gain else bytes(left)
        return
    start = 2 * chance.randrange(_NOISE_NUMBERS)
    while left:
        part = memoryview(normal)[start : start + left]
        yield part
        left -= len(part)
        start = 0
