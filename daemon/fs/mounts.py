"""Which file system a path lies on, as the kernel's mount table tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Changes that another machine makes on one of these never reach inotify here.
_SHARE = re.compile(
    r"nfs4?|cifs|smb\w*|fuse(\..+)?|autofs|9p|virtiofs|vboxsf|vmhgfs|prl_fs|ceph|glusterfs"
    r"|afs|ncpfs|coda|lustre|gpfs|beegfs|orangefs|ocfs2|gfs2"
)
_OCTAL = re.compile(r"\\([0-7]{3})")
_TABLE = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mounted file system."""

    point: str  # absolute, as the file system gave it (surrogateescape)
    type: str  # "ext4", "nfs4", "fuse.sshfs"
    device: str  # "8:1"; equal for all paths of one file system
    source: str  # "/dev/sda1", "nas:/hot"

    @property
    def is_share(self) -> bool:
        """Whether other machines may change it unseen."""
        return is_share(self.type)


def is_share(file_system: str) -> bool:
    """Whether a file system of this type may be changed by other machines, unseen by inotify.

    Every FUSE file system counts as one, except fuseblk: a local disk with NTFS or exFAT.
    """
    return _SHARE.fullmatch(file_system) is not None


def parse(table: str) -> tuple[Mount, ...]:
    """Read the text of /proc/self/mountinfo, see proc(5); lines without sense are left out."""
    return tuple(_mounts(table.split("\n")))


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that an absolute path without links lies on; of several on one point the last."""
    found: Mount | None = None
    for mount in mounts:
        if _holds(mount.point, path) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def find_mount(path: Path) -> Mount | None:
    """The mount that a path lies on now; None where the kernel does not say.

    Resolving the path touches it: on a share that does not answer this blocks.
    """
    try:
        table = _TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return mount_of(str(path.resolve()), parse(table))


def _mounts(lines: Iterable[str]) -> Iterator[Mount]:
    for line in lines:
        # Any number of optional fields stands before the lone dash.
        before, dash, after = line.partition(" - ")
        head, tail = before.split(" "), after.split(" ")
        if dash and len(head) >= 6 and len(tail) >= 2:
            yield Mount(
                point=_unescape(head[4]),
                type=_unescape(tail[0]),
                device=head[2],
                source=_unescape(tail[1]),
            )


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
