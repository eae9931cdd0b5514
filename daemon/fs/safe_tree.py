"""What we do to the files of a hot folder: a file is whole or absent, and none is overwritten."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from daemon.fs.dirfd import (
    DirEntryAt,
    DirWalker,
    NotRegularFile,
    entries,
    names,
    require_short,
    sync,
)
from daemon.fs.local import CopyResult, copy_hashed, is_temporary, named_as, temporary_name

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
_TRIED_BYTES = 1 << 20
_RECORD_BYTES = 16 << 20  # job.json may hold the names of many files, and a note a whole receipt


def nobody_else() -> None:
    """Nobody but us changes anything there."""


class SafeTree:
    """The files below one root. Paths are absolute; no link on the way or at the end is followed.

    Every method raises OSError with the whole path, NotADirectoryError where a link is on the way.
    """

    def __init__(self, root: Path, fence: Callable[[], None] = nobody_else) -> None:
        """`fence` is called before each change, and raises where it must not be made."""
        self.root = root
        self._walker, self._fence = DirWalker(root), fence

    def held_open(self) -> AbstractContextManager[None]:
        """Enter each folder once until the end of the block, and hold it open; see DirWalker."""
        return self._walker.held_open()

    def make_home(self) -> None:
        """Make what makes the root a hot folder; without it no folder is made there."""
        self._fence()
        self._walker.make_home()

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, and see to it that they survive a power cut."""
        self._fence()
        self._walker.make_folder(folder)

    def make_own_folder(self, folder: Path) -> None:
        """Make a folder that was not there; raises FileExistsError."""
        self._fence()
        with self._walker.dir_entry(folder) as dir_entry:
            dir_entry.make_folder()
            dir_entry.sync()

    def write_whole(self, path: Path, content: bytes) -> None:
        """Write a file so that it is seen whole or not at all, replacing what was there."""
        self._replace(path, lambda stream: stream.write(content))

    def write_passing(self, path: Path, content: bytes) -> None:
        """Write a file so that it is seen whole or not at all, which a power cut may take back.

        For what is written anew before long and tells of a moment: an older text is as good then
        as one of a moment that is over, and a share is spared two waits for its disk each time.
        """
        self._fence()
        with self._walker.dir_entry(path) as dir_entry:
            temporary = dir_entry.beside(temporary_name())
            try:
                with named_as(temporary.path), temporary.create() as stream:
                    stream.write(content)
                self._fence()
                temporary.rename(dir_entry)
            except BaseException:
                temporary.remove()
                raise

    def bring(self, source: Path, folder: Path, names: Iterable[str]) -> str:
        """Copy a local file into a folder under the first free name, whole; returns the name.

        Raises FileExistsError where none of the names is free.
        """
        with (
            source.open("rb") as reader,
            self._appearing(folder / "any") as (writer, it, dir_entry),
        ):
            copy_hashed(reader, writer)
            _finish(writer)
            self._fence()
            return _move(it, dir_entry, names)

    def bring_over(self, source: Path, path: Path) -> None:
        """Copy a local file in place of another, which is seen whole, old or new."""
        with source.open("rb") as reader:
            self._replace(path, partial(copy_hashed, reader))

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file within the hot folder to a new one; the content survives a power cut."""
        self._fence()
        with (
            named_as(source, target),
            self.open(source) as reader,
            self._walker.dir_entry(target) as dir_entry,
            dir_entry.create() as writer,
        ):
            copy_hashed(reader, writer)
            _finish(writer)

    def copy_out(self, source: Path, target: Path) -> CopyResult:
        """Copy a file to a new local one while hashing it; raises NotRegularFile for others."""
        with (
            named_as(source),
            self.open(source) as reader,
            named_as(target),
            target.open("xb") as writer,
            named_as(source),
        ):
            return copy_hashed(reader, writer)

    def move(self, source: Path, folder: Path, names: Iterable[str]) -> str:
        """Move a file to the first free name of a folder; returns the name.

        Raises FileExistsError where none of the names is free.
        """
        with self._walker.dir_entry(source) as old, self._walker.dir_entry(folder / "any") as new:
            self._fence()
            return _move(old, new, names)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of what has that name."""
        with self._walker.dir_entry(source) as old, self._walker.dir_entry(target) as new:
            self._fence()
            old.rename(new)

    def open(self, path: Path) -> BufferedReader:
        """Open a file for reading; raises NotRegularFile where it is none of its own."""
        with self._walker.dir_entry(path) as dir_entry:
            return dir_entry.read()

    def read(self, path: Path) -> bytes:
        """The content of one of our records; raises NotRegularFile for what cannot be one."""
        with named_as(path), self.open(path) as stream:
            content = stream.read(_RECORD_BYTES + 1)
        if len(content) > _RECORD_BYTES:
            raise NotRegularFile(errno.ENOENT, "it is too large to be one of ours", str(path))
        return content

    def sha256_of(self, path: Path) -> str:
        """The SHA-256 of a file, in hexadecimal; raises as `open`."""
        with named_as(path), self.open(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def append(self, path: Path, content: bytes, *, is_safe: bool = False) -> None:
        """Add to the end of a file, made where missing, all or nothing.

        `is_safe`: it survives a power cut as far as the name of the file does. Raises
        NotRegularFile for what is no file of its own.
        """
        self._fence()
        with (
            named_as(path),
            self._walker.dir_entry(path) as dir_entry,
            dir_entry.append() as stream,
        ):
            descriptor = stream.fileno()
            size = os.fstat(descriptor).st_size
            if os.write(descriptor, content) < len(content):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            if is_safe:
                os.fsync(descriptor)

    def status(self, path: Path) -> os.stat_result:
        """What is there, links not followed."""
        with self._walker.dir_entry(path) as dir_entry:
            return dir_entry.status()

    def exists(self, path: Path) -> bool:
        """Whether anything is there; a link is something, and what is below one is not there."""
        try:
            self.status(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def are_one(self, first: Path, second: Path) -> bool:
        """Whether two names are of one file, as a move that was cut off half-way leaves them."""
        try:
            return os.path.samestat(self.status(first), self.status(second))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def entries(self, folder: Path) -> list[tuple[str, os.stat_result]]:
        """What a folder contains, by name; links not followed."""
        with self._walker.folder(folder) as descriptor:
            return entries(descriptor, folder)

    def names(self, folder: Path) -> list[str]:
        """The names of what a folder contains."""
        with self._walker.folder(folder) as descriptor:
            return names(descriptor, folder)

    def remove(self, path: Path) -> None:
        """Remove a file; it may be missing, and so may its folder."""
        self._fence()
        try:
            with self._walker.dir_entry(path) as dir_entry:
                dir_entry.remove()
        except FileNotFoundError:
            pass

    def remove_empty(self, folder: Path) -> None:
        """Remove a folder that is empty, if it is there and so."""
        self._fence()
        # Where somebody put something else, or NFS keeps a file that is still open, it may stay.
        try:
            with self._walker.dir_entry(folder) as dir_entry:
                dir_entry.remove_folder()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def clear_temporaries(self, folder: Path) -> None:
        """Remove what a write left in a folder that was killed half-way."""
        self._fence()
        try:
            with self._walker.folder(folder) as descriptor:
                for name, _ in entries(descriptor, folder):
                    if is_temporary(name):
                        DirEntryAt(descriptor, folder / name).remove()
        except (FileNotFoundError, NotADirectoryError):
            pass  # nothing was ever written there

    def try_out(self, folder: Path, size_bytes: int) -> None:
        """See whether a folder takes a file of that size, and leave none; raises OSError."""
        self._fence()
        path = folder / temporary_name()
        with named_as(path), self._walker.dir_entry(path) as dir_entry:
            try:
                with dir_entry.create() as stream:
                    for begin in range(0, size_bytes, _TRIED_BYTES):
                        stream.write(bytes(min(_TRIED_BYTES, size_bytes - begin)))
                    _finish(stream)
            finally:
                dir_entry.remove()

    def sync(self, folder: Path) -> None:
        """See to it that the names in a folder survive a power cut."""
        with self._walker.folder(folder) as descriptor:
            sync(descriptor, folder)

    def _replace(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        with self._appearing(path) as (stream, temporary, dir_entry):
            write(stream)
            _finish(stream)
            self._fence()
            temporary.rename(dir_entry)

    @contextmanager
    def _appearing(self, path: Path) -> Iterator[tuple[BinaryIO, DirEntryAt, DirEntryAt]]:
        """A temporary file beside a path: its stream, its spot, and that of the path."""
        self._fence()
        require_short(path)
        with self._walker.dir_entry(path) as dir_entry:
            temporary = dir_entry.beside(temporary_name())
            try:
                with named_as(temporary.path), temporary.create() as stream:
                    yield stream, temporary, dir_entry
            except BaseException:
                temporary.remove()
                raise
            dir_entry.sync()


def _finish(stream: BinaryIO) -> None:
    """See to it that what was written survives a power cut; NFS says here that a disk is full."""
    stream.flush()
    os.fsync(stream.fileno())
    stream.close()


def _move(source: DirEntryAt, target: DirEntryAt, names: Iterable[str]) -> str:
    for name in names:
        if _is_moved(source, target.beside(name)):
            return name
    folder = str(target.path.parent)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)


def _is_moved(source: DirEntryAt, target: DirEntryAt) -> bool:
    require_short(target.path)
    try:
        _move_to_free(source, target)
    except FileExistsError:
        # A move that was cut off between its two steps, or a link that NFS made and denied.
        if not os.path.samestat(source.status(), target.status()):
            return False
        source.remove()
    return True


def _move_to_free(source: DirEntryAt, target: DirEntryAt) -> None:
    try:
        source.link(target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _rename_to_free(source, target)
        return
    try:
        source.remove()
    except PermissionError:
        # Nobody takes a file with two names: it stays whole where it was.
        if os.path.samestat(source.status(), target.status()):
            target.remove()
        raise


def _rename_to_free(source: DirEntryAt, target: DirEntryAt) -> None:
    # A share without hard links: reserve the name, then take the reserved place.
    target.create().close()
    try:
        source.rename(target)
    except BaseException:
        target.remove()
        raise
