"""Several requests on their way together: all are encoded, then denoised, then decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice

import torch

from pipeline.editor import Done, EditError, EditRequest, EditResult, Failed, Stage, StageName
from pipeline.qwen import decode, encode, errors, lora
from pipeline.qwen.denoise import Denoising
from pipeline.qwen.denoise_loop import DenoiseLoop
from pipeline.qwen.lora import ChosenLora
from pipeline.qwen.offload_plan import GIB, Plan, Work
from pipeline.qwen.progress import Progress
from pipeline.qwen.read_prompt import read_prompts
from pipeline.qwen.stages import DenoisingJob, Job, StageResources, Stages, whole


class Batch:
    """Takes requests through all stages; what happens to one leaves the others unharmed."""

    def __init__(self, means: StageResources, progress: Progress) -> None:
        self._means = means
        self._progress = progress
        self._stages = Stages(means, progress)
        self._has_read = False

    def run(self, requests: Sequence[EditRequest]) -> None:
        """Edit them; each ends with exactly one Done or Failed, unless it is dropped."""
        if self._means.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._means.device)
        self._means.room.begin_batch()
        self._expect_prompts()
        jobs = [job for request in requests for job in self._prepared(request)]
        for part in self._parts(jobs):
            self._edit(part)
        if not self._has_read:
            self._means.parts.encoder.leave()

    def _edit(self, jobs: Sequence[Job]) -> None:
        """Take jobs through all stages; nothing of them stays on the GPU."""
        flights = self._encoded(jobs)
        DenoiseLoop(self._stages).denoise(flights)
        self._decode([flight for flight in flights if self._stages.goes_on(flight.job)])

    def _expect_prompts(self) -> None:
        """Let the text encoder be on its way while the pictures are opened."""
        means = self._means

        def bring() -> None:
            found = means.room.for_reading(())
            if not found.keeps_all:
                means.parts.make_way(means.parts.encoder)
            means.parts.encoder.expect(resident=_reading(found))

        # Whether there is room for the jobs is said when they are known.
        with suppress(EditError):
            means.room.retrying("bringing the text encoder", bring)

    def _prepared(self, request: EditRequest) -> Iterator[Job]:
        """The job of the request, if it is wanted and can be done."""
        name, means = request.request_id, self._means
        if not self._progress.wants(name):
            return
        began = means.clock()
        if not self._progress.tell(Stage(name, StageName.ENCODE)):
            return
        try:
            chosen = means.loras.find(request.lora)
            prepared = encode.prepare(
                means.pipe,
                request,
                condition_pixels=means.condition_pixels,
                multiple=means.multiple,
            )
            work = _work(prepared, chosen, request.steps)
            means.room.plan(work)
        except EditError as error:
            self._progress.tell(Failed(name, errors.without_traceback(error)))
            return
        job = Job(request=request, lora=chosen, prepared=prepared, work=work)
        job.seconds[StageName.ENCODE] = means.clock() - began
        yield job

    def _parts(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """The jobs that go on: all together, unless what they keep would fill the GPU."""
        while waiting := [job for job in jobs if self._stages.goes_on(job)]:
            works = self._means.room.together([job.work for job in waiting])
            part, jobs = waiting[: len(works)], waiting[len(works) :]
            for job, work in zip(part, works, strict=True):
                job.work = work
            yield part

    def _encoded(self, jobs: Sequence[Job]) -> list[DenoisingJob]:
        flights: list[DenoisingJob] = []
        with self._stages.sharing(StageName.ENCODE, jobs), self._stages.failing(jobs):
            texts = iter(self._means.room.retrying("reading prompts", partial(self._read, jobs)))
            read = [(job, list(islice(texts, len(job.prepared.prompts)))) for job in jobs]
            flights += self._looked(read)
        return flights

    def _read(self, jobs: Sequence[Job]) -> list[torch.Tensor | EditError]:
        """What the text encoder makes of all prompts of all jobs, in their order."""
        means = self._means
        prompts = [inputs for job in jobs for inputs in job.prepared.prompts]
        found = means.room.for_reading([job.work for job in jobs])
        stacks, together = means.parts.encoder.stacks, found.read_together
        with self._stages.on_stage(means.parts.encoder, found, _reading(found)):
            self._has_read = True  # from now on the stage gives back what it takes
            return [
                text
                for start in range(0, len(prompts), together)
                for text in read_prompts(
                    means.pipe, stacks, prompts[start : start + together], means.device
                )
            ]

    def _looked(
        self, read: Sequence[tuple[Job, list[torch.Tensor | EditError]]]
    ) -> list[DenoisingJob]:
        flights = []
        with self._vae_on_stage([job for job, _ in read]):
            for job, texts in read:
                with self._stages.failing([job]):
                    flight = partial(self._flight, job, whole(texts))
                    flights.append(self._means.room.retrying("reading the pictures", flight))
        return flights

    def _flight(self, job: Job, texts: Sequence[torch.Tensor]) -> DenoisingJob:
        means, request = self._means, job.request
        means.vae.tile_side = means.room.plan(job.work).tile_side
        encoded = encode.look(
            means.pipe, job.prepared, texts, seed=request.seed, device=means.device
        )
        with errors.mapped("reading the model's scheduler/", (Exception,)):
            denoising = Denoising(
                encoded,
                transformer=means.pipe.transformer,
                schedule=lora.schedule_for(job.lora, means.pipe.scheduler.config),
                steps=request.steps,
                cfg=request.cfg,
                seed=request.seed,
                device=means.device,
            )
        return DenoisingJob(job=job, denoising=denoising)

    def _decode(self, flights: Sequence[DenoisingJob]) -> None:
        if not flights:
            return
        jobs = [flight.job for flight in flights]
        with self._stages.failing(jobs), self._vae_on_stage(jobs):
            for flight in flights:
                job = flight.job
                name = job.request.request_id
                if self._stages.goes_on(job) and self._progress.tell(
                    Stage(name, StageName.DECODE)
                ):
                    with self._stages.failing([job]):
                        work = partial(self._picture, flight)
                        self._means.room.retrying("decoding the picture", work)
                        self._progress.tell(Done(name, self._result(job)))

    @contextmanager
    def _vae_on_stage(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Within this context the VAE can compute; raises EditError if there is no room for it."""
        with ExitStack() as scenery:

            def bring() -> None:
                found = self._stages.plan(jobs)
                scenery.enter_context(self._stages.on_stage(self._means.parts.vae, found))

            self._means.room.retrying("bringing the VAE", bring)
            yield

    def _picture(self, flight: DenoisingJob) -> None:
        means, job = self._means, flight.job
        means.vae.tile_side = means.room.plan(job.work).tile_side
        with self._stages.sharing(StageName.DECODE, [job]):
            canvas = job.prepared.canvases[0]
            picture = decode.decode(
                means.pipe, flight.denoising.latents, width=canvas.width, height=canvas.height
            )
            decode.write(picture, job.request.result)

    def _result(self, job: Job) -> EditResult:
        return EditResult(
            path=job.request.result,
            encode_seconds=job.seconds[StageName.ENCODE],
            denoise_seconds=job.seconds[StageName.DENOISE],
            decode_seconds=job.seconds[StageName.DECODE],
            peak_vram_gib=_peak_vram_gib(self._means.device),
        )


def _work(prepared: encode.Prepared, chosen: ChosenLora | None, steps: int) -> Work:
    return Work(
        sequences=len(prepared.prompts),
        tokens=prepared.tokens,
        text_tokens=prepared.text_tokens,
        pixels=prepared.pixels,
        timesteps=steps,
        kept_patches=len(prepared.prompts) * prepared.patches,
        kept_text_tokens=prepared.all_text_tokens,
        lora_bytes=0 if chosen is None else chosen.size_bytes,
    )


def _reading(found: Plan) -> tuple[int, int]:
    """What of the text encoder's stacks keeps its place."""
    return found.vision_resident, found.text_resident


def _peak_vram_gib(device: torch.device) -> float:
    if device.type != "cuda":
        return 0.0
    peak_bytes: int = torch.cuda.max_memory_allocated(device)
    return peak_bytes / GIB
