"""What a training begins with: random weights, or those of a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from config.problems import Problem, UserError
from pipeline import checkpoint
from training import parts
from training.course import half, record


@dataclass(frozen=True, slots=True)
class Learners:
    """The modules that learn, in fp32."""

    text_encoder: Any
    transformer: Any

    @property
    def by_name(self) -> dict[str, Any]:
        """As their folders are called."""
        return {"transformer": self.transformer, "text_encoder": self.text_encoder}


def untrained(words: Qwen2Tokenizer) -> Learners:
    """Random weights."""
    return _learners(parts.text_encoder(words), parts.transformer())


def begun(folder: Path) -> Learners:
    """The weights of a model folder that `training.export` made."""
    known = {"local_files_only": True, "dtype": torch.float32}
    encoder = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "text_encoder", **known)
    transformer = QwenImageTransformer2DModel.from_pretrained(folder / "transformer", **known)
    return _learners(encoder, transformer)


def adopt(folder: Path, out: Path) -> None:
    """Take the VAE of a model folder as if trained in `out`, and record the folder's fingerprint.

    Raises UserError where `out` holds another VAE, on whose latents the weights were not trained.
    """
    vae = AutoencoderKLQwenImage.from_pretrained(folder / "vae", local_files_only=True)
    weights, file = half(vae.state_dict()), out / "vae.safetensors"
    if file.exists() and not _same(load_file(file), weights):
        what = f"it is another VAE than that of {folder}"
        raise UserError([Problem(str(file), what, "name a folder that does not exist yet")])
    out.mkdir(parents=True, exist_ok=True)
    spread = {"mean": vae.config.latents_mean, "deviation": vae.config.latents_std}
    fingerprint = checkpoint.read(folder.absolute()).fingerprint
    record(out / "training.json", {"latents": spread, "began_with": fingerprint})
    save_file(weights, file)


def _same(some: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> bool:
    return some.keys() == others.keys() and all(
        torch.equal(one, others[name]) for name, one in some.items()
    )


def _learners(encoder: Any, transformer: Any) -> Learners:
    encoder.lm_head = torch.nn.Identity()  # nobody asks it for words
    return Learners(encoder.train(), transformer.train())
