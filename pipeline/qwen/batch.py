"""Several requests on their way together: all are encoded, then denoised, then decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeVar

import torch

from config.settings import Lora
from pipeline.editor import (
    Done,
    EditError,
    EditRequest,
    EditResult,
    Failed,
    Stage,
    StageName,
    Step,
)
from pipeline.qwen import decode, encode, faults, lora
from pipeline.qwen.audience import Audience
from pipeline.qwen.denoise import Denoising
from pipeline.qwen.encode import Text
from pipeline.qwen.load import Pipeline
from pipeline.qwen.parts import Part, Parts
from pipeline.qwen.plan import GIB, Plan, Work
from pipeline.qwen.room import Room, largest
from pipeline.qwen.sweep import Call, sweep
from pipeline.qwen.tiles import WindowedVae

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every batch of an editor works with."""

    pipe: Pipeline
    parts: Parts
    vae: WindowedVae
    room: Room
    device: torch.device
    condition_pixels: int
    loras: Mapping[str, Lora]
    jobs_together: int
    clock: Callable[[], float]


@dataclass(slots=True, kw_only=True)
class _Job:
    """A request with what it is made from, and the time that it has cost so far."""

    request: EditRequest
    lora: Lora | None
    prepared: encode.Prepared
    work: Work
    seconds: dict[StageName, float] = field(default_factory=lambda: dict.fromkeys(StageName, 0.0))
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flight:
    """A job on its way through the transformer."""

    job: _Job
    denoising: Denoising


class Batch:
    """Takes requests through all stages; what happens to one leaves the others unharmed."""

    def __init__(self, means: Means, audience: Audience) -> None:
        self._means = means
        self._audience = audience

    def run(self, requests: Sequence[EditRequest]) -> None:
        """Edit them; each ends with exactly one Done or Failed, unless it is dropped."""
        if self._means.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._means.device)
        jobs = [job for request in requests for job in self._prepared(request)]
        flights = self._encoded(jobs)
        for group in self._groups(flights):
            self._denoise(group)
        self._decode([flight for flight in flights if self._goes_on(flight.job)])

    def _prepared(self, request: EditRequest) -> Iterator[_Job]:
        """The job of the request, if it is wanted and can be done."""
        name, means = request.request_id, self._means
        if not self._audience.wants(name):
            return
        began = means.clock()
        if not self._audience.tell(Stage(name, StageName.ENCODE)):
            return
        try:
            chosen = lora.find(means.loras, request.lora)
            prepared = encode.prepare(means.pipe, request, condition_pixels=means.condition_pixels)
            work = _work(prepared, chosen)
            means.room.plan(work)
        except EditError as error:
            self._audience.tell(Failed(name, faults.without_traceback(error)))
            return
        job = _Job(request=request, lora=chosen, prepared=prepared, work=work)
        job.seconds[StageName.ENCODE] = means.clock() - began
        yield job

    def _encoded(self, jobs: Sequence[_Job]) -> list[_Flight]:
        jobs = [job for job in jobs if self._goes_on(job)]
        flights: list[_Flight] = []
        if not jobs:
            return flights
        with self._sharing(StageName.ENCODE, jobs), self._failing(jobs):
            texts = iter(self._means.room.retrying("reading prompts", partial(self._read, jobs)))
            read = [(job, list(islice(texts, len(job.prepared.prompts)))) for job in jobs]
            flights += self._looked(read)
        return flights

    def _read(self, jobs: Sequence[_Job]) -> list[Text | EditError]:
        """What the text encoder makes of all prompts of all jobs, in their order."""
        means = self._means
        calls = [
            Call(
                doing="reading the prompt",
                forward=partial(encode.read_text, means.pipe, inputs, means.device),
            )
            for job in jobs
            for inputs in job.prepared.prompts
        ]
        found = self._plan(jobs)
        stacks = means.parts.encoder.stacks
        resident = [len(stack.blocks) if found.keeps_all else 0 for stack in stacks]
        with self._on_stage(means.parts.encoder, found, resident):
            return sweep(stacks, calls)

    def _looked(self, read: Sequence[tuple[_Job, list[Text | EditError]]]) -> list[_Flight]:
        flights = []
        found = self._plan([job for job, _ in read])
        with self._on_stage(self._means.parts.vae, found):
            for job, texts in read:
                with self._failing([job]):
                    flight = partial(self._flight, job, _whole(texts))
                    flights.append(self._means.room.retrying("reading the pictures", flight))
        return flights

    def _flight(self, job: _Job, texts: Sequence[Text]) -> _Flight:
        means, request = self._means, job.request
        means.vae.tile_side = means.room.plan(job.work).tile_side
        encoded = encode.look(
            means.pipe, job.prepared, texts, seed=request.seed, device=means.device
        )
        denoising = Denoising(
            encoded,
            transformer=means.pipe.transformer,
            schedule=lora.schedule_for(job.lora, means.pipe.scheduler.config),
            steps=request.steps,
            cfg=request.cfg,
            device=means.device,
        )
        return _Flight(job=job, denoising=denoising)

    def _groups(self, flights: Sequence[_Flight]) -> Iterator[list[_Flight]]:
        """Those that can share the blocks' passage: as many as allowed, with the same LoRA."""
        by_lora: dict[str | None, list[_Flight]] = {}
        for flight in flights:
            by_lora.setdefault(flight.job.request.lora, []).append(flight)
        for alike in by_lora.values():
            for start in range(0, len(alike), self._means.jobs_together):
                yield alike[start : start + self._means.jobs_together]

    def _denoise(self, group: Sequence[_Flight]) -> None:
        for flight in group:
            if self._goes_on(flight.job):
                self._audience.tell(Stage(flight.job.request.request_id, StageName.DENOISE))
        with self._failing([flight.job for flight in group]):
            self._means.room.retrying("denoising", partial(self._fly, group))

    def _fly(self, group: Sequence[_Flight]) -> None:
        """Do the steps that are left of each; asked again, it goes on where it was."""
        means = self._means
        if not (active := self._active(group)):
            return
        found = self._plan([flight.job for flight in active])
        dtype = active[0].denoising.latents.dtype
        with (
            self._on_stage(means.parts.transformer, found, [found.transformer_resident]),
            lora.wearing(
                means.pipe.transformer, active[0].job.lora, device=means.device, dtype=dtype
            ),
        ):
            while active := self._active(group):
                with self._sharing(StageName.DENOISE, [flight.job for flight in active]):
                    self._step(active, found.together)

    def _step(self, active: Sequence[_Flight], together: int) -> None:
        calls = [
            Call(
                doing=flight.denoising.doing,
                forward=forward,
                eager=flight.job.lora is not None,  # a compiled block would not see the LoRA
            )
            for flight in active
            for forward in flight.denoising.forwards()
        ]
        stacks = self._means.parts.transformer.stacks
        outcomes: list[torch.Tensor | EditError] = []
        for start in range(0, len(calls), together):
            outcomes += sweep(stacks, calls[start : start + together])
        predictions = iter(outcomes)
        for flight in active:
            own = list(islice(predictions, len(flight.denoising.forwards())))
            with self._failing([flight.job]):
                denoising = flight.denoising
                denoising.advance(_whole(own))
                step = Step(flight.job.request.request_id, denoising.done, denoising.steps)
                if self._goes_on(flight.job):
                    self._audience.tell(step)

    def _active(self, group: Sequence[_Flight]) -> list[_Flight]:
        return [
            flight
            for flight in group
            if self._goes_on(flight.job) and flight.denoising.done < flight.denoising.steps
        ]

    def _decode(self, flights: Sequence[_Flight]) -> None:
        if not flights:
            return
        found = self._plan([flight.job for flight in flights])
        with self._on_stage(self._means.parts.vae, found):
            for flight in flights:
                job = flight.job
                name = job.request.request_id
                if self._goes_on(job) and self._audience.tell(Stage(name, StageName.DECODE)):
                    with self._failing([job]):
                        work = partial(self._picture, flight)
                        self._means.room.retrying("decoding the picture", work)
                        self._audience.tell(Done(name, self._result(job)))

    def _picture(self, flight: _Flight) -> None:
        means, job = self._means, flight.job
        means.vae.tile_side = means.room.plan(job.work).tile_side
        with self._sharing(StageName.DECODE, [job]):
            canvas = job.prepared.canvases[0]
            picture = decode.decode(
                means.pipe, flight.denoising.latents, width=canvas.width, height=canvas.height
            )
            decode.write(picture, job.request.result)

    def _result(self, job: _Job) -> EditResult:
        return EditResult(
            path=job.request.result,
            encode_seconds=job.seconds[StageName.ENCODE],
            denoise_seconds=job.seconds[StageName.DENOISE],
            decode_seconds=job.seconds[StageName.DECODE],
            peak_vram_gib=_peak_vram_gib(self._means.device),
        )

    def _goes_on(self, job: _Job) -> bool:
        return not job.has_failed and self._audience.wants(job.request.request_id)

    def _plan(self, jobs: Sequence[_Job]) -> Plan:
        return self._means.room.plan(largest([job.work for job in jobs]))

    @contextmanager
    def _on_stage(self, part: Part, found: Plan, resident: Sequence[int] = ()) -> Iterator[None]:
        if not found.keeps_all:
            self._means.parts.leave()
        with part.on_stage(resident=resident, stays=found.keeps_all):
            yield

    @contextmanager
    def _failing(self, jobs: Sequence[_Job]) -> Iterator[None]:
        """End the jobs with the error that ends this context, where it is one of theirs."""
        try:
            yield
        except EditError as error:
            for job in jobs:
                if self._goes_on(job):
                    job.has_failed = True
                    ending = Failed(job.request.request_id, faults.without_traceback(error))
                    self._audience.tell(ending)

    @contextmanager
    def _sharing(self, stage: StageName, jobs: Sequence[_Job]) -> Iterator[None]:
        """Divide the time of this context among the jobs that it served."""
        began = self._means.clock()
        yield
        if self._means.device.type == "cuda":
            torch.cuda.synchronize(self._means.device)
        for job in jobs:
            job.seconds[stage] += (self._means.clock() - began) / len(jobs)


def _work(prepared: encode.Prepared, chosen: Lora | None) -> Work:
    return Work(
        sequences=len(prepared.prompts),
        tokens=prepared.tokens,
        text_tokens=prepared.text_tokens,
        pixels=prepared.pixels,
        lora_bytes=lora.size_bytes(chosen),
    )


def _whole(outcomes: Sequence[T | EditError]) -> list[T]:
    """The outcomes; raises the first that is an error."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, EditError):
            raise outcome
        found.append(outcome)
    return found


def _peak_vram_gib(device: torch.device) -> float:
    if device.type != "cuda":
        return 0.0
    peak_bytes: int = torch.cuda.max_memory_allocated(device)
    return peak_bytes / GIB
