"""A failed job is tried again: its originals go back to where they came from in the inbox."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config import codec
from config.problems import Problem, UserError
from daemon.fs.names import (
    Kind,
    is_base_name,
    is_hidden,
    is_path_below,
    kind_of,
    numbered,
    printable,
)
from daemon.job import Job, JobFile, Role
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
    paths: tuple[str, ...] = ()
    if stored:
        origin = _origin(spool, folder)
        names = _first_names(stored, origin)
        copies = set(_copies(spool, folder, origin, names))
        job = _job(origin, tuple(names.values()), copies, ticket)
        # The picture last: alone in the inbox it might be edited by a preset of the folder.
        sources = {name: there for there, name in names.items()}
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
    taken = set(names.values())
    return {**names, **{it: it for it in left if it not in taken}}


def _likely(name: str, files: int) -> Iterator[str]:
    candidates = numbered(name)
    return (next(candidates) for _ in range(files + len(_OUR_FILES)))


def _copies(
    spool: Spool, folder: Path, origin: _FailureOrigin, names: Mapping[str, str]
) -> Iterator[str]:
    """The names of files that lie in the inbox too, with the same content: others needed them."""
    home = spool.inbox / origin.folder
    for there, name in names.items():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if spool.tree.sha256_of(home / name) == spool.tree.sha256_of(folder / there):
                yield name


def _job(
    origin: _FailureOrigin, names: tuple[str, ...], copies: Container[str], ticket: ClaimTicket
) -> Job:
    """The job to give back; no copy of what lies in the inbox goes there a second time."""
    roles = {name: _role(name, origin) for name in names}
    files = [
        JobFile(
            role=role,
            name=name,
            moved=role is Role.IMAGE or name not in copies,
            sha256="",
            size=0,
        )
        for name, role in roles.items()
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
