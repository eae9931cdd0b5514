"""The editor that holds a Qwen-Image-Edit model."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from config.problems import Problem, UserError
from config.settings import Lora, ModelSettings
from pipeline import checkpoint
from pipeline.checkpoint import Checkpoint
from pipeline.editor import (
    Done,
    EditError,
    EditRequest,
    EditResult,
    Event,
    Failed,
    ModelFacts,
    OnEvent,
    Stage,
    StageName,
    Step,
)
from pipeline.qwen import decode, encode, faults, load, lora, precision, residence
from pipeline.qwen.denoise import Denoising
from pipeline.qwen.precision import Precision

log = logging.getLogger(__name__)


def open_editor(
    settings: ModelSettings, environment: Mapping[str, str] = os.environ
) -> QwenEditor:
    """Load the model of the settings and bring it to the GPU if there is one.

    Raises UserError if the settings, DTYPE or the model folder cannot be used.
    """
    if settings.path is None:
        advice = "write the absolute path of a local model folder"
        raise UserError([Problem("model.path", "it is not set", advice)])
    source = checkpoint.read(settings.path)
    chosen = precision.from_environment(environment)
    device = _device()
    pipe = load.load(source, chosen)
    load.choose_attention(pipe, settings.attention)
    if settings.compile:
        log.warning("model.compile has no effect yet")
    residence.settle(pipe, device, settings.vram_gib)
    return QwenEditor(source=source, pipe=pipe, chosen=chosen, device=device, loras=settings.loras)


class _DroppedError(Exception):
    """The request at work is no longer wanted."""


class _Audience:
    """Tells events, and remembers which requests nobody waits for any more."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._dropped: frozenset[str] = frozenset()

    def wants(self, request_id: str) -> bool:
        """Whether somebody still waits for it."""
        return request_id not in self._dropped

    def tell(self, event: Event) -> None:
        """Raise _DroppedError if the event's request is no longer wanted."""
        self._dropped |= self._on_event(event)
        if not self.wants(event.request_id):
            raise _DroppedError

    def tell_end(self, event: Done | Failed) -> None:
        """Tell how a request ended; too late to drop it."""
        self._dropped |= self._on_event(event)


def _device() -> torch.device:
    # With its index: what limits the GPU's memory takes no device without one.
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


class QwenEditor:
    """Edits one request after another with a model that stays loaded."""

    def __init__(
        self,
        *,
        source: Checkpoint,
        pipe: load.Pipeline,
        chosen: Precision,
        device: torch.device,
        loras: Mapping[str, Lora],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = source
        self._pipe = pipe
        self._precision = chosen
        self._device = device
        self._loras = loras
        self._clock = clock
        self._is_tidy = True

    def describe(self) -> ModelFacts:
        """What this editor is."""
        return ModelFacts(
            path=str(self._source.path),
            class_name=self._source.class_name,
            fingerprint=self._source.fingerprint,
            dtype=self._precision.value,
            weights=self._source.weights,
            working_pixels=self._source.working_pixels,
            multiple=encode.MULTIPLE,
            versions=load.versions(),
        )

    def edit(self, requests: Sequence[EditRequest], on_event: OnEvent) -> None:
        """Edit all requests; each ends with exactly one Done or Failed, unless dropped.

        An error that poisons the GPU is raised: this process can edit no more.
        """
        audience = _Audience(on_event)
        for request in requests:
            if audience.wants(request.request_id):
                self._tidy_up()
                self._edit_one(request, audience)

    def close(self) -> None:
        """Give the model's memory back."""
        self._pipe = None
        self._is_tidy = False
        self._tidy_up()

    def _edit_one(self, request: EditRequest, audience: _Audience) -> None:
        self._is_tidy = False
        try:
            result = self._result(request, audience)
        except _DroppedError:
            return
        except EditError as error:
            ending: Done | Failed = Failed(request.request_id, faults.without_traceback(error))
        else:
            self._is_tidy = True
            ending = Done(request.request_id, result)
        audience.tell_end(ending)

    def _result(self, request: EditRequest, audience: _Audience) -> EditResult:
        try:
            with torch.no_grad():
                return self._stages(request, audience)
        finally:
            # Where parts take turns on the GPU, an error leaves two of them there.
            self._pipe.maybe_free_model_hooks()

    def _stages(self, request: EditRequest, audience: _Audience) -> EditResult:
        chosen_lora = lora.find(self._loras, request.lora)
        self._forget_peak()
        began = self._clock()
        audience.tell(Stage(request.request_id, StageName.ENCODE))
        encoded = encode.encode(
            self._pipe,
            request,
            condition_pixels=self._source.condition_pixels,
            device=self._device,
        )
        encoded_at = self._clock_when_idle()
        audience.tell(Stage(request.request_id, StageName.DENOISE))
        with lora.wearing(
            self._pipe.transformer,
            chosen_lora,
            device=self._device,
            dtype=encoded.noise.dtype,
        ):
            latents = self._denoise(request, encoded, chosen_lora, audience)
        denoised_at = self._clock_when_idle()
        audience.tell(Stage(request.request_id, StageName.DECODE))
        picture = decode.decode(self._pipe, latents, width=encoded.width, height=encoded.height)
        decode.write(picture, request.result)
        return EditResult(
            path=request.result,
            encode_seconds=encoded_at - began,
            denoise_seconds=denoised_at - encoded_at,
            decode_seconds=self._clock() - denoised_at,
            peak_vram_gib=self._peak_vram_gib(),
        )

    def _denoise(
        self,
        request: EditRequest,
        encoded: encode.Encoded,
        chosen_lora: Lora | None,
        audience: _Audience,
    ) -> torch.Tensor:
        denoising = Denoising(
            encoded,
            transformer=self._pipe.transformer,
            schedule=lora.schedule_for(chosen_lora, self._pipe.scheduler.config),
            steps=request.steps,
            cfg=request.cfg,
            device=self._device,
        )
        for step in range(1, denoising.steps + 1):
            denoising.advance()
            audience.tell(Step(request.request_id, step, denoising.steps))
        return denoising.latents

    def _tidy_up(self) -> None:
        """Free what the tracebacks of an ended request may still have held."""
        if not self._is_tidy:
            gc.collect()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            self._is_tidy = True

    def _clock_when_idle(self) -> float:
        """The time at which the work given to the GPU so far is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._clock()

    def _forget_peak(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def _peak_vram_gib(self) -> float:
        if self._device.type != "cuda":
            return 0.0
        peak_bytes: int = torch.cuda.max_memory_allocated(self._device)
        return peak_bytes / residence.GIB
