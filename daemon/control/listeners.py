"""Where daemons of this machine listen for commands, and whether who listens there is one.

Whoever may write to a share may write a lease that names any socket, so one that is known only by
a lease gets no command before who listens there is known to be the daemon.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.control.protocol import short_address, socket_file
from daemon.fs.local_dirs import LocalDirs, folders_of_services
from daemon.lease import owner
from daemon.lease.owner import Owner

_NAME = re.compile(r"control-[0-9a-f]{16}\.sock")
_CREDENTIALS = struct.Struct("3i")  # process, user, group: unix(7)


class NotTheDaemon(Exception):  # noqa: N818 - no error of ours: somebody else listens
    """Who listens is not who leads by the lease. Says who, in words."""


@dataclass(frozen=True, slots=True)
class NearSocket:
    """A socket in a folder of our own, or of a service of this machine."""

    file: Path

    def connect(self, connection: socket.socket) -> None:
        """Connect to who listens; raises OSError."""
        with short_address(self.file.parent, self.file.name) as address:
            connection.connect(address)


def near(local_dirs: LocalDirs, root: Path) -> Iterator[NearSocket]:
    """Where a daemon listens under the path of its hot folder; the share is not touched."""
    folders = (local_dirs.control, *folders_of_services())
    return (NearSocket(socket_file(folder, root)) for folder in dict.fromkeys(folders))


@dataclass(frozen=True, slots=True)
class LeaderSocket:
    """The socket that a lease names."""

    leader: Owner  # by the lease; of this machine
    me: Owner
    keeper: int  # the number of the user whom the hot folder belongs to

    @property
    def file(self) -> Path:
        """The socket."""
        return Path(self.leader.socket or "")

    def connect(self, connection: socket.socket) -> None:
        """Connect to who listens; raises OSError, and NotTheDaemon before a word is sent."""
        with _opened(self.file) as address:
            connection.connect(address)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process, user, _ = _CREDENTIALS.unpack(raw)
        if not owner.may_be(self.leader, process, self.me):
            message = f"process {process} listens where the lease names process {self.leader.pid}"
            raise NotTheDaemon(message)
        if (
            user not in (0, os.geteuid(), self.keeper)
            and self.file.parent not in folders_of_services()
        ):
            message = f"it is of user {user}, and the hot folder of user {self.keeper}"
            raise NotTheDaemon(message)


@contextmanager
def _opened(file: Path) -> Iterator[str]:
    """An address of the socket itself, no link in its place; raises NotTheDaemon for others."""
    if not file.is_absolute() or not _NAME.fullmatch(file.name) or "\0" in str(file):
        message = "its lease names no socket of a daemon"
        raise NotTheDaemon(message)
    opened = os.open(file, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(opened).st_mode):
            message = "its lease names a file that is no socket"
            raise NotTheDaemon(message)
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)
