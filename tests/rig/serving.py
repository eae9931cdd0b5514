"""A stand-in for a NAS share: serves a folder through FUSE, and fails or hangs as it is told.

python serving.py BACKING MOUNT RULES HELD STALE_SECONDS

What is written into BACKING directly is a remote write: it shows in MOUNT, and no inotify event
fires there. RULES is read at each call; each of its lines is a rule of three words:

    OPERATIONS PATHS WISH

OPERATIONS are names as below, by commas, or `*`; PATHS is a pattern of fnmatch for the path in the
share (a `*` in it matches slashes too; the path begins with one). WISH is

    ESTALE, EIO, …  the call fails with it
    HANG            the call hangs until the rule goes away; a caller that is killed gets free, as
                    it does on NFS and SMB
    STUCK           the same, but the caller cannot be killed: it waits in state D

The first rule that fits counts. Each call that hangs is a line in HELD: operation and path.
STALE_SECONDS is how long the kernel believes old attributes: 3 is like an NFS mount, where a
growing file seems to rest.
"""

import errno
import os
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import mfusepy

_TIMES = ("st_atime", "st_mtime", "st_ctime")
_PLAIN = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_dev")


class Share(mfusepy.Operations):  # type: ignore[misc] # it has no types
    """Passes every operation on to the folder behind, as the rules allow."""

    use_ns = True

    def __init__(self, backing: str, rules: Path, held: Path) -> None:
        self._backing, self._rules, self._held = backing, rules, held
        self._a_moment = threading.Event()  # never set

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        status = os.fstat(fh) if fh is not None else self._real("getattr", path).lstat()
        times = {name: getattr(status, f"{name}_ns") for name in _TIMES}
        return {**{name: getattr(status, name) for name in _PLAIN}, **times}

    def readdir(self, path: str, _fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        with os.scandir(self._real("readdir", path)) as entries:
            # Names without an inode number would not be shown.
            yield from ((entry.name, {"st_ino": entry.inode()}, 0) for entry in entries)

    def create(self, path: str, mode: int, _fi: object = None) -> int:
        return os.open(self._real("create", path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path: str, flags: int) -> int:
        return os.open(self._real("open", path), flags & ~os.O_APPEND)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._real("read", path)
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._real("write", path)
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, _fh: int | None = None) -> None:
        os.truncate(self._real("truncate", path), length)

    def fsync(self, path: str, _datasync: int, fh: int) -> None:
        self._real("fsync", path)
        os.fsync(fh)

    def fsyncdir(self, path: str, _datasync: int, _fh: int) -> None:
        self._real("fsyncdir", path)

    def release(self, _path: str, fh: int) -> None:
        os.close(fh)

    def rename(self, old: str, new: str, _flags: int = 0) -> None:
        self._real("rename", old).rename(self._backing + new)

    def link(self, new: str, old: str) -> None:
        os.link(self._real("link", old), self._backing + new, follow_symlinks=False)

    def symlink(self, new: str, target: str) -> None:
        self._real("symlink", new).symlink_to(target)

    def readlink(self, path: str) -> str:
        return os.fspath(self._real("readlink", path).readlink())

    def unlink(self, path: str) -> None:
        self._real("unlink", path).unlink()

    def mkdir(self, path: str, mode: int) -> None:
        self._real("mkdir", path).mkdir(mode)

    def rmdir(self, path: str) -> None:
        self._real("rmdir", path).rmdir()

    def chmod(self, path: str, mode: int) -> None:
        self._real("chmod", path).chmod(mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(self._real("chown", path), uid, gid, follow_symlinks=False)

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        os.utime(self._real("utimens", path), ns=times, follow_symlinks=False)

    def statfs(self, path: str) -> dict[str, int]:
        status = os.statvfs(self._real("statfs", path))
        names = (name for name in dir(status) if name.startswith("f_") and name != "f_fsid")
        return {name: getattr(status, name) for name in names}

    def _real(self, operation: str, path: str) -> Path:
        """The path in the folder behind, when the rules let the call through."""
        is_held = False
        while (wish := self._wish(operation, path)) in ("HANG", "STUCK"):
            if not is_held:
                is_held = True
                with self._held.open("a") as held:
                    held.write(f"{operation} {path}\n")
            if wish == "HANG" and mfusepy._libfuse.fuse_interrupted():
                raise mfusepy.FuseOSError(errno.EINTR)
            self._a_moment.wait(0.02)
        if wish:
            raise mfusepy.FuseOSError(getattr(errno, wish))
        return Path(self._backing + path)

    def _wish(self, operation: str, path: str) -> str:
        for operations, paths, wish in self._read():
            is_meant = operations == "*" or operation in operations.split(",")
            if is_meant and fnmatchcase(path, paths):
                return wish
        return ""

    def _read(self) -> Iterator[list[str]]:
        try:
            yield from map(str.split, self._rules.read_text().splitlines())
        except FileNotFoundError:
            return


def serve(backing: str, mount: str, rules: str, held: str, stale_seconds: str) -> None:
    """Serve until unmounted."""
    mfusepy.FUSE(
        Share(backing, Path(rules), Path(held)),
        mount,
        foreground=True,
        use_ino=True,  # two names of one file have one number
        fsname="share",
        subtype="sharerig",
        attr_timeout=float(stale_seconds),
        entry_timeout=float(stale_seconds),
        negative_timeout=0,
    )


if __name__ == "__main__":
    serve(*sys.argv[1:])
