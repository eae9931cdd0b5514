"""What the text encoder makes of many prompts with pictures at once; as the library, but dense.

The library takes each picture through the vision tower by itself and works out each prompt's
positions by itself. In training all pictures of a batch have one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from training.parts import GLIMPSE_PIXELS

PATCH = 14  # pixels along a side of what the vision tower takes for one patch
MERGED = 2  # patches along a side of one token
CONDITION_PIXELS = 384 * 384  # the area at which the pipelines hand over a picture
_MULTIPLE = PATCH * MERGED
# Of CLIP, as the published processor has them.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The size at which the text encoder sees a picture, in tokens."""

    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """How many tokens of the prompt stand for the picture."""
        return self.rows * self.columns


def glimpse(width: int, height: int) -> Glimpse:
    """The glimpse of a canvas: what pipeline and processor make of it together.

    `calculate_dimensions` of diffusers, then `smart_resize` of transformers (image_processing
    of Qwen2-VL), for pictures that are larger than the processor's largest.
    """
    ratio = width / height
    wide = round((CONDITION_PIXELS * ratio) ** 0.5 / 32) * 32
    high = round((CONDITION_PIXELS / ratio) ** 0.5 / 32) * 32
    shrink = (wide * high / GLIMPSE_PIXELS) ** 0.5
    rows, columns = int(high / shrink / _MULTIPLE), int(wide / shrink / _MULTIPLE)
    return Glimpse(max(1, rows), max(1, columns))


def patches(pictures: torch.Tensor, seen: Glimpse) -> torch.Tensor:
    """Pictures (n, 3, height, width), 0..1, for the vision tower: (n, patches, values)."""
    size = seen.rows * _MULTIPLE, seen.columns * _MULTIPLE
    small = functional.interpolate(pictures, size, mode="bicubic", antialias=True).clamp(0, 1)
    # With numbers instead of tensors of them nothing waits for the GPU.
    channels = zip(small.unbind(1), _MEAN, _DEVIATION, strict=True)
    small = torch.stack([(one - mean) / spread for one, mean, spread in channels], dim=1)
    parts = small.reshape(
        len(small), 3, seen.rows, MERGED, PATCH, seen.columns, MERGED, PATCH
    ).permute(0, 2, 5, 3, 6, 1, 4, 7)
    # A still picture stands twice in time.
    twice = parts.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1)
    return twice.reshape(len(small), seen.tokens * MERGED * MERGED, -1)


def positions(marks: list[int], seen: Glimpse) -> torch.Tensor:
    """M-RoPE: (3, tokens) of time, row and column, for marks that are 1 where a picture is."""
    at, rows = 0, []
    index = 0
    while index < len(marks):
        if marks[index]:
            for number in range(seen.tokens):
                row, column = divmod(number, seen.columns)
                rows.append((at, at + row, at + column))
            at += max(seen.rows, seen.columns)
            index += seen.tokens
        else:
            rows.append((at, at, at))
            at += 1
            index += 1
    return torch.tensor(rows).T.contiguous()


def see(encoder: Any, given: torch.Tensor, seen: Glimpse) -> torch.Tensor:
    """What the vision tower makes of `patches`: (n, tokens, width of the encoder)."""
    tower = encoder.model.visual
    weight = tower.patch_embed.proj.weight
    states = functional.linear(given, weight.flatten(1))
    cos, sin = _turns_of_patches(tower, seen, states.device)
    for block in tower.blocks:
        states = states + _attend_to_patches(block.attn, block.norm1(states), cos, sin)
        states = states + block.mlp(block.norm2(states))
    merged = tower.merger.ln_q(states).reshape(len(states), seen.tokens, -1)
    result: torch.Tensor = tower.merger.mlp(merged)
    return result


def read(
    encoder: Any,
    ids: torch.Tensor,
    pictures: torch.Tensor,
    where: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """The encoder's last hidden states, (n, tokens, width).

    `ids` (n, tokens) are padded on the right, `mask` is True where a token counts, `pictures`
    (n, picture tokens, width) stand where the ids of the first prompt are the picture's token,
    `where` (3, tokens) are the positions of every prompt.
    """
    model = encoder.model.language_model
    states = model.embed_tokens(ids)
    is_picture = ids == encoder.config.image_token_id
    # The library scatters, whose gradient waits for the GPU.
    number = (is_picture.cumsum(1) - 1).clamp_min(0)[..., None].expand(-1, -1, pictures.shape[2])
    seen = pictures.to(states.dtype).gather(1, number)
    states = torch.where(is_picture[..., None], seen, states)
    cos, sin = _turns_of_tokens(encoder.config.text_config, where)
    length = ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()
    allowed = causal & mask[:, None, None, :]
    for layer in model.layers:
        normed = layer.input_layernorm(states)
        states = states + _attend_to_tokens(layer.self_attn, normed, cos, sin, allowed)
        states = states + layer.mlp(layer.post_attention_layernorm(states))
    result: torch.Tensor = model.norm(states)
    return result


def _turned(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions on (n, heads, tokens, width); cos and sin (tokens, width)."""
    first, second = states.float().chunk(2, dim=-1)
    return (states.float() * cos + torch.cat((-second, first), dim=-1) * sin).to(states.dtype)


def _turns_of_patches(
    tower: Any, seen: Glimpse, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    config = tower.config
    width = config.hidden_size // config.num_heads // 2
    frequencies = 1.0 / 10_000 ** (torch.arange(0, width, 2, device=device) / width)
    shape = seen.rows, seen.columns, MERGED, MERGED
    rows = torch.arange(seen.rows, device=device).view(-1, 1, 1, 1) * MERGED
    rows = (rows + torch.arange(MERGED, device=device).view(1, 1, -1, 1)).expand(shape)
    columns = torch.arange(seen.columns, device=device).view(1, -1, 1, 1) * MERGED
    columns = (columns + torch.arange(MERGED, device=device)).expand(shape)
    both = [place.reshape(-1, 1) * frequencies for place in (rows, columns)]
    angles = torch.cat(both * 2, dim=-1)
    return angles.cos(), angles.sin()


def _turns_of_tokens(config: Any, where: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    width = config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    theta = float(rope["rope_theta"])
    frequencies = 1.0 / theta ** (torch.arange(0, width, 2, device=where.device) / width)
    axis = [kind for kind, count in enumerate(rope["mrope_section"]) for _ in range(count)]
    angles = torch.stack([where[kind] for kind in axis], dim=1) * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def _attend_to_patches(
    attention: Any, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> torch.Tensor:
    heads = attention.num_heads
    split = attention.qkv(states).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    query, key, value = split.unbind(0)
    mixed = functional.scaled_dot_product_attention(
        _turned(query, cos, sin), _turned(key, cos, sin), value
    )
    result: torch.Tensor = attention.proj(mixed.transpose(1, 2).flatten(2))
    return result


def _attend_to_tokens(
    attention: Any,
    states: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    allowed: torch.Tensor,
) -> torch.Tensor:
    def heads(projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)

    mixed = functional.scaled_dot_product_attention(
        _turned(heads(attention.q_proj(states)), cos, sin),
        _turned(heads(attention.k_proj(states)), cos, sin),
        heads(attention.v_proj(states)),
        attn_mask=allowed,
    )
    result: torch.Tensor = attention.o_proj(mixed.transpose(1, 2).flatten(2))
    return result
