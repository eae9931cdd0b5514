"""From noise to the latents of a picture, one step at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import (
    calculate_shift,
    retrieve_timesteps,
)

from pipeline.qwen import errors
from pipeline.qwen.async_flag import AsyncFlag
from pipeline.qwen.device_tables import DeviceTables
from pipeline.qwen.encode import Encoded


class Stepped:
    """A step that has been asked for, and may still be under way."""

    def __init__(self, *, number: int, latents: torch.Tensor) -> None:
        self.number = number  # counts from 1
        self._dtype = latents.dtype
        self._verdict = AsyncFlag(latents)

    def land(self) -> None:
        """Wait for the step's end; raises EditError if it brought values that are no numbers."""
        what = f"picture after step {self.number}"
        errors.refuse_unless_finite(self._verdict.read(), self._dtype, what=what)


class Denoising:
    """One picture on its way; holds a scheduler of its own, so that nothing outlives it."""

    def __init__(
        self,
        encoded: Encoded,
        *,
        transformer: torch.nn.Module,
        schedule: dict[str, Any],  # the configuration of a FlowMatchEulerDiscreteScheduler
        steps: int,
        cfg: float,
        seed: int,
        device: torch.device,
    ) -> None:
        self._seed = seed
        self.latents = encoded.noise
        self._encoded = encoded
        self._transformer = transformer
        self._cfg = cfg
        if steps == 1:
            # Stretching a schedule to its end divides by zero where the start is the end.
            schedule = {**schedule, "shift_terminal": None}
        self._scheduler = FlowMatchEulerDiscreteScheduler.from_config(schedule)
        self._tables = DeviceTables(transformer.pos_embed)
        self._timesteps = _timesteps(self._scheduler, steps, encoded.noise.shape[1], device)
        self.timesteps: Sequence[float] = self._timesteps.tolist()
        self.done = 0  # steps asked for

    @property
    def steps(self) -> int:
        """How many steps there are in all."""
        return len(self._timesteps)

    @property
    def timestep(self) -> float:
        """Of the step that comes next."""
        return self.timesteps[self.done]

    @property
    def doing(self) -> str:
        """The step that comes next, for messages."""
        return f"computing step {self.done + 1} of {self.steps}"

    def forwards(self) -> list[Callable[[], torch.Tensor]]:
        """The passes through the transformer that the next step takes: two with guidance."""
        texts = [self._encoded.prompt]
        if self._encoded.negative is not None:
            texts.append(self._encoded.negative)
        return [partial(self._predict, text) for text in texts]

    def advance(self, predictions: Sequence[torch.Tensor]) -> Stepped:
        """Ask for the step with what `forwards` returned; raises EditError if it goes wrong."""
        with errors.mapped(self.doing):
            velocity = predictions[0]
            if len(predictions) == 2:
                velocity = guided(predictions[0], predictions[1], self._cfg)
            timestep = self._timesteps[self.done]
            # The scheduler counts a step before it has rounded the result; one that ran out of
            # memory there is not to count.
            self._scheduler._step_index = self.done
            latents = self._scheduler.step(
                velocity,
                timestep,
                self.latents,
                generator=_step_noise(self._seed, self.done),
                return_dict=False,
            )[0]
            stepped = Stepped(number=self.done + 1, latents=latents)
            self.latents = latents
            self.done += 1
            return stepped

    def _predict(self, text: torch.Tensor) -> torch.Tensor:
        with self._tables:
            prediction = self._forward(text)
        return prediction[:, : self.latents.shape[1]]

    def _forward(self, text: torch.Tensor) -> torch.Tensor:
        latents = self.latents
        timestep = self._timesteps[self.done]
        prediction: torch.Tensor = self._transformer(
            hidden_states=torch.cat([latents, self._encoded.references], dim=1),
            timestep=timestep.expand(1).to(latents.dtype) / 1000,
            guidance=None,
            encoder_hidden_states_mask=None,  # every token counts
            encoder_hidden_states=text,
            img_shapes=[list(self._encoded.shapes)],
            attention_kwargs={},
            return_dict=False,
        )[0]
        return prediction


def _step_noise(seed: int, step: int) -> torch.Generator:
    """Where a scheduler with stochastic_sampling takes the noise of a step from.

    The same for the same job on any device, however often the step is tried, and another than
    the noise that the job began with.
    """
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def guided(prediction: torch.Tensor, away_from: torch.Tensor, cfg: float) -> torch.Tensor:
    """Classifier-free guidance, each patch rescaled to the norm that it had without.

    As in QwenImageEditPlusPipeline.__call__; (1, patches, channels) each.
    """
    combined = away_from + cfg * (prediction - away_from)
    norm = torch.norm(prediction, dim=-1, keepdim=True)
    combined_norm = torch.norm(combined, dim=-1, keepdim=True)
    return combined * (norm / combined_norm)


def _timesteps(
    scheduler: FlowMatchEulerDiscreteScheduler, steps: int, patches: int, device: torch.device
) -> torch.Tensor:
    """The noise levels, shifted towards noise for large pictures as in the pipelines."""
    config = scheduler.config
    shift = calculate_shift(
        patches,
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", 1.15),
    )
    sigmas = np.linspace(1.0, 1 / steps, steps)
    timesteps: torch.Tensor
    timesteps, _ = retrieve_timesteps(scheduler, steps, device, sigmas=sigmas, mu=shift)
    scheduler.set_begin_index(0)
    return timesteps
