"""A job between its claim and its filing: where it stands, and what it asks for next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from config.instruction_keys import LARGEST_SEED
from config.settings import FolderSettings
from daemon import own_version
from daemon.folder.messages import JobCommand
from daemon.folder.view import FolderView
from daemon.folder.worker import FolderWorker
from daemon.fs.names import printable
from daemon.job import Job, ResolvedJob, State
from daemon.spool.receipts import Variant
from daemon.spool.spool import scratch_name
from daemon.workers.backend import Busy, EditBackend
from daemon.workers.pixel_pool import PixelPool
from pipeline.editor import EditRequest, EditResult, ModelFacts
from pipeline.pixel_requests import Compose, Composed, Prepare, Prepared
from pipeline.provenance import Provenance
from pipeline.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Preparing:
    """A pixel worker makes the model's canvases."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The canvases are ready; it waits for the editor."""


@dataclass(frozen=True, slots=True)
class Editing:
    """The editor is at it."""

    index: int  # which variant
    step: int
    steps: int
    since: float  # monotonic seconds
    first: int = 0  # the first of the variants that are edited now


@dataclass(frozen=True, slots=True)
class Composing:
    """The editor is done; pixel workers finish the results."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Results or records are being written to the share."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """It went wrong and is tried again at `until`."""

    until: float  # monotonic seconds
    strike: bool  # whether its last end counts against it
    alone: bool  # whether it is to run alone then
    cause: str
    counts: bool = True  # whether its last run was an attempt


@dataclass(frozen=True, slots=True)
class Reclaiming:
    """Its files are being copied to scratch for another attempt."""


Phase = Preparing | Waiting | Editing | Composing | Publishing | Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedJob:
    """A job in work/ that is not resolved: it waits out a backoff, or cannot be worked."""

    root: str
    job: Job
    phase: Backoff | Reclaiming | Publishing


def parked(root: str, job: Job, cause: str, now: float, *, counts: bool) -> ParkedJob:
    """A job that is begun again as soon as may be: no fault of its own hindered it."""
    phase = Backoff(now, strike=False, alone=job.alone, cause=cause, counts=counts)
    return ParkedJob(root=root, job=job, phase=phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reseeded:
    """A variant that fell short and is edited once more."""

    index: int
    seed: int  # of the further edit
    missed: tuple[str, ...]  # what the first fell short in


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """A claimed job on its way."""

    root: str
    resolved_job: ResolvedJob
    phase: Phase
    prepared: tuple[Prepared, float] | None = None  # with the seconds that it took
    edits: tuple[tuple[int, EditResult], ...] = ()
    variants: tuple[Variant, ...] = ()
    reseeded: tuple[Reseeded, ...] = ()
    edited_at: float | None = None  # monotonic seconds when the editor was done with it

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.resolved_job.job

    @property
    def state(self) -> State:
        """The word that people see."""
        match self.phase:
            case Editing() | Composing():
                return State.RUNNING
            case Publishing():
                return State.PUBLISHING
            case Preparing() | Waiting() | Backoff():
                return State.CLAIMED

    @property
    def is_complete(self) -> bool:
        """Whether all variants are finished."""
        return len(self.variants) == self.resolved_job.recipe.variants

    def at(self, phase: Phase) -> JobRun:
        """The same job in another phase."""
        return replace(self, phase=phase)

    @property
    def unedited(self) -> tuple[int, ...]:
        """The variants that the editor has not done yet."""
        done = dict(self.edits)
        return tuple(it for it in range(self.resolved_job.recipe.variants) if it not in done)

    @property
    def to_edit_again(self) -> tuple[Variant, ...]:
        """The results that fell short and have not had their second chance."""
        had = {it.index for it in self.reseeded}
        return tuple(it for it in self.variants if it.missed and it.index not in had)

    def seed_of(self, index: int) -> int:
        """The seed with which a variant is edited."""
        other = {it.index: it.seed for it in self.reseeded}
        return other.get(index, self.resolved_job.recipe.seed + index)

    def with_variant(
        self, index: int, composed: Composed, seconds: float, missed: tuple[str, ...]
    ) -> JobRun:
        """The same job with one result more."""
        variant = Variant(
            index=index,
            seed=self.seed_of(index),
            edit=dict(self.edits)[index],
            composed=composed,
            compose_seconds=seconds,
            missed=missed,
            first_seed=self._first_seed(index),
        )
        ordered = sorted((*self.variants, variant), key=lambda one: one.index)
        return replace(self, variants=tuple(ordered))

    def _first_seed(self, index: int) -> int | None:
        is_second = any(it.index == index for it in self.reseeded)
        return self.resolved_job.recipe.seed + index if is_second else None

    def edited_again(self) -> JobRun:
        """The same job before its second chance: what fell short waits for another edit."""
        again = tuple(
            Reseeded(
                index=it.index,
                seed=another_seed(self.resolved_job.recipe, it.index),
                missed=it.missed,
            )
            for it in self.to_edit_again
        )
        gone = {it.index for it in again}
        return replace(
            self,
            phase=Waiting(),
            edits=tuple(it for it in self.edits if it[0] not in gone),
            variants=tuple(it for it in self.variants if it.index not in gone),
            reseeded=(*self.reseeded, *again),
        )


def prepare(resolved_job: ResolvedJob, facts: ModelFacts, max_megapixels: float) -> Prepare:
    """What to ask of a pixel worker first."""
    return Prepare(
        image=resolved_job.scratch / scratch_name(0),
        name=printable(resolved_job.job.path),
        references=tuple(_companion(resolved_job, name) for name in resolved_job.recipe.images),
        mask=_mask(resolved_job),
        recipe=resolved_job.recipe,
        working_pixels=facts.working_pixels,
        multiple=facts.multiple,
        max_megapixels=max_megapixels,
        into=resolved_job.scratch,
    )


def another_seed(recipe: Recipe, index: int) -> int:
    """The seed of a variant's second chance, which no variant has; the same at any time."""
    return (recipe.seed + recipe.variants + index) % (LARGEST_SEED + 1)


def edit_requests(job: JobRun) -> tuple[EditRequest, ...]:
    """What to ask of the editor for a prepared job: one request a variant that is not edited."""
    assert job.prepared is not None
    resolved_job, prepared = job.resolved_job, job.prepared[0]
    return tuple(
        EditRequest(
            request_id=f"{resolved_job.job.job_id}.{index}",
            images=prepared.canvases,
            prompt=resolved_job.recipe.prompt,
            negative_prompt=resolved_job.recipe.negative_prompt,
            steps=resolved_job.recipe.steps,
            cfg=resolved_job.recipe.cfg,
            seed=job.seed_of(index),
            lora=resolved_job.recipe.lora,
            result=resolved_job.scratch / f"edited-{index}.png",
        )
        for index in job.unedited
    )


def request_ids(resolved_job: ResolvedJob) -> frozenset[str]:
    """The ids of all requests of `edit_requests`."""
    return frozenset(
        f"{resolved_job.job.job_id}.{index}" for index in range(resolved_job.recipe.variants)
    )


def request_of(request_id: str) -> tuple[str, int]:
    """The job and the variant that a request of `edit_requests` is for."""
    job_id, _, index = request_id.rpartition(".")
    return job_id, int(index)


def compose(
    job: JobRun, index: int, facts: ModelFacts, folder: FolderSettings, now: float
) -> Compose:
    """What to ask of a pixel worker last, of a variant that is edited; `now` is Unix time."""
    assert job.prepared is not None
    resolved_job = job.resolved_job
    told = _provenance(job, index, facts, made_at=now, embeds_prompt=folder.embed_prompt)
    return Compose(
        image=resolved_job.scratch / scratch_name(0),
        name=printable(resolved_job.job.path),
        mask=_mask(resolved_job),
        recipe=resolved_job.recipe,
        prepared=job.prepared[0],
        edited=dict(job.edits)[index].path,
        allow_flat=not told.has_model,
        told=told,
        gps=folder.gps,
        wants_preview=folder.preview,
        result=resolved_job.scratch / f"result-{index}",
    )


def _provenance(
    job: JobRun, index: int, facts: ModelFacts, *, made_at: float, embeds_prompt: bool
) -> Provenance:
    resolved_job = job.resolved_job
    return Provenance(
        job_id=resolved_job.job.job_id,
        recipe=replace(resolved_job.recipe, seed=job.seed_of(index), variants=1),
        model=facts,
        software=f"Hotfolder {own_version()}",
        made_at=made_at,
        source_name=printable(resolved_job.job.image.name),
        source_sha256=resolved_job.job.image.sha256,
        embeds_prompt=embeds_prompt,
    )


def _mask(resolved_job: ResolvedJob) -> tuple[str, Path] | None:
    name = resolved_job.recipe.mask
    return None if name is None else _companion(resolved_job, name)


def _companion(resolved_job: ResolvedJob, name: str) -> tuple[str, Path]:
    """A reference or the mask: what people call it, and its private copy."""
    return printable(resolved_job.job.path_of(name)), resolved_job.companions[name]


class JobTable:
    """Every job between its claim and its filing, and the way to all who are at it."""

    def __init__(
        self, folders: Mapping[str, FolderView], editor: EditBackend, pixels: PixelPool
    ) -> None:
        self._folders, self._editor, self._pixels = folders, editor, pixels
        self._jobs: dict[str, JobRun | ParkedJob] = {}

    def __iter__(self) -> Iterator[JobRun | ParkedJob]:
        return iter(tuple(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: JobRun | ParkedJob) -> None:
        """Keep a job, in place of its earlier value."""
        self._jobs[job.job.job_id] = job

    def worker_of(self, root: str) -> FolderWorker:
        """The worker of a hot folder."""
        return self._folders[root].folder_worker

    def hand_over(self, job: JobRun | ParkedJob, command: JobCommand) -> None:
        """Have its hot folder publish, file or release a job, which is out of our hands then."""
        self.stop_work(job)
        self.put(replace(job, phase=Publishing()))
        self.worker_of(job.root).submit(command)

    def stop_work(self, job: JobRun | ParkedJob) -> None:
        """Have editor and pixel workers go on with the other jobs; what they do of it is lost."""
        if isinstance(job, JobRun) and isinstance(job.phase, Editing):
            self._editor.drop(request_ids(job.resolved_job))
        self._pixels.forget(job.job.job_id)

    def is_worked_on(self, job_id: str) -> bool:
        """Whether the editor or a pixel worker still has something of a job open."""
        condition = self._editor.condition
        is_edited = isinstance(condition, Busy) and job_id in condition.job_ids
        return is_edited or self._pixels.is_at(job_id)

    def drop(self, job: Job) -> None:
        """Forget a job."""
        self._jobs.pop(job.job_id, None)

    def get(self, job_id: str) -> JobRun | ParkedJob | None:
        """The job of that id."""
        return self._jobs.get(job_id)

    def active(self, job_id: str) -> JobRun | None:
        """The job of that id that is resolved."""
        job = self._jobs.get(job_id)
        return job if isinstance(job, JobRun) else None

    def edited(self, job_ids: Iterable[str]) -> list[JobRun]:
        """Those of these jobs that the editor is at, in order."""
        jobs = filter(None, map(self.active, sorted(job_ids)))
        return [job for job in jobs if isinstance(job.phase, Editing)]

    def actives(self) -> Iterator[JobRun]:
        """All jobs that have a task."""
        return (job for job in self if isinstance(job, JobRun))


class About(TypedDict):
    """What every event about a job says first."""

    job_id: str
    path: str
    root: Path


def about(root: str, job: Job) -> About:
    """The job's part of an event."""
    return {"job_id": job.job_id, "path": printable(job.path), "root": Path(root)}
