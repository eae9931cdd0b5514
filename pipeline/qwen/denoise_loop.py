"""The steps of several jobs, each taken by all of them in one passage of the blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice

import torch

from pipeline.editor import EditError, Stage, StageName, Step
from pipeline.qwen.block_pass import BlockCall, run_blocks
from pipeline.qwen.denoise import Stepped
from pipeline.qwen.modulation import ModulationRows, replaced_by
from pipeline.qwen.stage_memory import largest
from pipeline.qwen.stages import DenoisingJob, Stages, whole

_MOST_TIMESTEPS = 256  # different ones in a group: their rows take 1.1 GiB of the device


class DenoiseLoop:
    """Denoises; what happens to one job leaves the others unharmed."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._means = stages.means
        self._progress = stages.progress

    def denoise(self, flights: Sequence[DenoisingJob]) -> None:
        """Take all through all their steps."""
        for group in self._groups(flights):
            self._denoise(group)

    def _groups(self, flights: Sequence[DenoisingJob]) -> Iterator[list[DenoisingJob]]:
        """Those that can share the blocks' passage, with the same LoRA.

        As many as allowed, and as have not too many timesteps for the device to hold rows for.
        """
        by_lora: dict[str | None, list[DenoisingJob]] = {}
        for flight in flights:
            by_lora.setdefault(flight.job.request.lora, []).append(flight)
        for alike in by_lora.values():
            timesteps = [_timesteps([flight]) for flight in alike]
            for start, stop in runs(timesteps, self._means.jobs_together):
                yield alike[start:stop]

    def _denoise(self, group: Sequence[DenoisingJob]) -> None:
        for flight in group:
            if self._stages.goes_on(flight.job):
                self._progress.tell(Stage(flight.job.request.request_id, StageName.DENOISE))
        with self._stages.failing([flight.job for flight in group]):
            self._means.room.retrying("denoising", partial(self._run_steps, group))

    def _run_steps(self, group: Sequence[DenoisingJob]) -> None:
        """Do the steps that are left of each; asked again, it goes on where it was."""
        means = self._means
        if not (active := self._active(group)):
            return
        timesteps = _timesteps(active)
        work = largest([flight.job.work for flight in active])
        found = means.room.plan(replace(work, timesteps=len(timesteps)))
        latents = active[0].denoising.latents
        part = means.parts.transformer
        with (
            self._stages.on_stage(part, found, [found.transformer_resident]),
            means.loras.applied(active[0].job.lora, means.device) as changed,
        ):
            rows = None
            if part.modulation is not None:
                rows = part.modulation.rows(
                    timesteps, latents, stays=found.keeps_all, changed=changed
                )
            self._steps(group, found.together, rows)

    def _steps(
        self, group: Sequence[DenoisingJob], together: int, rows: ModulationRows | None
    ) -> None:
        """One step of all after the other; each is asked for while the one before computes."""
        since = self._means.clock()
        before: list[tuple[DenoisingJob, Stepped]] = []
        under_way: list[tuple[DenoisingJob, Stepped]] = []
        try:
            while active := self._active(group):
                before, under_way = under_way, []
                for asked in self._step(active, together, rows):
                    under_way.append(asked)  # what was asked for counts, whatever comes after
                since = self._land(before, since)
        except torch.OutOfMemoryError:
            self._land([*before, *under_way], since)
            raise
        self._land(under_way, since)

    def _step(
        self, active: Sequence[DenoisingJob], together: int, rows: ModulationRows | None
    ) -> Iterator[tuple[DenoisingJob, Stepped]]:
        calls = [
            BlockCall(
                doing=flight.denoising.doing,
                forward=forward,
                replaced=replaced_by(rows, flight.denoising.timestep),
                eager=flight.job.lora is not None,  # a compiled block would not see the LoRA
            )
            for flight in active
            for forward in flight.denoising.forwards()
        ]
        stacks = self._means.parts.transformer.stacks
        outcomes: list[torch.Tensor | EditError] = []
        for start in range(0, len(calls), together):
            outcomes += run_blocks(stacks, calls[start : start + together])
        predictions = iter(outcomes)
        for flight in active:
            own = list(islice(predictions, len(flight.denoising.forwards())))
            with self._stages.failing([flight.job]):
                yield flight, flight.denoising.advance(whole(own))

    def _land(self, under_way: Sequence[tuple[DenoisingJob, Stepped]], since: float) -> float:
        """Wait for the steps' end and tell them; the time up to which all is accounted for."""
        if not under_way:
            return since
        for flight, stepped in under_way:
            with self._stages.failing([flight.job]):
                stepped.land()
                name = flight.job.request.request_id
                if self._stages.goes_on(flight.job):
                    self._progress.tell(Step(name, stepped.number, flight.denoising.steps))
        ended = self._means.clock()
        for flight, _ in under_way:
            flight.job.seconds[StageName.DENOISE] += (ended - since) / len(under_way)
        return ended

    def _active(self, group: Sequence[DenoisingJob]) -> list[DenoisingJob]:
        return [
            flight
            for flight in group
            if self._stages.goes_on(flight.job) and flight.denoising.done < flight.denoising.steps
        ]


def runs(timesteps: Sequence[frozenset[float]], most_jobs: int) -> Iterator[tuple[int, int]]:
    """First and end of the jobs, in order, that are denoised together; by each one's timesteps."""
    start = 0
    together: frozenset[float] = frozenset()
    for number, own in enumerate(timesteps):
        is_full = number - start == most_jobs or len(together | own) > _MOST_TIMESTEPS
        if is_full and number > start:
            yield start, number
            start, together = number, frozenset()
        together |= own
    yield start, len(timesteps)


def _timesteps(flights: Sequence[DenoisingJob]) -> frozenset[float]:
    """The different ones that are left."""
    left = [flight.denoising.timesteps[flight.denoising.done :] for flight in flights]
    return frozenset(chain.from_iterable(left))
