"""What a power cut takes back: all that was not synchronised, contents and names.

A file system may keep more, and mostly does; none may keep less:

- the content of a file as it was at its last fsync;
- the names in a folder as they were at its last fsync, whatever was said of the files. A rename
  is atomic: with the new name the old one is gone, and with the old name the new one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMING = frozenset(("link", "mkdir", "open", "remove", "rename", "replace", "rmdir", "unlink"))
_TAKING = NAMING - {"link", "mkdir", "open"}  # that may take a name away from what has it
_COPIED_BYTES = 1 << 20
# Before others take their place in `os`.
_close, _fstat, _lstat, _open, _pread = os.close, os.fstat, os.lstat, os.open, os.pread
_link, _mkdir, _rename, _rmdir, _unlink = os.link, os.mkdir, os.rename, os.rmdir, os.unlink
_scandir, _truncate, _utime, _write = os.scandir, os.truncate, os.utime, os.write
_Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Thing:
    """What a name was of before it was taken away."""

    status: os.stat_result
    descriptor: int  # of a file: as long as it is open, its number is not given to another

    def let_go(self) -> None:
        if self.descriptor >= 0:
            _close(self.descriptor)


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """A change of names that is not safe yet."""

    folder: str  # whose fsync makes it safe
    made: str  # the name that appeared, "" for none
    gone: str  # the name that went away, "" for none
    before: _Thing | None  # what lost its name


class Power:
    """Keeps account of what is not safe below a root, and takes it back when it is cut."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._changes: list[_Change] = []
        self._safe_bytes: dict[_Inode, int] = {}  # of files written to since they were safe
        self._given_back: dict[_Inode, str] = {}  # a name of each file that had none

    def named(self, name: str, paths: tuple[str, ...], real: Callable[[], Any]) -> Any:
        """Take a step that may change names."""
        path = paths[-1]
        there = _status(path)
        before = _thing(path, there) if there is not None and name in _TAKING else None
        try:
            done = real()
        except OSError:
            if before is not None:
                before.let_go()
            raise
        folder = str(Path(path).parent)
        if name in ("rename", "replace"):
            self._changes.append(_Change(folder, path, paths[0], before))
        elif name in _TAKING:
            self._changes.append(_Change(folder, "", path, before))
        elif there is None:
            self._changes.append(_Change(folder, path, "", None))
        if name == "open" and there is None:
            self._safe_bytes[_inode(_fstat(done))] = 0
        return done

    def written(self, descriptor: int) -> None:
        """Say that a file is about to be written to."""
        status = _fstat(descriptor)
        self._safe_bytes.setdefault(_inode(status), status.st_size)

    def synced(self, descriptor: int, path: str) -> None:
        """Say that a file or a folder was synchronised."""
        status = _fstat(descriptor)
        if not stat.S_ISDIR(status.st_mode):
            self._safe_bytes.pop(_inode(status), None)
            return
        unsafe: list[_Change] = []
        for change in self._changes:
            if change.folder != path:
                unsafe.append(change)
                continue
            if change.before is not None:
                change.before.let_go()
            if not change.made:  # what was in a folder that is gone for good is gone with it
                unsafe = [it for it in unsafe if not f"{it.folder}/".startswith(f"{change.gone}/")]
        self._changes = unsafe

    def cut(self) -> None:
        """Leave what is safe."""
        for path, status in _files_below(self._root):
            if _inode(status) in self._safe_bytes:
                _truncate(path, self._safe_bytes[_inode(status)])
        for change in reversed(self._changes):
            # What lies in a folder that was never safe is lost with that, and stays so.
            with suppress(FileNotFoundError, NotADirectoryError):
                self._take_back(change)

    def _take_back(self, change: _Change) -> None:
        if change.made and change.gone:
            _rename(change.made, change.gone)
        elif change.made:
            _remove(change.made)
        if change.before is not None:
            self._give_back(change.made or change.gone, change.before)

    def _give_back(self, path: str, thing: _Thing) -> None:
        if thing.descriptor < 0:
            _mkdir(path)
            return
        inode = _inode(thing.status)
        names = {_inode(status): name for name, status in _files_below(self._root)}
        other = names.get(inode) or self._given_back.get(inode)
        if other is not None:
            _link(other, path)
            return
        self._given_back[inode] = path
        size = self._safe_bytes.get(inode, thing.status.st_size)
        new = _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, thing.status.st_mode)
        for begin in range(0, size, _COPIED_BYTES):
            _write(new, _pread(thing.descriptor, min(_COPIED_BYTES, size - begin), begin))
        _close(new)
        _utime(path, ns=(thing.status.st_atime_ns, thing.status.st_mtime_ns))


def _inode(status: os.stat_result) -> _Inode:
    return status.st_dev, status.st_ino


def _status(path: str) -> os.stat_result | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        return _lstat(path)
    return None


def _thing(path: str, status: os.stat_result) -> _Thing:
    is_file = stat.S_ISREG(status.st_mode)
    return _Thing(status, _open(path, os.O_RDONLY | os.O_CLOEXEC) if is_file else -1)


def _files_below(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with _scandir(folder) as entries:
        there = [(entry.path, _lstat(entry.path)) for entry in entries]
    for path, status in there:
        if stat.S_ISDIR(status.st_mode):
            yield from _files_below(path)
        elif stat.S_ISREG(status.st_mode):
            yield path, status


def _remove(path: str) -> None:
    if not stat.S_ISDIR(_lstat(path).st_mode):
        _unlink(path)
        return
    with _scandir(path) as entries:
        below = [entry.path for entry in entries]
    for one in below:
        _remove(one)
    _rmdir(path)
