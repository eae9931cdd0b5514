"""Where one image stands: ready to be claimed, or waiting for something that can be named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from config.problems import Problem
from daemon.fs.names import Kind, conversion, kind_of, printable, stem_of
from daemon.inbox.grouping import FileGroups
from daemon.inbox.reader import Broken, Unread, Wanted
from daemon.inbox.settle import InboxSnapshot, Wait, settles_at
from daemon.job import Candidate, PlannedJob, Seen, State
from pipeline.instruction import Instruction
from pipeline.sniff.whole_file import EndsInZeros, Whole

Needs = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderContext:
    """A folder, the snapshot, and the presets that hold for it."""

    folder: FileGroups
    snapshot: InboxSnapshot
    presets: tuple[Seen, ...]  # those that can be used, outermost first
    preset_waits: tuple[Wait, ...]
    preset_problems: tuple[Problem, ...]
    sidecars_wait: bool  # some sidecar has not been read, and may name any image


def folder_context(
    folder: FileGroups, presets: tuple[Seen, ...], snapshot: InboxSnapshot
) -> FolderContext:
    """The context of a folder; `presets` are those of its parents and its own."""
    waits = [wait for preset in presets for wait in _preset_waits(preset, snapshot)]
    problems = tuple(_preset_problems(presets, snapshot))
    if problems and not snapshot.rules.final:
        where = " and ".join(dict.fromkeys(problem.where for problem in problems))
        waits.append(Wait(State.HELD, f"waits for somebody to mend {where}", None))
    return FolderContext(
        folder=folder,
        snapshot=snapshot,
        presets=tuple(file for file in presets if is_usable(file, snapshot)),
        preset_waits=tuple(waits),
        preset_problems=problems,
        sidecars_wait=any(
            isinstance(snapshot.contents.text(sidecar), Unread) for sidecar in folder.sidecars
        ),
    )


def is_usable(file: Seen, snapshot: InboxSnapshot) -> bool:
    """Whether a text has been read and makes sense."""
    return not isinstance(snapshot.contents.text(file), Broken | Unread)


def _preset_waits(preset: Seen, snapshot: InboxSnapshot) -> Iterator[Wait]:
    for wait in snapshot.text_waits(preset):
        yield Wait(wait.state, f"waits for {printable(preset.path)}: {wait.reason}", wait.until)


def _preset_problems(presets: Iterable[Seen], snapshot: InboxSnapshot) -> Iterator[Problem]:
    for _, group in groupby(presets, key=lambda preset: preset.folder):
        first, *others = group
        for other in others:
            what = f"stands beside {printable(first.name)}"
            yield Problem(printable(other.path), what, "keep one of the two")
    for preset in presets:
        match snapshot.contents.text(preset):
            case Broken(problems):
                yield from problems
            case _:
                pass


def references(context: FolderContext) -> Needs:
    """Which images are named in an instruction: image path -> paths of those that need it.

    An instruction without its image, and a preset that names an image, need it by their own path.
    """
    needs: dict[str, set[str]] = defaultdict(set)
    for file, needers in _named_images(context):
        needs[file.path] |= needers
    for path, needers in needs.items():
        if context.folder.sidecars_of[path]:
            needers.add(path)
    return {path: frozenset(needers) for path, needers in needs.items()}


def _named_images(context: FolderContext) -> Iterator[tuple[Seen, set[str]]]:
    folder, contents = context.folder, context.snapshot.contents
    for sidecar in folder.sidecars:
        if not isinstance(contents.text(sidecar), Unread):
            images = folder.images_of.get(sidecar.path, (sidecar,))
            for name in contents.wanted(sidecar, context.presets).companions:
                for file in folder.images_named(name):
                    yield file, {image.path for image in images}
    if context.presets:
        named = contents.wanted(None, context.presets).companions
        files = [file for name in named for file in folder.images_named(name)]
        needers = {image.path for image in folder.lone_images() if image not in files}
        for file in files:
            yield file, needers | {context.presets[-1].path}


def judge(context: FolderContext, image: Seen) -> Wait | Candidate:
    """Judge an image that is an input of its own."""
    case = _Readiness(context, image, context.folder.sidecars_of[image.path])
    wait = next(case.waits(), None)
    return case.candidate() if wait is None else wait


def planned_job(context: FolderContext, image: Seen) -> PlannedJob | None:
    """The job that an image would make; None while nobody knows that, or where it makes none."""
    contents = context.snapshot.contents
    sidecars = context.folder.sidecars_of[image.path]
    if len(sidecars) > 1 or context.preset_waits or context.preset_problems:
        return None
    if not all(isinstance(contents.text(sidecar), Instruction) for sidecar in sidecars):
        return None
    resolved = contents.wanted(sidecars[0] if sidecars else None, context.presets).resolved
    if resolved is None:
        return None
    match contents.picture(image):
        case Whole(kind) | EndsInZeros(kind):
            return PlannedJob(resolved, kind)
        case _:
            return PlannedJob(resolved, None)


def problems_so_far(context: FolderContext, image: Seen) -> tuple[Problem, ...]:
    """What is known already of why the job of a waiting image will fail."""
    snapshot = context.snapshot
    if next(snapshot.picture_waits(image), None) is not None:
        return ()
    texts = map(snapshot.contents.text, context.folder.sidecars_of[image.path])
    broken = (text.problems for text in texts if isinstance(text, Broken))
    return sum(broken, snapshot.picture_problems(image) + context.preset_problems)


@dataclass(frozen=True, slots=True)
class _Readiness:
    context: FolderContext
    image: Seen
    sidecars: tuple[Seen, ...]

    def waits(self) -> Iterator[Wait]:
        """Every reason to wait, the first to tell first."""
        snapshot = self.context.snapshot
        yield from snapshot.picture_waits(self.image)
        if len(self.sidecars) > 1:
            names = " and ".join(printable(sidecar.name) for sidecar in self.sidecars)
            yield Wait(State.HELD, f"{names} both belong to it: remove one", None)
        for sidecar in self.sidecars:
            for wait in snapshot.text_waits(sidecar):
                reason = f"waits for {printable(sidecar.name)}: {wait.reason}"
                yield Wait(wait.state, reason, wait.until)
        yield from self.context.preset_waits
        if not self.sidecars and not self.context.preset_problems:
            yield from self._alone()
        wanted = self._wanted()
        if not self._hopeless(wanted):
            yield from self._companion_waits(wanted)

    def candidate(self) -> Candidate:
        """The job, when there is nothing left to wait for."""
        snapshot, wanted = self.context.snapshot, self._wanted()
        problems = self._hopeless(wanted) or tuple(self._companion_problems(wanted))
        companions = tuple(file for file in self._companions(wanted) if snapshot.is_settled(file))
        files = (self.image, *self.sidecars, *companions)
        return Candidate(
            image=self.image,
            sidecar=self.sidecars[0] if self.sidecars else None,
            companions=companions,
            priority=wanted.priority,
            since=min(snapshot.watched[file] for file in files),
            problems=tuple(dict.fromkeys(problems)),
        )

    def _wanted(self) -> Wanted:
        sidecar = self.sidecars[0] if self.sidecars else None
        return self.context.snapshot.contents.wanted(sidecar, self.context.presets)

    def _alone(self) -> Iterator[Wait]:
        snapshot, rules = self.context.snapshot, self.context.snapshot.rules
        if not snapshot.contents.give_prompt(self.context.presets):
            yield self._unaccompanied()
        elif rules.final and self.context.sidecars_wait:
            reason = "runs on the folder's preset when every sidecar here has been read"
            yield Wait(State.WAITING_SIDECAR, reason, None)
        elif not rules.final:
            until = settles_at(self.image, snapshot.watched, rules) + rules.sidecar_grace_seconds
            if snapshot.now < until:
                when = snapshot.clock(until)
                reason = f"runs on the folder's preset at {when} unless a sidecar comes before"
                yield Wait(State.WAITING_SIDECAR, reason, until)

    def _unaccompanied(self) -> Wait:
        snapshot = self.context.snapshot
        since = snapshot.watched[self.image]
        until = since + snapshot.rules.sidecar_wait_seconds
        stem, when = printable(stem_of(self.image.name)), snapshot.clock(since)
        if snapshot.now < until:
            reason = f"waits for {stem}.yaml, {stem}.txt or another sidecar since {when}"
            return Wait(State.WAITING_SIDECAR, reason, until)
        reason = (
            f"no sidecar has come since {when}: add {stem}.yaml or {stem}.txt, or take it away"
        )
        return Wait(State.HELD, reason, None)

    def _companions(self, wanted: Wanted) -> tuple[Seen, ...]:
        named = (self.context.folder.images_named(name) for name in wanted.companions)
        return tuple(dict.fromkeys(found[0] for found in named if len(found) == 1))

    def _companion_waits(self, wanted: Wanted) -> Iterator[Wait]:
        for name in wanted.companions:
            found, shown = self.context.folder.images_named(name), printable(name)
            if not found and not self.context.snapshot.rules.final:
                yield Wait(State.HELD, f"waits for {shown}", None)
            if len(found) > 1:
                names = " and ".join(printable(file.name) for file in found)
                yield Wait(State.HELD, f"{names} both answer to {shown}: remove one", None)
            for file in found:
                for wait in self.context.snapshot.picture_waits(file):
                    yield Wait(State.HELD, f"waits for {shown}: {wait.reason}", wait.until)

    def _hopeless(self, wanted: Wanted) -> tuple[Problem, ...]:
        return (
            *self.context.snapshot.picture_problems(self.image),
            *self.context.preset_problems,
            *wanted.problems,
            *self._misnamed(wanted),
        )

    def _misnamed(self, wanted: Wanted) -> Iterator[Problem]:
        for name in wanted.companions:
            if kind_of(name) is not Kind.IMAGE:
                what = f"'{printable(name)}' cannot be read"
                yield Problem(self._where(name), what, conversion(name))
            elif self.context.folder.images_named(name) == (self.image,):
                what = f"'{printable(name)}' is the picture to edit itself"
                yield Problem(self._where(name), what, "name another one or remove it")

    def _companion_problems(self, wanted: Wanted) -> Iterator[Problem]:
        for name in wanted.companions:
            found = self.context.folder.images_named(name)
            for file in found:
                yield from self.context.snapshot.picture_problems(file)
            if not found:
                advice = "put it into the folder of the picture"
                yield Problem(self._where(name), f"{printable(name)} is missing", advice)

    def _where(self, name: str) -> str:
        """The place where a companion is named."""
        said = self.context.snapshot.contents.text(self.sidecars[0]) if self.sidecars else None
        return said.where_named(name) if isinstance(said, Instruction) else "the folder's preset"
