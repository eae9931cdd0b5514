"""What an error of the operating system means, and for whom: what was being touched decides."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.fs.local import is_temporary
from daemon.fs.names import printable
from daemon.job import FolderState

_GONE = {
    errno.ESTALE,
    errno.EIO,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ETIMEDOUT,
    errno.ENODEV,
    errno.ENXIO,
    errno.EREMOTEIO,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ENOENT,
    errno.ENOTDIR,
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
# What says the same until somebody mends it; the others may pass by themselves.
_LASTING = _DENIED | {
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.EXDEV,
    errno.ENAMETOOLONG,
}
_OF_ONE_FILE = _DENIED | {
    errno.EIO,
    errno.EBADMSG,
    errno.EUCLEAN,
    errno.EINVAL,
    errno.EOVERFLOW,
    errno.EOPNOTSUPP,
    errno.ENODATA,
    errno.ENOKEY,
}
_AREAS = frozenset(("inbox", "outbox", "review", "done", "failed"))
_LOGS = frozenset((("logs",), (".hotfolder", "filed")))
_WORK = (".hotfolder", "work")

NOT_LOOKED_AT = "not looked at yet"  # the reason of a hot folder before its first look

_FIRST_REST_SECONDS = 1.0
_LONGEST_REST_SECONDS = 60.0
_LONGEST_REST_ONCE_SECONDS = 5.0  # somebody waits for the end


@dataclass(frozen=True, slots=True)
class Trouble:
    """A hot folder cannot be used now; it is tried again, and no job is blamed."""

    state: FolderState
    reason: str


class Scope(StrEnum):
    """Who has to bear an error; the wider ones come later."""

    JOB = "job"  # it waits, is held or fails, and the hot folder goes on
    LOG = "log"  # nobody's work depends on it: it is told once
    FOLDER = "folder"  # nothing can be done there until it is mended
    MACHINE = "machine"  # what all hot folders share: local scratch


def scope_of(error: OSError, root: Path) -> Scope:
    """Say whose an error met at work under `root` is, by what was touched, whatever it says.

    A job's is one at a name of its own: as long as the hot folder itself works, which the same
    error at the same place does not tell. Where two names were touched, the wider scope counts.
    """
    scopes = [_scope_at(path, root) for path in _touched(error)]
    return max(scopes, key=list(Scope).index, default=Scope.FOLDER)


def is_of_a_log(error: OSError, root: Path) -> bool:
    """Whether an error hinders a log alone: the share is there, and has room."""
    is_of_it = is_lasting(error) or error.errno == errno.EIO
    return is_of_it and scope_of(error, root) is Scope.LOG


def areas_of(error: OSError, root: Path) -> tuple[Path, ...]:
    """The folders of the hot folder itself that a job's error was met below."""
    parts = (path.relative_to(root).parts for path in _touched(error))
    return tuple(
        dict.fromkeys(root.joinpath(*it[: 1 if it[0] in _AREAS else len(_WORK)]) for it in parts)
    )


def is_lasting(error: OSError) -> bool:
    """Whether an error stays until somebody mends what it was met at."""
    return error.errno in _LASTING


def _touched(error: OSError) -> list[Path]:
    names = (error.filename, error.filename2)
    return [Path(name) for name in names if isinstance(name, str | Path)]


def _scope_at(path: Path, root: Path) -> Scope:
    if not path.is_relative_to(root):
        return Scope.MACHINE
    parts = (path.parent if is_temporary(path.name) else path).relative_to(root).parts
    if parts[:1] in _LOGS or parts[:2] in _LOGS:
        return Scope.LOG
    is_in_an_area = len(parts) > 1 and parts[0] in _AREAS
    is_in_work = len(parts) > len(_WORK) and parts[: len(_WORK)] == _WORK
    return Scope.JOB if is_in_an_area or is_in_work else Scope.FOLDER


def words_of(error: OSError, root: Path) -> tuple[str, str]:
    """What is wrong with what belongs to one job, and what to do about it."""
    where = Path(_place(error, root))
    # By its path in the hot folder: that is what whoever looks for it sees.
    name = where.relative_to(root) if where.is_relative_to(root) else where
    what = f"{printable(str(name))}: {error.strerror or error}"
    if error.errno in _FULL:
        return what, "make room there"
    if error.errno in _DENIED:
        return what, "give the daemon's user the right to read, write and rename there"
    if error.errno == errno.ENAMETOOLONG:
        return what, "give its folders shorter names"
    return what, "see to it that files can be read and written there"


def trouble_of(error: OSError, root: Path) -> Trouble:
    """Say what an error met under `root` means; errors that no rule knows count as offline."""
    where = _place(error, root)
    words = f"{where}: {error.strerror or error}"
    if error.errno in _FULL:
        return Trouble(FolderState.LOW_SPACE, f"{words}; make room there, the work then goes on")
    if error.errno in _DENIED:
        advice = "give the daemon's user the right to read, write and rename there"
        return Trouble(FolderState.OFFLINE, f"{words}; {advice}")
    if error.errno == errno.ENOTDIR and Path(where).is_relative_to(root) and where != str(root):
        advice = "put a folder of its own there, Hotfolder follows no links"
        return Trouble(FolderState.OFFLINE, f"{where} is a link or a file; {advice}")
    if error.errno in _GONE and scope_of(error, root) is not Scope.MACHINE:
        return Trouble(FolderState.OFFLINE, f"the share is not there ({words})")
    return Trouble(FolderState.OFFLINE, words)


def is_of_the_share(error: OSError) -> bool:
    """Whether an error says that a share is away, and nothing about what lies on it."""
    return error.errno in _GONE - {errno.ENOENT, errno.ENOTDIR}


def is_of_one_file(error: OSError) -> bool:
    """Whether an error met at the content of a file says nothing of what lies beside it."""
    return error.errno in _OF_ONE_FILE


def rest_seconds(failures: int, *, once: bool) -> float:
    """How long a hot folder is left alone after so many tries in a row that failed, from 1 on."""
    longest = _LONGEST_REST_ONCE_SECONDS if once else _LONGEST_REST_SECONDS
    doublings = min(failures - 1, 10)
    return min(_FIRST_REST_SECONDS * 2.0**doublings, longest)


def _place(error: OSError, root: Path) -> str:
    if not isinstance(error.filename, str | Path):
        return str(root)
    path = Path(error.filename)
    # Every try has a temporary name of its own; the trouble is the folder's, and the same.
    return str(path.parent if is_temporary(path.name) else path)
