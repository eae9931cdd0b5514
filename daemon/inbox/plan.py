"""From the files of an inbox to its plan: what each waits for, what is ready, in what order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from daemon.fs.names import conversion, printable
from daemon.inbox.cancel_files import cancel_file_state
from daemon.inbox.grouping import FileGroups, group_files
from daemon.inbox.reader import Broken
from daemon.inbox.readiness import (
    FolderContext,
    Needs,
    folder_context,
    judge,
    planned_job,
    problems_so_far,
    references,
)
from daemon.inbox.settle import InboxSnapshot, Wait
from daemon.job import Candidate, FileState, Ignored, Listing, Plan, PlannedJob, Seen, State

_DIGITS = re.compile(r"(\d+)")
_NAMED_AT_MOST = 3


def plan_inbox(listing: Listing, snapshot: InboxSnapshot) -> Plan:
    """Say what every file waits for, which jobs are ready, and when that may change by itself."""
    records = snapshot.contents.own_reports()
    folders = list(group_files(file for file in listing.files if file not in records))
    presets = {folder.path: folder.presets for folder in folders}
    plans = [
        plan_folder(folder_context(folder, _inherited(folder.path, presets), snapshot))
        for folder in folders
    ]
    found = Plan(
        states=tuple(state for part in plans for state in part.states),
        ignored=(*_unsupported(folders), *_odd(listing), *map(_own_report, records)),
        ready=tuple(sorted((it for part in plans for it in part.ready), key=_turn)),
        needed_by={path: needers for part in plans for path, needers in part.needed_by.items()},
        scan_again_at=min((until for part in plans for until in part.untils), default=None),
        cancels=tuple(cancel for folder in folders for cancel in folder.cancels),
        own_reports=tuple(records),
        jobs={path: job for part in plans for path, job in part.jobs.items()},
    )
    cancel_states = tuple(cancel_file_state(cancel, found) for cancel in found.cancels)
    return replace(found, states=(*found.states, *cancel_states)) if cancel_states else found


def preset_chain(folder: str) -> Iterator[str]:
    """The folders whose presets hold for a folder: the inbox first, itself last."""
    yield ""
    parts = folder.split("/") if folder else []
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def _inherited(folder: str, presets: Mapping[str, tuple[Seen, ...]]) -> tuple[Seen, ...]:
    return tuple(preset for path in preset_chain(folder) for preset in presets.get(path, ()))


def _unsupported(folders: Iterable[FileGroups]) -> Iterator[Ignored]:
    for folder in folders:
        for file in folder.unsupported:
            yield Ignored(file.path, conversion(file.name))


def _odd(listing: Listing) -> Iterator[Ignored]:
    return (Ignored(odd.path, f"{odd.what}: left alone") for odd in listing.odd)


def _own_report(record: Seen) -> Ignored:
    return Ignored(record.path, "Hotfolder's own note on an earlier failure, no input")


def _turn(candidate: Candidate) -> tuple[int, float, list[tuple[int, str]], str]:
    """Where a candidate comes in the queue: urgent, then early, then img2 before img10."""
    path = candidate.image.path
    return (-candidate.priority, candidate.since, _natural(path), path)


def _natural(path: str) -> list[tuple[int, str]]:
    pieces = _DIGITS.split(path.casefold())
    return [(int(piece), "") if index % 2 else (0, piece) for index, piece in enumerate(pieces)]


Judgement = Wait | Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlan:
    """What a plan says about one folder."""

    states: tuple[FileState, ...]
    ready: tuple[Candidate, ...]
    needed_by: Needs
    jobs: Mapping[str, PlannedJob]
    untils: tuple[float, ...]  # monotonic seconds when some wait may end by itself


def plan_folder(context: FolderContext) -> FolderPlan:
    """Say what every file of a folder waits for."""
    needs = references(context)
    standings = {image: _stand(context, image, needs) for image in context.folder.images}
    texts = (*context.folder.sidecars, *context.folder.presets)
    waits = {
        text: next(context.snapshot.text_waits(text), None) or _lone(context, text)
        for text in texts
    }
    ends = (it.until for it in (*standings.values(), *waits.values()) if isinstance(it, Wait))
    return FolderPlan(
        states=tuple(_states(context, standings, waits)),
        ready=tuple(it for it in standings.values() if isinstance(it, Candidate)),
        needed_by=_needed_by(context, needs),
        jobs={image.path: job for image in standings if (job := planned_job(context, image))},
        untils=tuple(end for end in ends if end is not None),
    )


def _stand(context: FolderContext, image: Seen, needs: Needs) -> Judgement:
    needers = needs.get(image.path)
    if needers is None or context.folder.sidecars_of[image.path]:
        return judge(context, image)
    names = sorted(printable(path.rpartition("/")[2]) for path in needers)
    more = len(names) - _NAMED_AT_MOST
    shown = ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
    pending = next(context.snapshot.picture_waits(image), None)
    if pending is None:
        return Wait(State.REFERENCE, f"reference of {shown}", None)
    return Wait(State.REFERENCE, f"reference of {shown}; {pending.reason}", pending.until)


def _needed_by(context: FolderContext, needs: Needs) -> Needs:
    served = context.folder.images_of.items()
    sidecars = {path: frozenset(image.path for image in images) for path, images in served}
    return {**sidecars, **needs}


def _states(
    context: FolderContext, standings: Mapping[Seen, Judgement], waits: Mapping[Seen, Wait | None]
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


def _image(context: FolderContext, image: Seen, standing: Judgement) -> FileState:
    match standing:
        case Wait(state, reason):
            return FileState(image.path, state, reason, problems_so_far(context, image))
        case Candidate(problems=()):
            return FileState(image.path, State.READY, "ready")
        case Candidate(problems=problems):
            return FileState(image.path, State.READY, "ready, but it will fail", problems)


def _text(
    context: FolderContext, text: Seen, wait: Wait | None, images: Mapping[Seen, FileState]
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
            f"with {printable(partner.path.rpartition('/')[2])}: {partner.reason}",
        )
    better = context.folder.outranked[text.path]
    return State.WAITING_SIDECAR, f"not used: {printable(better.name)} goes before it"


def _lone(context: FolderContext, text: Seen) -> Wait | None:
    """The wait of a sidecar for its image; None where one is there, or another goes before it."""
    folder, snapshot = context.folder, context.snapshot
    if text in folder.presets or text.path in folder.images_of or text.path in folder.outranked:
        return None
    since = snapshot.watched[text]
    until, when = since + snapshot.rules.sidecar_wait_seconds, snapshot.clock(since)
    if snapshot.now < until:
        return Wait(State.WAITING_SIDECAR, f"waits for its image since {when}", until)
    reason = f"no image has come since {when}: add one of its name, or take it away"
    return Wait(State.HELD, reason, None)


def _preset(context: FolderContext, preset: Seen) -> tuple[State, str]:
    broken = isinstance(context.snapshot.contents.text(preset), Broken)
    if broken or len(context.folder.presets) > 1:
        what = "somebody mends it" if broken else "only one preset is left here"
        return State.HELD, f"holds up the images here and below until {what}"
    return State.SEEN, "holds for the images here and below"
