"""The VAE on single pictures without its third dimension: the same, for a third of the work."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d
from torch.nn import functional


class _PlanarConv(QwenImageCausalConv3d):  # type: ignore[misc] # untyped
    def forward(self, x: torch.Tensor, cache_x: torch.Tensor | None = None) -> torch.Tensor:
        assert cache_x is None, "a single picture has none before it"
        assert x.shape[2] == 1
        # (left, right, top, bottom, before, after) as the layer keeps them
        padding = self._padding[2], self._padding[0]
        # Channels last is what a GPU's convolutions want.
        weight = self.weight[:, :, -1].contiguous(memory_format=torch.channels_last)
        pictures = x.squeeze(2).contiguous(memory_format=torch.channels_last)
        flat = functional.conv2d(pictures, weight, self.bias, self.stride[1:], padding)
        return flat.unsqueeze(2)


def flatten(vae: Any) -> None:
    """Let a VAE convolve single pictures in the plane, and take no weight for what is not there.

    Before the first picture there is nothing: of a kernel's three times only the last one meets
    a picture. The others are set to zero, which changes nothing.
    """
    for module in vae.modules():
        if isinstance(module, QwenImageCausalConv3d):
            with torch.no_grad():
                module.weight[:, :, :-1].zero_()
            module.__class__ = _PlanarConv


def encode(vae: Any, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log-variance of pictures (n, 3, height, width), -1..1: (n, channels, h, w) each."""
    moments = vae.quant_conv(vae.encoder(pictures.unsqueeze(2))).squeeze(2)
    mean, logarithm = moments.chunk(2, dim=1)
    return mean, logarithm.clamp(-30, 20)


def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pictures of latents (n, channels, h, w): (n, 3, height, width), about -1..1."""
    pixels: torch.Tensor = vae.decoder(vae.post_quant_conv(latents.unsqueeze(2))).squeeze(2)
    return pixels
