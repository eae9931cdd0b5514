"""What an error of the operating system on a share means for the jobs on it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from daemon.files import is_temporary
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


NOT_LOOKED_AT = "not looked at yet"  # the reason of a hot folder before its first look

_FIRST_REST_SECONDS = 1.0
_LONGEST_REST_SECONDS = 60.0
_LONGEST_REST_ONCE_SECONDS = 5.0  # somebody waits for the end


@dataclass(frozen=True, slots=True)
class Trouble:
    """A hot folder cannot be used now; it is tried again, and no job is blamed."""

    state: FolderState
    reason: str


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
    if error.errno in _GONE:
        return Trouble(FolderState.OFFLINE, f"the share is not there ({words})")
    return Trouble(FolderState.OFFLINE, words)


def is_of_the_share(error: OSError) -> bool:
    """Whether an error says that a share is away, and nothing about what lies on it."""
    return error.errno in _GONE - {errno.ENOENT, errno.ENOTDIR}


def rest_seconds(failures: int, *, once: bool) -> float:
    """How long a hot folder is left alone after so many tries in a row that failed, from 1 on."""
    longest = _LONGEST_REST_ONCE_SECONDS if once else _LONGEST_REST_SECONDS
    doublings = min(failures - 1, 10)
    return min(_FIRST_REST_SECONDS * 2.0**doublings, longest)


def _place(error: OSError, root: Path) -> str:
    if not isinstance(error.filename, str):
        return str(root)
    path = Path(error.filename)
    # Every try has a temporary name of its own; the trouble is the folder's, and the same.
    return str(path.parent if is_temporary(path.name) else path)
