"""The transformer in training: tokens of latents in, velocities out, no complex numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.transformers import transformer_qwenimage

_MOST_WEIGHT = 20.0  # of a changed token, that of others being 1
_NOISE_SHIFT = 3.0  # of the formula: the root of m / n


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(n, channels, h, w) as tokens of two by two: (n, h * w / 4, channels * 4)."""
    count, channels, height, width = latents.shape
    parts = latents.view(count, channels, height // 2, 2, width // 2, 2)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(count, -1, channels * 4)


def unpack(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Tokens back as latents of this height and width."""
    parts = tokens.view(len(tokens), height // 2, width // 2, -1, 2, 2)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, height, width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that velocities depend on beside the noisy tokens themselves."""

    references: Sequence[torch.Tensor]  # tokens of each picture
    text: torch.Tensor  # (n, tokens, width of the text encoder)
    mask: torch.Tensor | None  # True where a token of the text counts; None: everywhere
    shapes: list[tuple[int, int, int]]  # frames, rows, columns: the result, each picture


def denoise(
    transformer: Any, noisy: torch.Tensor, sigma: torch.Tensor, scene: Scene
) -> torch.Tensor:
    """Velocities of noisy tokens, in their shape; `sigma` (n,) is how noisy they are."""
    velocity: torch.Tensor = transformer(
        hidden_states=torch.cat([noisy, *scene.references], dim=1),
        encoder_hidden_states=scene.text,
        encoder_hidden_states_mask=scene.mask,
        timestep=sigma,
        img_shapes=[scene.shapes] * len(noisy),
        return_dict=False,
    )[0]
    return velocity[:, : noisy.shape[1]]


def token_weights(changed: torch.Tensor) -> torch.Tensor:
    """Of the tokens (n, tokens) of each edit, together 1: what changes weighs as what stays.

    But a changed token weighs at least as much as another, and at most 20 times as much. A small
    thing would else be lost beside edits that change the whole picture.
    """
    count = changed.sum(1, keepdim=True)
    weight = ((changed.shape[1] - count) / count.clamp_min(1)).clamp(1, _MOST_WEIGHT)
    weights = torch.where(changed, weight, 1.0)
    return weights / weights.sum(1, keepdim=True)


def sigmas(count: int, device: torch.device) -> torch.Tensor:
    """Levels of noise (count,), 0..1; most are high: there it is decided what is to be seen.

    Formula 23 of Esser and others, "Scaling Rectified Flow Transformers", 2024.
    """
    even = torch.rand(count, device=device)
    return _NOISE_SHIFT * even / (1 + (_NOISE_SHIFT - 1) * even)


def rotate_in_reals(transformer: Any) -> None:
    """Let a transformer turn its queries and keys by cosines and sines.

    The library multiplies complex numbers, for which the compiler makes no kernels. It looks the
    function up in its module, so that every transformer of the process must be treated so.
    """
    position = transformer.pos_embed.forward

    def in_reals(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        return tuple(torch.view_as_real(one) for one in position(*args, **kwargs))

    transformer.pos_embed.forward = in_reals
    transformer_qwenimage.apply_rotary_emb_qwen = _rotated


def spare_lengths() -> None:
    """Let all transformers of the process take a text's length from its shape alone.

    The library works out lengths that it does not use, and waits for the GPU to do so.
    """

    def lengths(
        text: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[int, None, torch.Tensor | None]:
        return text.shape[1], None, mask

    transformer_qwenimage.compute_text_seq_len_from_mask = lengths


def _rotated(states: torch.Tensor, turns: torch.Tensor, use_real: bool = False) -> torch.Tensor:
    """States (n, tokens, heads, width) turned by (tokens, width / 2, 2), pairs side by side."""
    assert not use_real
    cos, sin = turns[:, None, :, 0], turns[:, None, :, 1]
    pairs = states.float().unflatten(-1, (-1, 2))
    first, second = pairs[..., 0], pairs[..., 1]
    turned = torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1)
    return turned.flatten(-2).to(states.dtype)
