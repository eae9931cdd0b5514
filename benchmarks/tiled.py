"""How far a picture that the VAE takes in tiles is from the one that it takes whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage

from pipeline.qwen.vae_tiling import WindowedVae, spans

_BESIDE = 4  # pixels on either side of a border of tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of values from -1 to 1, or of latents as parts of the largest."""

    greatest: float
    mean: float
    beside_borders: float  # the mean there
    elsewhere: float

    @property
    def seam(self) -> float:
        """How much worse borders are than the rest; 1 where nothing differs."""
        return (self.beside_borders + 1e-9) / (self.elsewhere + 1e-9)


def vae(dtype: torch.dtype, device: torch.device, base_channels: int) -> Any:
    """The published architecture at 96 channels; random weights that keep contrasts."""
    with torch.device(device):
        made = AutoencoderKLQwenImage(base_dim=base_channels)
    chance = torch.Generator(device).manual_seed(0)
    for name, weight in made.named_parameters():
        if weight.dim() == 1:
            weight.data.zero_()
        elif name.endswith("gamma"):
            weight.data.fill_(1)
        else:
            weight.data.normal_(0, weight[0].numel() ** -0.5, generator=chance)
    return torch.nn.Module.to(made, dtype)


def gradient(height: int, width: int) -> torch.Tensor:
    """Smooth from corner to corner."""
    down = torch.linspace(-1, 1, height)[:, None].expand(height, width)
    across = torch.linspace(-1, 1, width)[None].expand(height, width)
    return torch.stack([down, across, -down])[None, :, None]


def photo(height: int, width: int) -> torch.Tensor:
    """Smooth regions, edges and grain."""
    chance = torch.Generator().manual_seed(3)
    coarse = torch.randn(1, 3, height // 32, width // 32, generator=chance)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    picture = torch.tanh(3 * smooth) + 0.05 * torch.randn(smooth.shape, generator=chance)
    return picture.clamp(-1, 1)[:, :, None]


PICTURES: tuple[Callable[[int, int], torch.Tensor], ...] = (gradient, photo)


def compare(model: Any, pixels: torch.Tensor, tile_side: int) -> dict[str, Difference]:
    """Tiled against whole, on the way in and on the way out."""
    windowed = WindowedVae(model)

    def both(work: Callable[[], torch.Tensor]) -> Iterator[torch.Tensor]:
        for side in (None, tile_side):
            windowed.tile_side = side
            yield work()

    def encode() -> torch.Tensor:
        latents: torch.Tensor = model.encode(pixels).latent_dist.mode()
        return latents

    whole, tiled = both(encode)
    encoding = _difference((tiled - whole).float() / whole.abs().max(), tile_side // 8, 1)
    del tiled
    expected, found = both(lambda: model.decode(whole).sample)
    decoding = _difference((found - expected).float(), tile_side, _BESIDE)
    return {"encode": encoding, "decode": decoding}


def _difference(signed: torch.Tensor, tile_side: int, beside: int) -> Difference:
    values = signed.abs()[0, :, 0].amax(dim=0)
    rows, columns = values.shape
    near = torch.zeros_like(values, dtype=torch.bool)
    multiple = 8 if beside > 1 else 1
    for span in spans(rows, tile_side, 0, multiple):
        near[max(span.start - beside, 0) : span.start + beside] = span.start > 0
    for span in spans(columns, tile_side, 0, multiple):
        if span.start:
            near[:, max(span.start - beside, 0) : span.start + beside] = True
    return Difference(
        greatest=float(values.max()),
        mean=float(values.mean()),
        beside_borders=float(values[near].mean()),
        elsewhere=float(values[~near].mean()),
    )
