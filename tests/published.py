"""A model folder of the published shapes without weights: headers, and files of holes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]

TRANSFORMER_WEIGHTS = 20_430_401_088
ENCODER_WEIGHTS = 8_292_166_656  # Qwen2.5-VL-7B, with the head that computes logits
HEAD_WEIGHTS = 152_064 * 3584
VAE_WEIGHTS = 126_892_531
_TENSORS_A_SHARD = 400


def write(folder: Path, tiny: Path, *, has_newer_names: bool = False) -> None:
    """Make it; all that is not weights comes from a tiny checkpoint."""
    encoder = _text_encoder()
    if has_newer_names:
        encoder = {_newer(name): shape for name, shape in encoder.items()}
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("*.safetensors", "hotfolder.json"))
    _write_shards(folder / "transformer", "diffusion_pytorch_model", _transformer())
    _write_shards(folder / "text_encoder", "model", encoder)
    _write_file(folder / "vae" / "diffusion_pytorch_model.safetensors", _vae())


def _newer(name: str) -> str:
    """As the library names it since the encoder's two towers have a common root."""
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1)


def _linear(name: str, out: int, into: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _within(prefix: str, blocks: int, block: Shapes) -> Shapes:
    return {
        f"{prefix}.{number}.{name}": shape
        for number in range(blocks)
        for name, shape in block.items()
    }


def _transformer() -> Shapes:
    width = 3072
    projections = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj")
    norms = ("norm_q", "norm_k", "norm_added_q", "norm_added_k")
    block: Shapes = {f"attn.{name}.weight": (128,) for name in norms}
    for name in (*projections, "to_add_out"):
        block |= _linear(f"attn.{name}", width, width)
    for side in ("img", "txt"):
        block |= _linear(f"{side}_mlp.net.0.proj", 4 * width, width)
        block |= _linear(f"{side}_mlp.net.2", width, 4 * width)
        block |= _linear(f"{side}_mod.1", 6 * width, width)
    return {
        **_linear("img_in", width, 64),
        **_linear("txt_in", width, 3584),
        "txt_norm.weight": (3584,),
        **_linear("time_text_embed.timestep_embedder.linear_1", width, 256),
        **_linear("time_text_embed.timestep_embedder.linear_2", width, width),
        **_within("transformer_blocks", 60, block),
        **_linear("norm_out.linear", 2 * width, width),
        **_linear("proj_out", 64, width),
    }


def _text_encoder() -> Shapes:
    """With the names of the published files."""
    width, middle, keys = 3584, 18944, 512
    layer = {
        **_linear("self_attn.q_proj", width, width),
        **_linear("self_attn.k_proj", keys, width),
        **_linear("self_attn.v_proj", keys, width),
        "self_attn.o_proj.weight": (width, width),
        "mlp.gate_proj.weight": (middle, width),
        "mlp.up_proj.weight": (middle, width),
        "mlp.down_proj.weight": (width, middle),
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
    }
    return {
        "lm_head.weight": (152_064, width),
        "model.embed_tokens.weight": (152_064, width),
        **_within("model.layers", 28, layer),
        "model.norm.weight": (width,),
        **_vision(width),
    }


def _vision(out: int) -> Shapes:
    width, middle, merged = 1280, 3420, 5120
    block = {
        **_linear("attn.qkv", 3 * width, width),
        **_linear("attn.proj", width, width),
        **_linear("mlp.gate_proj", middle, width),
        **_linear("mlp.up_proj", middle, width),
        **_linear("mlp.down_proj", width, middle),
        "norm1.weight": (width,),
        "norm2.weight": (width,),
    }
    return {
        "visual.patch_embed.proj.weight": (width, 3, 2, 14, 14),
        **_within("visual.blocks", 32, block),
        "visual.merger.ln_q.weight": (width,),
        **_linear("visual.merger.mlp.0", merged, merged),
        **_linear("visual.merger.mlp.2", out, merged),
    }


def _vae() -> Shapes:
    first = {"encoder.conv_in.weight": (96, 3, 3, 3, 3)}
    return {**first, "all.the.rest": (VAE_WEIGHTS - prod(first["encoder.conv_in.weight"]),)}


def _write_shards(folder: Path, stem: str, shapes: Shapes) -> None:
    names = sorted(shapes)
    shards = [
        names[first : first + _TENSORS_A_SHARD] for first in range(0, len(names), _TENSORS_A_SHARD)
    ]
    weight_map: dict[str, str] = {}
    for number, of_shard in enumerate(shards, start=1):
        file = f"{stem}-{number:05}-of-{len(shards):05}.safetensors"
        _write_file(folder / file, {name: shapes[name] for name in of_shard})
        weight_map |= dict.fromkeys(of_shard, file)
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / f"{stem}.safetensors.index.json").write_text(index, encoding="utf-8")


def _write_file(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
