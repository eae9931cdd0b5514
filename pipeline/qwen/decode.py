"""From latents to a picture in a file."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from pipeline.qwen import errors
from pipeline.qwen.async_flag import AsyncFlag
from pipeline.qwen.load import Pipeline


def decode(pipe: Pipeline, latents: torch.Tensor, *, width: int, height: int) -> Image.Image:
    """The picture of packed latents (1, patches, channels); raises EditError if it has NaN."""
    with errors.mapped("decoding the picture"):
        unpacked = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
        unpacked = unpacked.to(pipe.vae.dtype)
        pixels = pipe.vae.decode(_denormalised(pipe, unpacked), return_dict=False)[0][:, :, 0]
        is_finite = AsyncFlag(pixels).read()
        errors.refuse_unless_finite(is_finite, pixels.dtype, what="decoded picture")
        picture: Image.Image = pipe.image_processor.postprocess(pixels, output_type="pil")[0]
    return picture


def write(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all; raises EditError if the disk will not take it."""
    partial = path.with_name(path.name + ".part")
    try:
        with errors.mapped("writing the result"):
            # Read once, by the next process on this machine: speed counts, size does not.
            picture.save(partial, format="PNG", compress_level=0)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _denormalised(pipe: Pipeline, latents: torch.Tensor) -> torch.Tensor:
    """Undo the scaling of each channel, with the pipelines' order of roundings."""
    config = pipe.vae.config
    mean = torch.tensor(config.latents_mean).view(1, config.z_dim, 1, 1, 1)
    deviation = torch.tensor(config.latents_std).view(1, config.z_dim, 1, 1, 1)
    inverse = 1.0 / deviation.to(latents.device, latents.dtype)
    return latents / inverse + mean.to(latents.device, latents.dtype)
