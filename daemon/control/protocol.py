"""One JSON object on one line over a Unix socket: how it is named, read and written."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config import codec
from daemon.fs.blocking import Stalled, call_with_deadline

_RESOLVE_SECONDS = 1.0


class LineError(ValueError):
    """What came is no JSON object on one line."""


def name_of(root: Path) -> str:
    """The base name of a hot folder's files of control, without suffix.

    It comes from the absolute path as it is written: links are not resolved, because that would
    touch a share which may not answer.
    """
    path = os.path.abspath(root)  # noqa: PTH100 - Path has nothing that leaves links alone and drops ".."
    return f"control-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"


def socket_file(folder: Path, root: Path) -> Path:
    """Where the daemon of a hot folder listens, in the folder of its sockets."""
    return folder / f"{name_of(root)}.sock"


def resolve_root(root: Path) -> Path:
    """Follow the links of a hot folder's path, where its share answers."""
    try:
        return call_with_deadline(root.resolve, _RESOLVE_SECONDS)
    except Stalled:  # a share that hangs; who serves it would listen under its path as written
        return root


@contextmanager
def short_address(folder: Path, name: str) -> Iterator[str]:
    """An address of folder/name that fits into the 107 bytes of a Unix socket's path."""
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{opened}/{name}"
    finally:
        os.close(opened)


def send(connection: socket.socket, body: object, timeout_seconds: float) -> None:
    """Send one object; raises OSError, TimeoutError included."""
    connection.settimeout(timeout_seconds)
    connection.sendall(codec.dump(body).encode("ascii") + b"\n")


def receive(
    connection: socket.socket, timeout_seconds: float, max_bytes: int | None = None
) -> dict[str, object]:
    """Receive one object; raises LineError, and OSError, TimeoutError included."""
    line = _line(connection, timeout_seconds, max_bytes)
    try:
        body = codec.parse(line)
    except ValueError as error:
        message = f"not a line of JSON: {error}"
        raise LineError(message) from error
    if not isinstance(body, dict):
        message = "not a JSON object"
        raise LineError(message)
    return body


def _line(connection: socket.socket, timeout_seconds: float, max_bytes: int | None) -> bytes:
    # The deadline is for the whole line: a byte now and then must not hold it open.
    deadline = time.monotonic() + timeout_seconds
    line = bytearray()
    while not line.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(65536)
        line += part
        if max_bytes is not None and len(line) > max_bytes:
            message = f"longer than {max_bytes} bytes"
            raise LineError(message)
        if not part:
            break
    return bytes(line)
