"""What all stages of a batch do alike: plan, take turns on the GPU, share time, end jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from pipeline.editor import EditError, EditRequest, Failed, StageName
from pipeline.qwen import encode, errors
from pipeline.qwen.components import Component, Components
from pipeline.qwen.denoise import Denoising
from pipeline.qwen.load import Pipeline
from pipeline.qwen.lora import ChosenLora, Loras
from pipeline.qwen.offload_plan import Plan, Work
from pipeline.qwen.progress import Progress
from pipeline.qwen.stage_memory import StageMemory, largest
from pipeline.qwen.vae_tiling import WindowedVae

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResources:
    """What every batch of an editor works with."""

    pipe: Pipeline
    parts: Components
    vae: WindowedVae
    room: StageMemory
    device: torch.device
    condition_pixels: int
    multiple: int  # both sides of a canvas are multiples of this
    loras: Loras
    jobs_together: int
    clock: Callable[[], float]


@dataclass(slots=True, kw_only=True)
class Job:
    """A request with what it is made from, and the time that it has cost so far."""

    request: EditRequest
    lora: ChosenLora | None
    prepared: encode.Prepared
    work: Work
    seconds: dict[StageName, float] = field(default_factory=lambda: dict.fromkeys(StageName, 0.0))
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoisingJob:
    """A job on its way through the transformer."""

    job: Job
    denoising: Denoising


class Stages:
    """The common ground of a batch's stages."""

    def __init__(self, means: StageResources, progress: Progress) -> None:
        self.means = means
        self.progress = progress

    def goes_on(self, job: Job) -> bool:
        """Whether it has not failed, and somebody still waits for it."""
        return not job.has_failed and self.progress.wants(job.request.request_id)

    def plan(self, jobs: Sequence[Job]) -> Plan:
        """The plan for these together; raises EditError if they are too large for the GPU."""
        return self.means.room.plan(largest([job.work for job in jobs]))

    @contextmanager
    def on_stage(
        self, part: Component, found: Plan, resident: Sequence[int] = ()
    ) -> Iterator[None]:
        """Within this context the part can compute, and has the GPU for itself if need be."""
        if not found.keeps_all:
            self.means.parts.make_way(part)
        with part.on_stage(resident=resident, stays=found.keeps_all):
            yield

    @contextmanager
    def failing(self, jobs: Sequence[Job]) -> Iterator[None]:
        """End the jobs with the error that ends this context, where it is one of theirs."""
        try:
            yield
        except EditError as error:
            for job in jobs:
                if self.goes_on(job):
                    job.has_failed = True
                    ending = Failed(job.request.request_id, errors.without_traceback(error))
                    self.progress.tell(ending)

    @contextmanager
    def sharing(self, stage: StageName, jobs: Sequence[Job]) -> Iterator[None]:
        """Divide the time of this context among the jobs that it served."""
        began = self.means.clock()
        yield
        if self.means.device.type == "cuda":
            torch.cuda.synchronize(self.means.device)
        for job in jobs:
            job.seconds[stage] += (self.means.clock() - began) / len(jobs)


def whole(outcomes: Sequence[T | EditError]) -> list[T]:
    """The outcomes; raises the first that is an error."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, EditError):
            raise outcome
        found.append(outcome)
    return found
