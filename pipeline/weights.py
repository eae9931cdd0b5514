"""A safetensors file as it lies on disk: whole or not, and what tells it from another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LENGTH_BYTES = 8  # a file opens with the length of its JSON header, little-endian
_LONGEST_HEADER_BYTES = 100_000_000  # the format's own limit
_SAMPLE_BYTES = 64 * 1024


class BrokenWeightsError(Exception):
    """The file is no whole safetensors file; says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """A whole safetensors file."""

    path: Path
    header: bytes
    size_bytes: int

    def digest(self) -> bytes:
        """SHA-256 of size, header, and the first and last 64 KiB of the tensors.

        Honest about names, types and shapes, and never reads a large file through.
        """
        start = _LENGTH_BYTES + len(self.header)
        with self.path.open("rb") as file:
            file.seek(start)
            first = file.read(_SAMPLE_BYTES)
            file.seek(max(start, self.size_bytes - _SAMPLE_BYTES))
            last = file.read(_SAMPLE_BYTES)
        parts = (str(self.size_bytes).encode(), self.header, first, last)
        return hashlib.sha256(b"\0".join(parts)).digest()


def read(path: Path) -> WeightFile:
    """Raise BrokenWeightsError if the file is not whole, OSError if it cannot be read."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header = _header(file, size_bytes)
    whole_bytes = _LENGTH_BYTES + len(header) + _tensor_bytes(header)
    if size_bytes != whole_bytes:
        size = "cut off" if size_bytes < whole_bytes else "too long"
        what = f"it is {size}: {size_bytes} bytes where its header says {whole_bytes}"
        raise BrokenWeightsError(what)
    return WeightFile(path=path, header=header, size_bytes=size_bytes)


def _header(file: BinaryIO, size_bytes: int) -> bytes:
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size_bytes < _LENGTH_BYTES:
        what = f"it is cut off: {size_bytes} bytes"
        raise BrokenWeightsError(what)
    if length > _LONGEST_HEADER_BYTES:
        what = "it is no safetensors file"
        raise BrokenWeightsError(what)
    header = file.read(length)
    if len(header) < length:
        what = f"it is cut off: {size_bytes} bytes, and its header alone has {length}"
        raise BrokenWeightsError(what)
    return header


def _tensor_bytes(header: bytes) -> int:
    """Where the last tensor ends, counted from the end of the header."""
    try:
        tensors = json.loads(header)
        ends = [
            int(tensor["data_offsets"][1])
            for name, tensor in tensors.items()
            if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        what = "it is no safetensors file: its header cannot be read"
        raise BrokenWeightsError(what) from error
    return max(ends, default=0)
