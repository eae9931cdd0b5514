"""A file is whole or absent, and nothing is ever overwritten: the few ways in which we write."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20
_TEMPORARY_START, _TEMPORARY_END = ".hotfolder-", ".tmp"
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied."""

    sha256: str
    size: int


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is seen whole or not at all, replacing what was there."""
    temporary = _temporary(path.parent)
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def copy(source: Path, target: Path) -> Copied:
    """Copy a regular file to a new one while hashing it; links are not followed."""
    return _copy(source, target, durably=False)


def copy_durably(source: Path, target: Path) -> Copied:
    """Copy like `copy`, and see to it that the content survives a power cut."""
    return _copy(source, target, durably=True)


def _copy(source: Path, target: Path, *, durably: bool) -> Copied:
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", 0) as reader, target.open("xb") as writer:
        copied = pour(reader, writer)
        writer.flush()
        if durably:
            os.fsync(writer.fileno())
    return copied


def pour(source: BinaryIO, target: BinaryIO) -> Copied:
    """Copy all that is left of one stream to another while hashing it."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return Copied(digest.hexdigest(), size)


def copy_whole(source: Path, folder: Path, names: Iterable[str]) -> str:
    """Copy a file into a folder under the first free name; it is seen whole or not at all."""
    temporary = _temporary(folder)
    try:
        copy_durably(source, temporary)
        name = move(temporary, folder, names)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return name


def copy_over(source: Path, target: Path) -> None:
    """Copy a file in place of another, which is seen whole, old or new."""
    temporary = _temporary(target.parent)
    try:
        copy_durably(source, temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def is_regular(path: Path) -> bool:
    """Whether a regular file is there; a link to one is none."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def remove_empty(folder: Path) -> None:
    """Remove a folder that is empty, if it is there and so."""
    # Where somebody put something else, or NFS keeps a file that is still open, it may stay.
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def clear_temporaries(folder: Path) -> None:
    """Remove what a write left in a folder that was killed half-way."""
    for path in folder.glob(f"{_TEMPORARY_START}*{_TEMPORARY_END}"):
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file, in hexadecimal; links are not followed."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def move(source: Path, folder: Path, names: Iterable[str]) -> str:
    """Move a file within its file system to the first free name of a folder; returns the name.

    Raises FileExistsError where none of the names is free.
    """
    for name in names:
        if _is_moved(source, folder / name):
            return name
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def _is_moved(source: Path, target: Path) -> bool:
    try:
        _move_to_free(source, target)
    except FileExistsError:
        # A move that was cut off between its two steps, or a link that NFS made and denied.
        if not are_one(source, target):
            return False
        source.unlink()
    return True


def are_one(first: Path, second: Path) -> bool:
    """Whether two names are of one file."""
    return os.path.samestat(first.lstat(), second.lstat())


def _move_to_free(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _rename_to_free(source, target)
    else:
        source.unlink()


def _rename_to_free(source: Path, target: Path) -> None:
    # A share without hard links: reserve the name, then take the reserved place.
    with target.open("xb"):
        pass
    try:
        source.replace(target)
    except BaseException:
        target.unlink()
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, and see to it that they survive a power cut."""
    missing = [folder, *folder.parents]
    missing = [path for path in missing if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """See to it that the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # SMB servers cannot do this, and need not.
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Whether a name is one of ours for a file that is not whole yet."""
    return name.startswith(_TEMPORARY_START) and name.endswith(_TEMPORARY_END)


def temporary_name() -> str:
    """A new name for a file that is not whole yet."""
    return f"{_TEMPORARY_START}{secrets.token_hex(8)}{_TEMPORARY_END}"


def _temporary(folder: Path) -> Path:
    return folder / temporary_name()
