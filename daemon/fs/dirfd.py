"""The way down into a hot folder: through real folders alone, each held open, never a link.

Whoever may write to a hot folder may replace any part of it at any moment. So no path is looked up
twice: what was checked is what is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter, FileIO
from pathlib import Path

_HOLD = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HOME = ".hotfolder"
_LONGEST_BYTES = 4095  # PATH_MAX without its NUL
_MOST_HELD = 16  # folders at a time: one command on the files of a job needs about ten
# What opening says of a link, and of a FIFO that nobody reads or a socket.
_NO_FILE = frozenset((errno.ELOOP, errno.ENXIO))


class NotRegularFile(FileNotFoundError):  # noqa: N818 - to whoever asks for the file it is not there
    """Where a file should be, a link, a FIFO, a device or a second name of some file is."""


@dataclass(frozen=True, slots=True)
class DirEntryAt:
    """One name in a folder that is held open; good until the way down is let go.

    Errors carry the whole path. No method follows a link.
    """

    folder: int
    path: Path

    def beside(self, name: str) -> DirEntryAt:
        """Another name in the same folder."""
        return DirEntryAt(self.folder, self.path.with_name(name))

    def status(self) -> os.stat_result:
        """What is there."""
        with _named(self.path):
            return os.lstat(self.path.name, dir_fd=self.folder)

    def read(self) -> BufferedReader:
        """Open the file there; raises NotRegularFile for anything else, and for second names."""
        return os.fdopen(self._plain(_READ), "rb")

    def append(self) -> FileIO:
        """Open the file there for adding to its end, made where missing; raises as `read`."""
        return os.fdopen(self._plain(_APPEND), "ab", 0)

    def create(self) -> BufferedWriter:
        """Make a new file; raises FileExistsError."""
        with _named(self.path):
            return os.fdopen(os.open(self.path.name, _CREATE, 0o666, dir_fd=self.folder), "wb")

    def remove(self) -> None:
        """Remove a file that may be missing."""
        try:
            with _named(self.path):
                os.unlink(self.path.name, dir_fd=self.folder)
        except FileNotFoundError:
            pass

    def rename(self, target: DirEntryAt) -> None:
        """Give it another name, in place of what has that name."""
        with _named(self.path, target.path):
            source, name = self.path.name, target.path.name
            os.rename(source, name, src_dir_fd=self.folder, dst_dir_fd=target.folder)

    def link(self, target: DirEntryAt) -> None:
        """Give it a second name; raises FileExistsError where that is taken."""
        with _named(self.path, target.path):
            os.link(
                self.path.name,
                target.path.name,
                src_dir_fd=self.folder,
                dst_dir_fd=target.folder,
                follow_symlinks=False,
            )

    def make_folder(self) -> None:
        """Make a folder; raises FileExistsError."""
        with _named(self.path):
            os.mkdir(self.path.name, dir_fd=self.folder)

    def remove_folder(self) -> None:
        """Remove a folder that is empty."""
        with _named(self.path):
            os.rmdir(self.path.name, dir_fd=self.folder)

    def sync(self) -> None:
        """See to it that the names in its folder survive a power cut."""
        sync(self.folder, self.path.parent)

    def _plain(self, flags: int) -> int:
        with _named(self.path):
            try:
                descriptor = os.open(self.path.name, flags, 0o666, dir_fd=self.folder)
            except OSError as error:
                if error.errno in _NO_FILE:
                    raise _not_plain() from error
                raise
            try:
                _require_plain(os.fstat(descriptor))
            except OSError:
                os.close(descriptor)
                raise
            return descriptor


class DirWalker:
    """Goes down from the root of a hot folder; for one thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._is_holding = False
        self._held: dict[Path, int] = {}  # the folders that were entered since, the first ones

    @contextmanager
    def held_open(self) -> Iterator[None]:
        """Hold each folder that is entered, the root first, open until the end of the block.

        One that is renamed or replaced meanwhile stays the one that was entered; in one that is
        deleted nothing is there, and nothing can be made. Only `make_folder` looks again at the
        way to its folder.
        """
        assert not self._is_holding, "a command within a command"
        self._is_holding = True
        try:
            yield
        finally:
            self._is_holding = False
            held, self._held = self._held, {}
            for folder in held.values():
                _leave(folder)

    @contextmanager
    def folder(self, path: Path) -> Iterator[int]:
        """Hold a folder open, for use as a `dir_fd`.

        Raises NotADirectoryError where a link, or another thing that is no folder, is on the way.
        """
        with self._walk(path, make=False) as folder:
            yield folder

    @contextmanager
    def dir_entry(self, path: Path) -> Iterator[DirEntryAt]:
        """A name in its folder; raises as `folder`."""
        with self._walk(path.parent, make=False) as folder:
            yield DirEntryAt(folder, path)

    def make_folder(self, path: Path) -> None:
        """Make a folder and those on the way to it, so that they survive a power cut.

        Raises OSError (ESTALE) where the root is no hot folder: a share that went away a moment
        ago leaves an empty mount point.
        """
        with self._walk(path, make=True):
            pass

    def make_home(self) -> None:
        """Make what makes the root a hot folder."""
        with self._walk(self.root, make=False) as folder:
            _leave(_enter(folder, self.root / _HOME, make=True))

    @contextmanager
    def _walk(self, path: Path, *, make: bool) -> Iterator[int]:
        if not self._is_held(path):  # else it was seen to when it was entered
            _require_below(self.root, path)
        here = self.root if make else self._nearest_held(path)
        folder = self._begin(here)
        try:
            if not self._is_held(here):
                self._hold(here, folder)
            if make:
                _check_home(folder, self.root)
            for part in path.relative_to(here).parts:
                here /= part
                entered = _enter(folder, here, make=make)
                _leave(folder)
                folder = entered
                self._hold(here, folder)
            yield folder
        finally:
            _leave(folder)

    def _is_held(self, path: Path) -> bool:
        return bool(self._held) and path in self._held  # a path is slow to hash

    def _nearest_held(self, path: Path) -> Path:
        if not self._held:
            return self.root
        return next((it for it in (path, *path.parents) if it in self._held), self.root)

    def _begin(self, here: Path) -> int:
        if self._is_held(here):
            return os.dup(self._held[here])
        with _named(here):
            # With the dot the root is on the way, so that a share mounted on demand is mounted.
            return os.open(f"{here}/.", _HOLD)

    def _hold(self, here: Path, folder: int) -> None:
        if not self._is_holding:
            return
        if here in self._held:
            _leave(self._held.pop(here))  # whoever works in it has a descriptor of his own
        if len(self._held) < _MOST_HELD:
            self._held[here] = os.dup(folder)


def sync(folder: int, path: Path) -> None:
    """See to it that the names in a folder that is held survive a power cut."""
    with _named(path):
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # SMB servers cannot do this, and need not.
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        finally:
            os.close(descriptor)


def names(folder: int, path: Path) -> list[str]:
    """The names of what a folder that is held contains, in order."""
    with _named(path):
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            with os.scandir(descriptor) as found:
                return sorted(entry.name for entry in found)
        finally:
            os.close(descriptor)


def entries(folder: int, path: Path) -> list[tuple[str, os.stat_result]]:
    """What a folder that is held contains; what goes away meanwhile is not in it."""
    there = []
    for name in names(folder, path):
        with contextlib.suppress(FileNotFoundError):
            there.append((name, DirEntryAt(folder, path / name).status()))
    return there


def has_other_names(status: os.stat_result) -> bool:
    """Whether a file has further names; what they are, and whose, nobody can say."""
    return status.st_nlink > 1


def require_short(path: Path) -> None:
    """Raise OSError where we could go there, but no other program of anybody."""
    if len(os.fsencode(path)) > _LONGEST_BYTES:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))


def _check_home(folder: int, root: Path) -> None:
    try:
        os.stat(_HOME, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError as error:
        raise OSError(errno.ESTALE, "no hot folder is there any more", str(root)) from error


def _enter(folder: int, path: Path, *, make: bool) -> int:
    try:
        return _open_folder(folder, path)
    except FileNotFoundError:
        if not make:
            raise
    dir_entry = DirEntryAt(folder, path)
    try:
        dir_entry.make_folder()
    except FileExistsError:
        pass  # by somebody else, just now
    else:
        dir_entry.sync()
    return _open_folder(folder, path)


def _leave(folder: int) -> None:
    """Close a folder, whatever the file system says of it: the descriptor is free all the same.

    Whoever closed it once more would close what another thread has opened meanwhile.
    """
    with contextlib.suppress(OSError):
        os.close(folder)


def _open_folder(folder: int, path: Path) -> int:
    with _named(path):
        return os.open(path.name, _HOLD | os.O_NOFOLLOW, dir_fd=folder)


def _require_below(root: Path, path: Path) -> None:
    try:
        leads_out = ".." in path.relative_to(root).parts
    except ValueError:
        leads_out = True
    if leads_out:
        raise OSError(errno.EXDEV, "the path is not below the hot folder", str(path))
    require_short(path)


def _require_plain(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or has_other_names(status):
        raise _not_plain()


def _not_plain() -> NotRegularFile:
    return NotRegularFile(errno.ENOENT, "no plain file of its own is there")


@contextmanager
def _named(path: Path, second: Path | None = None) -> Iterator[None]:
    """Errors below say the whole path, not the last part alone."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        if second is not None:
            error.filename2 = str(second)
        raise
