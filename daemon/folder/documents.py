"""How one hot folder stands, as documents: for whoever asks, with a daemon or without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from config.values import Format, Off
from daemon.control.documents import (
    FileStatus,
    FolderStatus,
    IgnoredFile,
    JobPreview,
    JobStatus,
    ReviewStatus,
    Turn,
)
from daemon.folder.messages import StatusChanged
from daemon.fs.names import printable, result_names
from daemon.history import Counts
from daemon.job import DRAWN_SEED, FileState, Ignored, Plan, PlannedJob, State
from pipeline.recipe import Recipe
from pipeline.sniff.whole_file import EXTENSIONS, Kind

_NO_JOBS = Counts()
_SEED_TO_COME = "_s…"
_CONTENTS = {Format.PNG: Kind.PNG, Format.JPG: Kind.JPEG, Format.WEBP: Kind.WEBP}
_PROMPT_COLUMNS = 60
_LIMITS = ("min_keep_psnr", "max_shift_px", "max_changed", "min_confidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSnapshot:
    """All that is known of one hot folder at one moment; nothing in it changes any more."""

    root: str
    stands: StatusChanged
    plan: Plan
    jobs: tuple[JobStatus, ...] = ()
    turns: Mapping[str, Turn] = field(default_factory=dict)  # of ready images, by their paths
    today: Counts = _NO_JOBS
    reviews: tuple[ReviewStatus, ...] = ()  # what needs a look since the day began

    def with_turns(self, turns: Mapping[str, Turn]) -> FolderSnapshot:
        """The same with the turns of its jobs: by paths of images, or the ids of claimed ones."""
        return replace(self, jobs=tuple(_in_turn(it, turns) for it in self.jobs), turns=turns)

    def answer(self, verb: str, arguments: Mapping[str, str]) -> FolderStatus:
        """What is asked of it: "plan", "explain" of the file at "path", else "status".

        The path is relative to the inbox; a plan that is "whole" has the recipes, too.
        """
        match verb:
            case "plan":
                return self._forecast(is_whole=arguments.get("whole") == "yes")
            case "explain":
                return self._about(arguments.get("path", ""))
            case _:
                return self._status()

    def _status(self) -> FolderStatus:
        counts = Counter[str](file.state for file in self.plan.states)
        counts.update(job.state for job in self.jobs)
        return replace(
            self._bare(),
            counts=dict(sorted(counts.items())),
            reviews=self.reviews,
            jobs=self.jobs,
            files=tuple(map(self._file, self.plan.states)),
            ignored=tuple(map(_ignored, self.plan.ignored)),
        )

    def _forecast(self, *, is_whole: bool) -> FolderStatus:
        # What is not whole is for people: without those files that only stand as another does.
        files = (self._previewed(file, with_recipe=is_whole) for file in self._in_turn())
        return replace(
            self._bare(),
            files=tuple(file for file in files if is_whole or file.is_worth_a_line),
            ignored=tuple(map(_ignored, self.plan.ignored)),
        )

    def _about(self, path: str) -> FolderStatus:
        states = (file for file in self.plan.states if file.path == path)
        return replace(
            self._bare(),
            jobs=tuple(job for job in self.jobs if job.file == printable(path)),
            files=tuple(self._previewed(file, with_recipe=False) for file in states),
            ignored=tuple(_ignored(it) for it in self.plan.ignored if it.path == path),
        )

    def _bare(self) -> FolderStatus:
        return FolderStatus(
            root=printable(self.root),
            state=self.stands.state,
            reason=self.stands.reason,
            counts={},
            today=self.today,
        )

    def _in_turn(self) -> Iterator[FileState]:
        states = {state.path: state for state in self.plan.states}
        for candidate in self.plan.ready:
            yield states.pop(candidate.image.path)
        yield from states.values()

    def _previewed(self, file: FileState, *, with_recipe: bool) -> FileStatus:
        job = self.plan.jobs.get(file.path)
        if job is None or file.problems or file.state is State.REFERENCE:
            return self._file(file)
        return self._file(file, _preview(file.path, job, with_recipe=with_recipe))

    def _file(self, file: FileState, job: JobPreview | None = None) -> FileStatus:
        turn = self.turns.get(file.path)
        status = FileStatus(
            file=printable(file.path),
            state=file.state,
            reason=file.reason,
            problems=tuple(map(str, file.problems)),
            job=job,
            read_as=file.read_as or None,
        )
        if turn is None:
            return status
        return replace(status, ahead=turn.ahead, queued=turn.queued, eta_seconds=turn.eta_seconds)


def _in_turn(job: JobStatus, turns: Mapping[str, Turn]) -> JobStatus:
    turn = turns.get(job.job_id)
    if turn is None:
        return job
    return replace(job, ahead=turn.ahead, queued=turn.queued, eta_seconds=turn.eta_seconds)


def _ignored(file: Ignored) -> IgnoredFile:
    return IgnoredFile(file=printable(file.path), reason=file.reason)


def _preview(path: str, job: PlannedJob, *, with_recipe: bool) -> JobPreview:
    recipe = job.resolved.recipe
    seed = None if recipe.seed == DRAWN_SEED else recipe.seed
    return JobPreview(
        prompt=_beginning(recipe.prompt),
        choices=", ".join(_choices(recipe, seed)),
        results=tuple(_results(path, job, seed)),
        notes=job.resolved.notes,
        recipe={**recipe.as_json(), "seed": seed} if with_recipe else None,
    )


def _beginning(prompt: str) -> str:
    words = " ".join(prompt.split())
    is_long = len(words) > _PROMPT_COLUMNS
    return f'"{words[: _PROMPT_COLUMNS - 1]}…"' if is_long else f'"{words}"'


def _choices(recipe: Recipe, seed: int | None) -> Iterator[str]:
    yield "1 step" if recipe.steps == 1 else f"{recipe.steps} steps"
    yield "seed drawn" if seed is None else f"seed {seed}"
    if recipe.megapixels is not None:
        yield f"megapixels {recipe.megapixels:g}"
    yield f"size {recipe.size}"
    if recipe.preset is not None:
        yield f"preset {recipe.preset}"
    if recipe.lora is not None:
        yield f"LoRA {recipe.lora}"
    yield from _pictures_and_part(recipe)
    for key in _LIMITS:
        limit = getattr(recipe, key)
        if limit != Off.OFF:
            yield f"{key} {limit:g}" if isinstance(limit, float) else f"{key} {limit}"


def _pictures_and_part(recipe: Recipe) -> Iterator[str]:
    if recipe.images:
        yield f"with {', '.join(map(printable, recipe.images))}"
    if recipe.mask is not None:
        yield f"mask {printable(recipe.mask)}"
    if recipe.region is not None:
        region = recipe.region
        yield f"region {region.width}x{region.height} at {region.x}, {region.y}"


def _results(path: str, job: PlannedJob, seed: int | None) -> Iterator[str]:
    """Where the results would go, as long as nothing is in the way."""
    folder, _, name = path.rpartition("/")
    stem, _, written = name.rpartition(".")
    place = f"outbox/{folder}" if folder else "outbox"
    recipe, extension = job.resolved.recipe, _extension(written, job)
    for index in range(recipe.variants):
        is_to_come = recipe.variants > 1 and seed is None
        own = seed + index if recipe.variants > 1 and seed is not None else None
        names = result_names(f"{stem}{_SEED_TO_COME}" if is_to_come else stem, extension, own)
        yield f"{place}/{next(names)}"


def _extension(written: str, job: PlannedJob) -> str:
    wanted = job.resolved.recipe.format
    if wanted is Format.SAME:
        return written
    content = _CONTENTS[wanted]
    # Of a picture that has not been read yet its name is believed.
    is_same = job.content is content if job.content else content.is_named_by(f".{written}")
    return written if is_same else EXTENSIONS[content][0].removeprefix(".")
