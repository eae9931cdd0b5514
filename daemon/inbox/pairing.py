"""Which files of an inbox are whole and belong together: what each waits for, what is ready."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from daemon.inbox.cancels import state_of
from daemon.inbox.folder import Folder, sort_out
from daemon.inbox.names import conversion
from daemon.inbox.planning import plan_folder
from daemon.inbox.scene import scene_of
from daemon.inbox.settling import Moment, Rules, look
from daemon.job import Candidate, Ignored, Listing, Plan, Seen

__all__ = ["Moment", "Rules", "chain", "look", "plan"]

_DIGITS = re.compile(r"(\d+)")


def plan(listing: Listing, moment: Moment) -> Plan:
    """Say what every file waits for, which jobs are ready, and when that may change by itself."""
    papers = moment.known.own_papers()
    folders = list(sort_out(file for file in listing.files if file not in papers))
    presets = {folder.path: folder.presets for folder in folders}
    plans = [
        plan_folder(scene_of(folder, _inherited(folder.path, presets), moment))
        for folder in folders
    ]
    found = Plan(
        states=tuple(state for part in plans for state in part.states),
        ignored=(*_unsupported(folders), *_odd(listing), *map(_own_paper, papers)),
        ready=tuple(sorted((it for part in plans for it in part.ready), key=_turn)),
        needed_by={path: needers for part in plans for path, needers in part.needed_by.items()},
        look_again_at=min((until for part in plans for until in part.untils), default=None),
        cancels=tuple(cancel for folder in folders for cancel in folder.cancels),
        own_papers=tuple(papers),
    )
    cancelling = tuple(state_of(cancel, found) for cancel in found.cancels)
    return replace(found, states=(*found.states, *cancelling)) if cancelling else found


def chain(folder: str) -> Iterator[str]:
    """The folders whose presets hold for a folder: the inbox first, itself last."""
    yield ""
    parts = folder.split("/") if folder else []
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def _inherited(folder: str, presets: Mapping[str, tuple[Seen, ...]]) -> tuple[Seen, ...]:
    return tuple(preset for path in chain(folder) for preset in presets.get(path, ()))


def _unsupported(folders: Iterable[Folder]) -> Iterator[Ignored]:
    for folder in folders:
        for file in folder.unsupported:
            yield Ignored(file.path, conversion(file.name))


def _odd(listing: Listing) -> Iterator[Ignored]:
    return (Ignored(odd.path, f"{odd.what}: left alone") for odd in listing.odd)


def _own_paper(paper: Seen) -> Ignored:
    return Ignored(paper.path, "Hotfolder's own note on an earlier failure, no input")


def _turn(candidate: Candidate) -> tuple[int, float, list[tuple[int, str]], str]:
    """Where a candidate comes in the queue: urgent, then early, then img2 before img10."""
    path = candidate.image.path
    return (-candidate.priority, candidate.since, _natural(path), path)


def _natural(path: str) -> list[tuple[int, str]]:
    pieces = _DIGITS.split(path.casefold())
    return [(int(piece), "") if index % 2 else (0, piece) for index, piece in enumerate(pieces)]
