"""From the files of an inbox to its plan: what each waits for, what is ready, in what order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from config.problems import Problem
from daemon.fs.names import Kind, conversion, kind_of, pair_key, printable, stem_of
from daemon.inbox.cancel_files import cancel_file_state
from daemon.inbox.grouping import FileGroups, group_files
from daemon.inbox.reader import Broken, Unread, Wanted, may_be_report
from daemon.inbox.settle import InboxSnapshot, Wait, settles_at
from daemon.job import (
    Candidate,
    FileState,
    Ignored,
    Listing,
    Plan,
    PlannedJob,
    Seen,
    State,
    with_states,
)
from pipeline.instruction import Instruction
from pipeline.sniff.whole_file import EndsInZeros, Whole

_DIGITS = re.compile(r"(\d+)")
_NAMED_AT_MOST = 3
_OWN_REPORT = "Hotfolder's own note on an earlier failure, no input"
_Needs = Mapping[str, frozenset[str]]
_Judgement = Wait | Candidate
_NamedImage = tuple[str, Seen, set[str]]  # the name as written, the file, who needs it


def plan_inbox(listing: Listing, snapshot: InboxSnapshot) -> Plan:
    """Say what every file waits for, which jobs are ready, and when that may change by itself."""
    records = snapshot.contents.own_reports()
    folders = list(group_files(file for file in listing.files if file not in records))
    presets = {folder.path: folder.presets for folder in folders}
    plans = [
        _plan_folder(_folder_context(folder, _inherited(folder.path, presets), snapshot))
        for folder in folders
    ]
    found = Plan(
        states=tuple(state for part in plans for state in part.states),
        ignored=(
            *(it for part in plans for it in part.ignored),
            *(Ignored(odd.path, odd.what) for odd in listing.odd),
            *(Ignored(record.path, _OWN_REPORT) for record in records),
        ),
        ready=tuple(sorted((it for part in plans for it in part.ready), key=_turn)),
        needed_by={path: needers for part in plans for path, needers in part.needed_by.items()},
        scan_again_at=_first(part.scan_again_at for part in plans),
        cancels=tuple(cancel for part in plans for cancel in part.cancels),
        own_reports=tuple(records),
        jobs={path: job for part in plans for path, job in part.jobs.items()},
    )
    return with_states(found, (cancel_file_state(cancel, found) for cancel in found.cancels))


def preset_chain(folder: str) -> Iterator[str]:
    """The folders whose presets hold for a folder: the inbox first, itself last."""
    yield ""
    parts = folder.split("/") if folder else []
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def _inherited(folder: str, presets: Mapping[str, tuple[Seen, ...]]) -> tuple[Seen, ...]:
    return tuple(preset for path in preset_chain(folder) for preset in presets.get(path, ()))


def _first(moments: Iterable[float | None]) -> float | None:
    return min((it for it in moments if it is not None), default=None)


def _turn(candidate: Candidate) -> tuple[int, float, list[tuple[int, str]], str]:
    """Where a candidate comes in the queue: urgent, then early, then img2 before img10."""
    path = candidate.image.path
    return (-candidate.priority, candidate.since, _natural(path), path)


def _natural(path: str) -> list[tuple[int, str]]:
    pieces = _DIGITS.split(path.casefold())
    return [(int(piece), "") if index % 2 else (0, piece) for index, piece in enumerate(pieces)]


def _plan_folder(context: _FolderContext) -> Plan:
    """Say what every file of a folder waits for."""
    folder = context.folder
    named = tuple(_named_images(context))
    needs = _references(context, named)
    standings = {image: _stand(context, image, needs) for image in folder.images}
    waits = {
        text: next(context.snapshot.text_waits(text), None) or _lone(context, text)
        for text in (*folder.sidecars, *folder.presets)
    }
    # A report of ours is known by what it says, which is read when it has settled.
    unknown = {
        file: settles_at(file, context.snapshot.watched, context.snapshot.rules)
        for file in folder.unsupported
        if may_be_report(file.name) and not context.snapshot.is_settled(file)
    }
    ignored = (file for file in folder.unsupported if file not in unknown)
    everything = (*standings.values(), *waits.values())
    moments = (it.until for it in everything if isinstance(it, Wait))
    read_as = {
        **folder.read_as,
        **{file.path: name for name, file, _ in named if pair_key(name) != pair_key(file.name)},
    }
    return Plan(
        states=tuple(_said(it, read_as) for it in _states(context, standings, waits)),
        ignored=tuple(Ignored(it.path, conversion(it.name)) for it in ignored),
        ready=tuple(it for it in standings.values() if isinstance(it, Candidate)),
        needed_by=_needed_by(context, needs),
        scan_again_at=_first((*moments, *unknown.values())),
        cancels=folder.cancels,
        jobs={image.path: job for image in standings if (job := _planned_job(context, image))},
    )


def _said(state: FileState, read_as: Mapping[str, str]) -> FileState:
    name = printable(read_as.get(state.path, ""))
    if not name:
        return state
    return replace(state, reason=f"{state.reason} (read as {name})", read_as=name)


def _stand(context: _FolderContext, image: Seen, needs: _Needs) -> _Judgement:
    needers = needs.get(image.path)
    if needers is None or context.folder.sidecars_of[image.path]:
        return _judge(context, image)
    names = sorted(map(printable, needers))
    more = len(names) - _NAMED_AT_MOST
    shown = ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
    pending = next(context.snapshot.picture_waits(image), None)
    if pending is None:
        return Wait(State.REFERENCE, f"reference of {shown}", None)
    return Wait(State.REFERENCE, f"reference of {shown}; {pending.reason}", pending.until)


def _needed_by(context: _FolderContext, needs: _Needs) -> _Needs:
    served = context.folder.images_of.items()
    sidecars = {path: frozenset(image.path for image in images) for path, images in served}
    return {**sidecars, **needs}


def _states(
    context: _FolderContext,
    standings: Mapping[Seen, _Judgement],
    waits: Mapping[Seen, Wait | None],
) -> Iterator[FileState]:
    images = {image: _image(context, image, standing) for image, standing in standings.items()}
    yield from images.values()
    for text, wait in waits.items():
        match context.snapshot.contents.text(text):
            case Broken(problems):
                pass
            case _:
                problems = ()
        state, reason = _text(context, text, wait, images)
        yield FileState(text.path, state, reason, problems)


def _image(context: _FolderContext, image: Seen, standing: _Judgement) -> FileState:
    match standing:
        case Wait(state, reason):
            return FileState(image.path, state, reason, _problems_so_far(context, image))
        case Candidate(problems=()):
            return FileState(image.path, State.READY, "ready")
        case Candidate(problems=problems):
            return FileState(image.path, State.READY, "ready, but it will fail", problems)


def _text(
    context: _FolderContext, text: Seen, wait: Wait | None, images: Mapping[Seen, FileState]
) -> tuple[State, str]:
    if wait is not None:
        return wait.state, wait.reason
    if text in context.folder.presets:
        return _preset(context, text)
    if served := context.folder.images_of.get(text.path):
        partners = [images[image] for image in served]
        partner = next((it for it in partners if it.state is State.READY), partners[0])
        return (
            partner.state,
            f"with {printable(partner.path)}: {partner.reason}",
        )
    better = context.folder.outranked[text.path]
    return State.WAITING_SIDECAR, f"not used: {printable(better.path)} goes before it"


def _lone(context: _FolderContext, text: Seen) -> Wait | None:
    """The wait of a sidecar for its image; None where one is there, or another goes before it."""
    folder, snapshot = context.folder, context.snapshot
    if text in folder.presets or text.path in folder.images_of or text.path in folder.outranked:
        return None
    remedy = "add one of its name, or remove it"
    return _partnerless(snapshot, text, "its picture", "picture", remedy)


def _partnerless(
    snapshot: InboxSnapshot, file: Seen, awaited: str, missing: str, remedy: str
) -> Wait:
    """The wait of a file whose partner has not come; after a while somebody has to help."""
    since = snapshot.watched[file]
    until, when = since + snapshot.rules.sidecar_wait_seconds, snapshot.clock(since)
    if snapshot.now < until:
        return Wait(State.WAITING_SIDECAR, f"waits for {awaited} since {when}", until)
    return Wait(State.HELD, f"no {missing} has come since {when}: {remedy}", None)


def _preset(context: _FolderContext, preset: Seen) -> tuple[State, str]:
    broken = isinstance(context.snapshot.contents.text(preset), Broken)
    if broken or len(context.folder.presets) > 1:
        what = "somebody mends it" if broken else "only one preset is left here"
        return State.HELD, f"holds up the pictures here and below until {what}"
    return State.SEEN, "holds for the pictures here and below"


@dataclass(frozen=True, slots=True, kw_only=True)
class _FolderContext:
    """A folder, the snapshot, and the presets that hold for it."""

    folder: FileGroups
    snapshot: InboxSnapshot
    presets: tuple[Seen, ...]  # those that can be used, outermost first
    preset_waits: tuple[Wait, ...]
    preset_problems: tuple[Problem, ...]
    sidecars_wait: bool  # some sidecar has not been read, and may name any image


def _folder_context(
    folder: FileGroups, presets: tuple[Seen, ...], snapshot: InboxSnapshot
) -> _FolderContext:
    """The context of a folder; `presets` are those of its parents and its own."""
    waits = [wait for preset in presets for wait in _preset_waits(preset, snapshot)]
    problems = tuple(_preset_problems(presets, snapshot))
    if problems and not snapshot.rules.final:
        where = " and ".join(dict.fromkeys(problem.where for problem in problems))
        waits.append(Wait(State.HELD, f"waits for somebody to mend {where}", None))
    return _FolderContext(
        folder=folder,
        snapshot=snapshot,
        presets=tuple(
            file
            for file in presets
            if not isinstance(snapshot.contents.text(file), Broken | Unread)
        ),
        preset_waits=tuple(waits),
        preset_problems=problems,
        sidecars_wait=any(
            isinstance(snapshot.contents.text(sidecar), Unread) for sidecar in folder.sidecars
        ),
    )


def _preset_waits(preset: Seen, snapshot: InboxSnapshot) -> Iterator[Wait]:
    for wait in snapshot.text_waits(preset):
        yield Wait(wait.state, f"waits for {printable(preset.path)}: {wait.reason}", wait.until)


def _preset_problems(presets: Iterable[Seen], snapshot: InboxSnapshot) -> Iterator[Problem]:
    for _, group in groupby(presets, key=lambda preset: preset.folder):
        first, *others = group
        for other in others:
            what = f"stands beside {printable(first.path)}"
            yield Problem(printable(other.path), what, "keep one of the two")
    for preset in presets:
        match snapshot.contents.text(preset):
            case Broken(problems):
                yield from problems
            case _:
                pass


def _references(context: _FolderContext, named: Iterable[_NamedImage]) -> _Needs:
    """Which images are named in an instruction: image path -> paths of those that need it.

    An instruction without its image, and a preset that names an image, need it by their own path.
    """
    needs: dict[str, set[str]] = defaultdict(set)
    for _, file, needers in named:
        needs[file.path] |= needers
    for path, needers in needs.items():
        if context.folder.sidecars_of[path]:
            needers.add(path)
    return {path: frozenset(needers) for path, needers in needs.items()}


def _named_images(context: _FolderContext) -> Iterator[_NamedImage]:
    folder, contents = context.folder, context.snapshot.contents
    for sidecar in folder.sidecars:
        if not isinstance(contents.text(sidecar), Unread):
            images = folder.images_of.get(sidecar.path, (sidecar,))
            for name in contents.wanted(sidecar, context.presets).companions:
                for file in folder.images_named(name):
                    yield name, file, {image.path for image in images}
    if context.presets:
        named = contents.wanted(None, context.presets).companions
        found = [(name, file) for name in named for file in folder.images_named(name)]
        files = [file for _, file in found]
        needers = {image.path for image in folder.lone_images() if image not in files}
        for name, file in found:
            yield name, file, needers | {context.presets[-1].path}


def _judge(context: _FolderContext, image: Seen) -> Wait | Candidate:
    """Judge an image that is an input of its own."""
    case = _Readiness(context, image, context.folder.sidecars_of[image.path])
    wait = next(case.waits(), None)
    return case.candidate() if wait is None else wait


def _planned_job(context: _FolderContext, image: Seen) -> PlannedJob | None:
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


def _problems_so_far(context: _FolderContext, image: Seen) -> tuple[Problem, ...]:
    """What is known already of why the job of a waiting image will fail."""
    snapshot = context.snapshot
    if next(snapshot.picture_waits(image), None) is not None:
        return ()
    texts = map(snapshot.contents.text, context.folder.sidecars_of[image.path])
    broken = (text.problems for text in texts if isinstance(text, Broken))
    return sum(broken, snapshot.picture_problems(image) + context.preset_problems)


@dataclass(frozen=True, slots=True)
class _Readiness:
    context: _FolderContext
    image: Seen
    sidecars: tuple[Seen, ...]

    def waits(self) -> Iterator[Wait]:
        """Every reason to wait, the first to tell first."""
        snapshot = self.context.snapshot
        yield from snapshot.picture_waits(self.image)
        if len(self.sidecars) > 1:
            names = " and ".join(printable(sidecar.path) for sidecar in self.sidecars)
            yield Wait(State.HELD, f"{names} both belong to it: remove one", None)
        for sidecar in self.sidecars:
            for wait in snapshot.text_waits(sidecar):
                reason = f"waits for {printable(sidecar.path)}: {wait.reason}"
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
            reason = "runs on the folder's preset when every instruction here has been read"
            yield Wait(State.WAITING_SIDECAR, reason, None)
        elif not rules.final:
            until = settles_at(self.image, snapshot.watched, rules) + rules.sidecar_grace_seconds
            if snapshot.now < until:
                when = snapshot.clock(until)
                reason = (
                    f"runs on the folder's preset at {when} unless an instruction comes before"
                )
                yield Wait(State.WAITING_SIDECAR, reason, until)

    def _unaccompanied(self) -> Wait:
        stem = printable(self.image.beside(stem_of(self.image.name)))
        awaited = f"{stem}.yaml, {stem}.txt or another instruction"
        remedy = f"add {stem}.yaml or {stem}.txt, or remove it"
        return _partnerless(self.context.snapshot, self.image, awaited, "instruction", remedy)

    def _companions(self, wanted: Wanted) -> tuple[Seen, ...]:
        named = (self.context.folder.images_named(name) for name in wanted.companions)
        return tuple(dict.fromkeys(found[0] for found in named if len(found) == 1))

    def _companion_waits(self, wanted: Wanted) -> Iterator[Wait]:
        for name in wanted.companions:
            found = self.context.folder.images_named(name)
            shown = printable(self.image.beside(name))
            if not found and not self.context.snapshot.rules.final:
                yield Wait(State.HELD, f"waits for {shown}", None)
            if len(found) > 1:
                names = " and ".join(printable(file.path) for file in found)
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
                missing = printable(self.image.beside(name))
                yield Problem(self._where(name), f"{missing} is missing", advice)

    def _where(self, name: str) -> str:
        """The place where a companion is named."""
        said = self.context.snapshot.contents.text(self.sidecars[0]) if self.sidecars else None
        return said.where_named(name) if isinstance(said, Instruction) else "the folder's preset"
