"""What is trained: text encoder and transformer, on latents of a VAE that stays as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training import exam, parts, planar, reading
from training.flow import Scene, denoise, pack, sigmas, token_weights, unpack
from training.lessons import FORMATS, Format, Lesson, Pictures, Reader

PREFIX = 64  # tokens of the template that the pipelines drop
_CHANGED = 0.15  # of a latent's deviation: from here on a token counts as changed


@dataclass(frozen=True, slots=True)
class Latents:
    """The trained VAE with its latents brought to a deviation of one."""

    vae: Any
    mean: torch.Tensor
    deviation: torch.Tensor

    def of(self, pictures: torch.Tensor) -> torch.Tensor:
        """Latents of pictures (n, 3, height, width), 0..1: (n, channels, h, w)."""
        with torch.no_grad():
            mean, _ = planar.encode(self.vae, pictures * 2 - 1)
            return (mean.float() - self.mean) / self.deviation

    def back(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures of latents, (n, 3, height, width), 0..1."""
        with torch.no_grad():
            pixels = planar.decode(self.vae, latents * self.deviation + self.mean)
            return (pixels.float() / 2 + 0.5).clamp(0, 1)


def trained_latents(out: Path, device: torch.device) -> Latents:
    """The VAE that training.vae left in a folder."""
    vae = parts.autoencoder().to(device).eval().requires_grad_(False)
    vae.load_state_dict(load_file(out / "vae.safetensors"))
    planar.flatten(vae)
    statistics = json.loads((out / "training.json").read_text())["latents"]

    def shaped(name: str) -> torch.Tensor:
        return torch.tensor(statistics[name], device=device).view(1, -1, 1, 1)

    return Latents(vae, shaped("mean"), shaped("deviation"))


class Student:
    """Text encoder and transformer, and what a lesson is for them."""

    def __init__(self, reader: Reader, encoder: Any, transformer: Any, latents: Latents) -> None:
        self._encoder, self._transformer, self._latents = encoder, transformer, latents
        device = latents.mean.device
        self._layouts = {}
        for form in FORMATS:
            head, where = reader.layout(form)
            self._layouts[form] = torch.tensor(head, device=device), where.to(device)

    def loss(self, form: Format, pictures: Pictures, lesson: Lesson) -> torch.Tensor:
        """How wrong the velocities are, in the mean of the edits."""
        references = [self._latents.of(one) for one in pictures.shown]
        target = self._latents.of(pictures.after)
        noise = torch.randn_like(target)
        sigma = sigmas(len(target), target.device)
        spread = sigma.view(-1, 1, 1, 1)
        noisy = pack((1 - spread) * target + spread * noise)
        scene = self._scene(form, pictures, references, lesson)
        velocity = denoise(self._transformer, noisy, sigma, scene)
        change = pack(target - references[0]).abs().mean(-1)
        squared = (velocity.float() - pack(noise - target)).square().mean(-1)
        return (squared * token_weights(change > _CHANGED)).sum(1).mean()

    def edited(self, form: Format, pictures: Pictures, lesson: Lesson) -> torch.Tensor:
        """What becomes of the pictures of a lesson, (n, 3, height, width), 0..1."""
        with torch.no_grad():
            references = [self._latents.of(one) for one in pictures.shown]
            scene = self._scene(form, pictures, references, lesson)
            tokens = torch.randn_like(scene.references[0])
            for now, then in pairwise(exam.noise_levels()):
                sigma = tokens.new_full((len(tokens),), now)
                velocity = denoise(self._transformer, tokens, sigma, scene)
                tokens = tokens + (then - now) * velocity.float()
            return self._latents.back(unpack(tokens, *form.latent))

    def _scene(
        self, form: Format, pictures: Pictures, references: Sequence[torch.Tensor], lesson: Lesson
    ) -> Scene:
        text, mask = self._read(form, pictures.shown, lesson)
        return Scene(
            references=[pack(one) for one in references],
            text=text,
            mask=mask,
            shapes=[(1, *form.tokens)] * (1 + len(references)),
        )

    def _read(
        self, form: Format, shown: Sequence[torch.Tensor], lesson: Lesson
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states behind the template's beginning, and which of them count."""
        head, where = self._layouts[form]
        count, device = len(shown[0]), head.device
        tokens = torch.as_tensor(lesson["ids"]).to(device, non_blocking=True)
        tokens = torch.cat([head.expand(count, -1), tokens], dim=1)
        mask = torch.as_tensor(lesson["counts"]).to(device, non_blocking=True)
        mask = torch.cat([mask.new_ones(count, len(head)), mask], dim=1)
        # All pictures of one prompt follow each other.
        every = torch.stack(list(shown), dim=1).flatten(0, 1)
        seen = reading.see(self._encoder, reading.patches(every, form.glimpse), form.glimpse)
        seen = seen.unflatten(0, (count, -1)).flatten(1, 2)
        states = reading.read(self._encoder, tokens, seen, where, mask)
        return states[:, PREFIX:], mask[:, PREFIX:]
