"""What lies in an inbox at one moment; links are never followed, nothing is opened or changed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.fs.dirfd import DirWalker, has_other_names
from daemon.fs.errors import is_of_one_file, is_of_the_share
from daemon.fs.names import Kind, kind_of
from daemon.job import Listing, Seen, SkippedEntry

# Taken away, or replaced by something else, since its name was read.
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ANOTHER_NAME = "a file with a second name elsewhere (a hard link): copy it here instead"


def scan(inbox: Path, *, trust_inodes: bool) -> Listing:
    """List every file that has a meaning, in the order of the paths.

    Hidden names are not in it, hidden folders are not entered. Raises OSError where the inbox
    itself, or the share that it lies on, cannot be read.
    """
    return _Scan(inbox, trust_inodes=trust_inodes).listing()


class _Scan:
    def __init__(self, inbox: Path, *, trust_inodes: bool) -> None:
        self._inbox = inbox
        self._walker = DirWalker(inbox.parent)
        self._trust_inodes = trust_inodes
        self._files: list[Seen] = []
        self._odd: list[SkippedEntry] = []
        self._folders: list[str] = []  # found, not yet looked into
        self._is_in_doubt = False  # whether an error may be more than of one name

    def listing(self) -> Listing:
        with self._entries(self._inbox) as entries:
            self._take(entries, "")
        while self._folders:
            self._look_into(self._folders.pop())
        if self._is_in_doubt:  # of a share mounted there, or a part of the disk: or of all
            with self._entries(self._inbox) as entries:
                next(entries, None)
        return Listing(tuple(sorted(self._files)), tuple(sorted(self._odd)))

    def _look_into(self, folder: str) -> None:
        try:
            with self._entries(self._inbox / folder) as entries:
                self._take(entries, f"{folder}/")
        except OSError as error:
            if self._is_its_own(error):
                what = f"a folder that cannot be read ({error.strerror})"
                self._odd.append(SkippedEntry(folder, what))

    def _is_its_own(self, error: OSError) -> bool:
        """Whether an error is of one name; False where that is gone, raised where it is wider."""
        if error.errno in _GONE:
            return False
        is_too_long = error.errno == errno.ENAMETOOLONG
        if not (is_too_long or is_of_one_file(error) or is_of_the_share(error)):
            raise error
        self._is_in_doubt |= not isinstance(error, PermissionError)
        return True

    def _take(self, entries: Iterator[os.DirEntry[str]], parent: str) -> None:
        for entry in entries:
            kind = kind_of(entry.name)
            if kind is not Kind.HIDDEN:
                self._take_one(entry, kind, f"{parent}{entry.name}")

    def _take_one(self, entry: os.DirEntry[str], kind: Kind, path: str) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            if self._is_its_own(error):
                self._odd.append(SkippedEntry(path, f"cannot be looked at ({error.strerror})"))
            return
        if stat.S_ISREG(status.st_mode) and has_other_names(status):
            self._odd.append(SkippedEntry(path, _ANOTHER_NAME))
        elif stat.S_ISREG(status.st_mode):
            self._files.append(self._seen(path, status))
        elif stat.S_ISDIR(status.st_mode) and kind in (Kind.UNSUPPORTED, Kind.CANCEL):
            self._folders.append(path)
        else:
            self._odd.append(SkippedEntry(path, _what(status.st_mode, kind)))

    def _seen(self, path: str, status: os.stat_result) -> Seen:
        inode = status.st_ino if self._trust_inodes else 0
        return Seen(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)

    @contextmanager
    def _entries(self, folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        # By its descriptor: the folder that was checked is the folder that is read.
        with self._walker.folder(folder) as held:
            descriptor = os.open(".", _OPEN_FOLDER, dir_fd=held)
        try:
            with os.scandir(descriptor) as entries:
                yield entries
        finally:
            os.close(descriptor)


def _what(mode: int, kind: Kind) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISSOCK(mode):
        return "a socket"
    if stat.S_ISDIR(mode):
        article = "an" if kind is Kind.SIDECAR else "a"
        return f"a folder with the name of {article} {kind}"
    return "a device"
