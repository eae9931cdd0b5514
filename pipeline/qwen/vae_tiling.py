"""The VAE's way through pictures of any size, with the result of taking them whole.

Only its middle looks at the whole picture, at an eighth of the width: it is computed whole. What
lies on the side of the pixels sees a few neighbours, so that a window with a border of those
gives exactly its part of the whole, and nothing has to be blended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.autoencoders.vae import DecoderOutput

Local = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Span:
    """A window along one side: what is used of it, and what it is computed from."""

    start: int
    stop: int
    first: int
    last: int  # exclusive


def spans(length: int, side: int, border: int, multiple: int) -> Iterator[Span]:
    """Windows of nearly equal length, at most `side`, that cover 0 to `length` once.

    Each begins at a multiple; `border` and `length` are multiples too.
    """
    count = -(-length // side)
    step = -(-length // (count * multiple)) * multiple
    for start in range(0, length, step):
        stop = min(start + step, length)
        yield Span(start, stop, max(start - border, 0), min(stop + border, length))


class WindowedVae:
    """Takes the place of an AutoencoderKLQwenImage's own way through a single picture."""

    def __init__(self, vae: Any) -> None:
        self.tile_side: int | None = None  # pixels; None: take pictures whole
        self._vae = vae
        self._ratio: int = vae.spatial_compression_ratio
        self._decoder_border = _decoder_reach(vae.decoder)
        self._encoder_border = _encoder_reach(vae.encoder, self._ratio)
        vae._encode = self._encode
        vae._decode = self._decode

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Moments of (1, 3, 1, height, width), whose sides are multiples of the ratio."""
        side = _multiple(self.tile_side or max(pixels.shape), self._ratio)
        features = _windowed(
            pixels,
            self._down,
            side=side,
            border=self._encoder_border,
            multiple=self._ratio,
            shrinks=self._ratio,
        )
        encoder = self._vae.encoder
        features = encoder.nonlinearity(encoder.norm_out(encoder.mid_block(features)))
        moments: torch.Tensor = self._vae.quant_conv(encoder.conv_out(features))
        return moments

    def _decode(self, latents: torch.Tensor, *, return_dict: bool = True) -> DecoderOutput:
        """Pixels of (1, channels, 1, rows, columns)."""
        decoder = self._vae.decoder
        features = decoder.mid_block(decoder.conv_in(self._vae.post_quant_conv(latents)))
        side = (self.tile_side or max(latents.shape) * self._ratio) // self._ratio
        pixels = _windowed(
            features,
            self._up,
            side=side,
            border=self._decoder_border,
            multiple=1,
            grows=self._ratio,
        )
        del return_dict  # the caller takes it apart
        return DecoderOutput(sample=pixels.clamp_(min=-1.0, max=1.0))

    def _down(self, window: torch.Tensor) -> torch.Tensor:
        features = self._vae.encoder.conv_in(window)
        for layer in self._vae.encoder.down_blocks:
            features = layer(features)
        result: torch.Tensor = features
        return result

    def _up(self, window: torch.Tensor) -> torch.Tensor:
        decoder = self._vae.decoder
        features = window
        for block in decoder.up_blocks:
            features = block(features)
        result: torch.Tensor = decoder.conv_out(decoder.nonlinearity(decoder.norm_out(features)))
        return result


def _windowed(
    whole: torch.Tensor,
    local: Local,
    *,
    side: int,
    border: int,
    multiple: int,
    grows: int = 1,
    shrinks: int = 1,
) -> torch.Tensor:
    """`local` of the whole, window by window along its last two dimensions."""
    rows, columns = whole.shape[-2:]
    if rows <= side and columns <= side:
        return local(whole)

    def scaled(position: int) -> int:
        return position * grows // shrinks

    result: torch.Tensor | None = None
    for down in spans(rows, side, border, multiple):
        for across in spans(columns, side, border, multiple):
            window = local(whole[..., down.first : down.last, across.first : across.last])
            top, left = scaled(down.start - down.first), scaled(across.start - across.first)
            height, width = scaled(down.stop - down.start), scaled(across.stop - across.start)
            if result is None:
                shape = (*window.shape[:-2], scaled(rows), scaled(columns))
                result = window.new_empty(shape)
            into = result[
                ...,
                scaled(down.start) : scaled(down.stop),
                scaled(across.start) : scaled(across.stop),
            ]
            into.copy_(window[..., top : top + height, left : left + width])
    assert result is not None
    return result


def _decoder_reach(decoder: Any) -> int:
    """How many latents away something changes a pixel: each 3x3 kernel reaches one number on."""
    reach, scale = 0.0, 1
    for block in decoder.up_blocks:
        reach += 2 * len(block.resnets) / scale
        if block.upsamplers is not None:
            scale *= 2
            reach += 1 / scale
    return math.ceil(reach + 1 / scale) + 1


def _encoder_reach(encoder: Any, ratio: int) -> int:
    """The same on the way in, in pixels; rounded up to a multiple of the ratio."""
    reach, scale = 1, 1
    for layer in encoder.down_blocks:
        reach += 2 * scale
        if hasattr(layer, "resample"):
            scale *= 2
    return _multiple(reach, ratio) + ratio


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of
