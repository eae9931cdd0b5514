"""A failed job is tried again: its originals go back to where they came from in the inbox."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from config import codec
from config.problems import Problem, UserError
from daemon.clock import day_of
from daemon.fs.names import (
    Kind,
    is_base_name,
    is_hidden,
    is_path_below,
    kind_of,
    numbered,
    pair_key,
    printable,
)
from daemon.job import Job, JobFile, Role
from daemon.spool.giving_back import twins_in
from daemon.spool.records import ClaimTicket
from daemon.spool.spool import REPORT, WHY, Spool

_OUR_FILES = (WHY, REPORT)
_DEPTH = 3  # failed, the day, the job


@dataclass(frozen=True, slots=True, kw_only=True)
class _OriginalFile:
    role: Role
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _FailureOrigin:
    """What a report says of where the files of its job came from; empty where it says nothing."""

    folder: str = ""  # of the inbox
    roles: Mapping[str, Role]  # by the names that they had there


def requeue(spool: Spool, folder: Path, ticket: ClaimTicket) -> tuple[str, ...]:
    """Move the originals of a folder of failed/ back, and remove its records; gives their paths.

    What was interrupted may be called again, and goes on; no paths: nothing was left to move.
    Raises UserError where that is no folder of a failed job.
    """
    stored = _originals(spool, folder)
    _require_originals(spool, folder)
    paths: tuple[str, ...] = ()
    if stored:
        origin = _origin(spool, folder)
        names = _first_names(stored, origin)
        job = _job(origin, tuple(names.values()), ticket)
        sources = {name: there for there, name in names.items()}
        companions = (it.name for it in job.files if it.role is Role.COMPANION)
        references = {name: folder / sources[name] for name in companions}
        whose = f"that in {printable(str(folder.relative_to(spool.root)))}"
        twins = twins_in(spool.tree, spool.inbox / job.folder, references, whose)
        for name in twins:
            spool.keep(folder / sources[name], job.folder, day_of(ticket.claimed_at))
        job = replace(job, files=tuple(it for it in job.files if it.name not in twins))
        # The picture last: alone in the inbox it might be edited by a preset of the folder.
        spool.adopt(job, folder, [(sources[it.name], it.name) for it in reversed(job.files)])
        paths = spool.release(job)
    spool.remove_records(folder)
    return paths


def _originals(spool: Spool, folder: Path) -> tuple[str, ...]:
    """The files in the folder of a failed job that are not records of ours."""
    shown = printable(str(folder))
    below = folder.relative_to(spool.root).parts if folder.is_relative_to(spool.root) else ()
    if len(below) != _DEPTH or below[0] != "failed" or not all(map(is_base_name, below)):
        advice = "name a folder of one failed job: failed/DAY/NAME"
        raise UserError([Problem(shown, "is no folder of a failed job", advice)])
    try:
        entries = spool.tree.entries(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        advice = "look for it in failed/; perhaps it was tried again already"
        raise UserError([Problem(shown, "is not there", advice)]) from error
    return tuple(
        name
        for name, status in entries
        if stat.S_ISREG(status.st_mode) and name not in _OUR_FILES and not is_hidden(name)
    )


def _require_originals(spool: Spool, folder: Path) -> None:
    """Raise UserError where a result lies that somebody has rejected: it is no original."""
    with contextlib.suppress(OSError, ValueError):
        report = codec.parse(spool.tree.read(folder / REPORT))
        if codec.at(str | None, report, "rejected", "result"):
            shown = printable(str(folder.relative_to(spool.root)))
            advice = "have its picture edited anew: hotfolder again, with the result there"
            raise UserError([Problem(shown, "holds a result that was rejected", advice)])


def _origin(spool: Spool, folder: Path) -> _FailureOrigin:
    """Where the files came from; whoever may write to the share may have written the report."""
    try:
        report = codec.parse(spool.tree.read(folder / REPORT))
        home = codec.at(str, report, "came_from", "folder")
        files = codec.at(tuple[_OriginalFile, ...], report, "came_from", "files")
    except (OSError, ValueError):
        return _FailureOrigin(roles={})
    roles = {file.name: file.role for file in files}
    is_ours = is_path_below(home) and all(map(is_base_name, roles))
    if not is_ours or any(map(is_hidden, filter(None, home.split("/")))):
        return _FailureOrigin(roles={})
    return _FailureOrigin(folder=home, roles=roles)


def _first_names(stored: tuple[str, ...], origin: _FailureOrigin) -> dict[str, str]:
    """The name that each file had in the inbox: a user's own WHY.txt lies here as WHY_2.txt."""
    left, names = list(stored), {}
    for name in origin.roles:
        for there in _likely(name, len(stored)):
            if there in left:
                left.remove(there)
                names[there] = name
                break
    for there in left:
        taken = set(map(pair_key, names.values()))  # on some shares "A.png" is "a.png"
        names[there] = next(it for it in numbered(there) if pair_key(it) not in taken)
    return names


def _likely(name: str, files: int) -> Iterator[str]:
    candidates = numbered(name)
    return (next(candidates) for _ in range(files + len(_OUR_FILES)))


def _job(origin: _FailureOrigin, names: tuple[str, ...], ticket: ClaimTicket) -> Job:
    """The job to give back."""
    files = [
        JobFile(role=_role(name, origin), name=name, moved=True, sha256="", size=0)
        for name in names
    ]
    files.sort(key=lambda file: list(Role).index(file.role))
    return ticket.job(origin.folder, tuple(files))


def _role(name: str, origin: _FailureOrigin) -> Role:
    """What a file was to its job; one that was added since is what its name says."""
    match kind_of(name):
        case _ if name in origin.roles:
            return origin.roles[name]
        case Kind.SIDECAR:
            return Role.SIDECAR
        case Kind.IMAGE if not origin.roles:
            return Role.IMAGE
        case _:
            return Role.COMPANION
