"""Local files, and what all files of ours have in common: their copies and temporary names."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20
_TEMPORARY_START, _TEMPORARY_END = ".hotfolder-", ".tmp"


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What was copied."""

    sha256: str
    size: int


def copy_hashed(source: BinaryIO, target: BinaryIO) -> CopyResult:
    """Copy all that is left of one stream to another while hashing it."""
    digest, size = hashlib.sha256(), 0
    while chunk := _read(source):
        digest.update(chunk)
        with named_as(target.name):
            target.write(chunk)
        size += len(chunk)
    return CopyResult(digest.hexdigest(), size)


def _read(source: BinaryIO) -> bytes:
    with named_as(source.name):
        return source.read(_CHUNK_BYTES)


@contextmanager
def named_as(path: object, second: Path | None = None) -> Iterator[None]:
    """Errors below that say of no file of which they are, say it, where it is a path."""
    try:
        yield
    except OSError as error:
        if error.filename is None and isinstance(path, str | Path):
            error.filename = str(path)
            if second is not None:
                error.filename2 = str(second)
        raise


def nearest_existing(path: Path) -> Path:
    """The path itself where something is there, else the nearest folder above it that is."""
    return next(one for one in (path, *path.parents) if one.exists())


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file, in hexadecimal; links are not followed."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def temporary_name() -> str:
    """A new name for a file that is not whole yet."""
    return f"{_TEMPORARY_START}{secrets.token_hex(8)}{_TEMPORARY_END}"


def is_temporary(name: str) -> bool:
    """Whether a name is one of ours for a file that is not whole yet."""
    return name.startswith(_TEMPORARY_START) and name.endswith(_TEMPORARY_END)
