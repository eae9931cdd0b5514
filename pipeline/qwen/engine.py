"""The editor that holds a Qwen-Image-Edit model."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from config.problems import Problem, UserError
from config.settings import ModelSettings, Pack
from pipeline import checkpoint
from pipeline.checkpoint import Checkpoint
from pipeline.editor import EditRequest, Event, Failed, ModelFacts, OnEvent
from pipeline.qwen import (
    components,
    device,
    errors,
    host_memory,
    host_plan,
    load,
    lora,
    model_sizes,
    precision,
    stage_memory,
    vram_budget,
)
from pipeline.qwen.arrival_check import TransferError
from pipeline.qwen.batch import Batch
from pipeline.qwen.compiled_blocks import compile_blocks
from pipeline.qwen.components import Components
from pipeline.qwen.device import ModelDevice, Streamed
from pipeline.qwen.offload_plan import GIB
from pipeline.qwen.precision import Precision
from pipeline.qwen.progress import Progress
from pipeline.qwen.stages import StageResources
from pipeline.qwen.vae_tiling import WindowedVae

log = logging.getLogger(__name__)


def open_editor(
    settings: ModelSettings,
    environment: Mapping[str, str] = os.environ,
    *,
    at: ModelDevice | None = None,
) -> QwenEditor:
    """Load the model of the settings, to compute at a place: the GPU if there is one.

    Raises UserError if the settings, DTYPE or the model folder cannot be used, if there is too
    little memory for the model, or if its weights do not reach the GPU unchanged.
    """
    if settings.path is None:
        advice = "write the absolute path of a local model folder"
        raise UserError([Problem("model.path", "it is not set", advice)])
    source = checkpoint.read(settings.path)
    chosen = precision.from_environment(environment)
    place = at or _place(source, settings, chosen)
    pipe = load.load(source, chosen)
    load.choose_attention(pipe, settings.attention)
    return QwenEditor(
        source=source,
        pipe=pipe,
        chosen=chosen,
        settings=settings,
        at=place,
    )


def _place(source: Checkpoint, settings: ModelSettings, chosen: Precision) -> ModelDevice:
    """Where the model computes, and with it where its weights wait; UserError if nowhere."""
    found = device.choose_device(settings.vram_gib)
    size = model_sizes.read(source, chosen.item_bytes)
    limits = host_plan.limits_of(
        source,
        settings,
        chosen,
        available_bytes=host_memory.available_bytes(),
        budget_bytes=found.budget_bytes() if isinstance(found, Streamed) else None,
    )
    plan = host_plan.choose(size, limits, where=str(source.path))
    log.info("%s", host_plan.describe(size, plan))
    return replace(found, host_plan=plan) if isinstance(found, Streamed) else found


class QwenEditor:
    """Edits requests together with a model that stays loaded."""

    def __init__(
        self,
        *,
        source: Checkpoint,
        pipe: load.Pipeline,
        chosen: Precision,
        settings: ModelSettings,
        at: ModelDevice,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = source
        self._pipe = pipe
        self._precision = chosen
        self._settings = settings
        before_bytes = host_memory.resident_bytes()
        with _loading():
            self._parts = components.place_components(pipe, at)
        _tell_what_is_taken(self._parts, host_memory.resident_bytes() - before_bytes, at.device)
        errors.give_back_memory()
        self._is_packed = self._parts.size.transformer.packed_bytes is not None
        self._is_tidy = True
        space = stage_memory.StageMemory(
            at,
            self._parts.size,
            usual=vram_budget.usual_work(source),
            usual_batch=vram_budget.usual_work(source, settings.batch),
        )
        space.open()
        if settings.compile:
            compile_blocks(pipe)
        self._means = StageResources(
            pipe=pipe,
            parts=self._parts,
            vae=WindowedVae(pipe.vae),
            room=space,
            device=at.device,
            condition_pixels=source.condition_pixels,
            multiple=source.multiple,
            loras=lora.Loras(
                settings.loras,
                {**lora.linear_layers(pipe.transformer), **self._parts.linear_layers_aside()},
                dtype=load.TORCH_DTYPES[chosen],
                available_bytes=host_memory.available_bytes,
            ),
            jobs_together=settings.batch,
            clock=clock,
        )

    def describe(self) -> ModelFacts:
        """What this editor is."""
        return ModelFacts(
            path=str(self._source.path),
            class_name=self._source.class_name,
            fingerprint=self._source.fingerprint,
            dtype=self._precision.value,
            attention=str(self._settings.attention),
            is_compiled=self._settings.compile,
            weights=self._source.weights,
            working_pixels=self._source.working_pixels,
            multiple=self._source.multiple,
            versions=load.versions(),
            device=self._means.device.type,
            pack=(Pack.LOSSLESS if self._is_packed else Pack.NONE).value,
        )

    def edit(self, requests: Sequence[EditRequest], on_event: OnEvent) -> None:
        """Edit all requests; each ends with exactly one Done or Failed, unless dropped.

        An error that poisons the GPU is raised: this process can edit no more. So is UserError,
        where weights that stay in their files cannot be read.
        """
        if not self._is_tidy:
            errors.give_back_memory()
        self._is_tidy = False
        failures: list[str] = []

        def watch(event: Event) -> frozenset[str]:
            if isinstance(event, Failed):
                failures.append(event.request_id)
            return on_event(event)

        with torch.no_grad():
            Batch(self._means, Progress(watch)).run(requests)
        self._is_tidy = not failures

    def close(self) -> None:
        """Give the model's memory back."""
        self._parts.close()
        del self._pipe, self._parts, self._means
        errors.give_back_memory()


@contextmanager
def _loading() -> Iterator[None]:
    """Turn what a GPU that is broken or full does to weights on their way into a UserError."""
    try:
        yield
    except TransferError as error:
        what = f"weights do not reach it unchanged ({error})"
        advice = "start again; if it stays so, the GPU, its slot or the memory is broken"
        raise UserError([Problem("the GPU", what, advice)]) from error
    except torch.OutOfMemoryError as error:
        what = "its memory ran out while the model was loaded"
        advice = "close other programs on the GPU, or lower model.vram_gib to what is free of it"
        raise UserError([Problem("the GPU", what, advice)]) from error


def _tell_what_is_taken(parts: Components, host_bytes: int, place: torch.device) -> None:
    components.tell_what_is_not_pinned(parts.all_loaders())
    taken = f"{host_bytes / GIB:.1f} GiB of main memory"
    if place.type == "cuda":
        taken += f" and {torch.cuda.memory_allocated(place) / GIB:.1f} GiB of the GPU's"
    log.info("the model is loaded: it took %s", taken)
