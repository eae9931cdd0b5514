"""Opening a file of the inbox: only what was seen, never a link, never waiting for anybody."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import signal
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from daemon.fs.dirfd import DirEntryAt, DirWalker, has_other_names
from daemon.fs.errors import is_of_one_file
from daemon.inbox.settle import Unread, Unreadable
from daemon.job import Seen

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Taken away or replaced since it was seen; or in use: what SMB and leases say of an open file.
_NOT_NOW = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENXIO,
        errno.EBUSY,
        errno.ETXTBSY,
        errno.EAGAIN,
    )
)


class Opener(Protocol):
    """Opens a name in a folder that is held, as `os.open` does."""

    def __call__(self, path: str, flags: int, *, dir_fd: int) -> int:
        """Give the descriptor; raises OSError."""
        ...


def open_seen(
    inbox: Path, seen: Seen, opener: Opener = os.open, *, is_local: bool
) -> BinaryIO | Unread:
    """Open a file that is still what was seen and that, on a local disk, nobody writes to.

    What the share does wrong is raised as OSError.
    """
    path = inbox / seen.path
    try:
        with DirWalker(inbox.parent).folder(path.parent) as folder:
            try:
                descriptor = opener(path.name, _FLAGS, dir_fd=folder)
            except PermissionError:
                status = DirEntryAt(folder, path).status()
                return Unreadable(_forbidden(status), is_lasting=True)
    except OSError as error:
        error.filename = str(path)
        if error.errno in _NOT_NOW:
            return Unread()
        return unreadable(error)
    stream = os.fdopen(descriptor, "rb")
    try:
        status = os.fstat(descriptor)
    except OSError:
        stream.close()
        raise
    # On NFS opening asks the server, so this is fresher than what the scan was told.
    is_it = stat.S_ISREG(status.st_mode) and _is_same(status, seen)
    if is_it and not (is_local and has_writer(descriptor)):
        return stream
    stream.close()
    return Unread()


def unreadable(error: OSError) -> Unreadable:
    """What an error met at one file makes of it; raises it where it says more of the share."""
    if not is_of_one_file(error):
        raise error
    words = f"cannot be read ({error.strerror}): it is tried again; where that lasts,"
    return Unreadable(f"{words} copy it into the inbox anew", isinstance(error, PermissionError))


def _is_same(status: os.stat_result, seen: Seen) -> bool:
    is_same = (status.st_size, status.st_mtime_ns) == (seen.size, seen.mtime_ns)
    return is_same and not has_other_names(status)


def _forbidden(status: os.stat_result) -> str:
    owner, mode = _user(status.st_uid), stat.S_IMODE(status.st_mode)
    return (
        f"cannot be read by {_user(os.geteuid())}: it belongs to {owner} and has mode {mode:04o};"
        " give the daemon the right to read it (chmod a+r)"
    )


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:
        return f"uid {number}"


def has_writer(descriptor: int) -> bool:
    """Whether any process has this file open for writing, as far as we are told.

    The descriptor must be open for reading alone, the file on a local disk: of a share the kernel
    knows our own machine at most. Of files that are not ours only root is told; then False.
    """
    # A lease that is granted means that there is no writer; it is given back at once. Who opens
    # the file in between waits for that, and we get a signal: SIGIO, unless told otherwise, which
    # would end us.
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
