"""The typed messages between the daemon and its child processes, and their connection."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config import codec
from config.problems import Problem
from config.settings import ModelSettings
from pipeline.editor import EditRequest, Event, ModelFacts
from pipeline.pixel_requests import Compose, Composed, Prepare, Prepared

MOST_BYTES = 16 << 20  # of a message to the daemon, which may tell of thousands of problems
_LENGTH_BYTES = 4
_PIECE_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class ImportLibraries:
    """To an editor process, before it is told to open: be ready for that, without the GPU."""

    compiles: bool  # as the model's settings will say


@dataclass(frozen=True, slots=True)
class OpenEditor:
    """Which editor an editor process is to be, and with what means."""

    kind: str  # "qwen" or "echo"
    model: ModelSettings
    needs_gpu: bool = False  # an earlier process had one: the CPU would take days in its place


@dataclass(frozen=True, slots=True)
class EditBatch:
    """Edit these together; answered by their events and one BatchDone."""

    requests: tuple[EditRequest, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Leave these requests of the running batch."""

    request_ids: frozenset[str]


ToEditor = ImportLibraries | OpenEditor | EditBatch | Drop


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    facts: ModelFacts
    seconds: float


@dataclass(frozen=True, slots=True)
class Unusable:
    """The model cannot be loaded, or read further, until somebody mends something."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class BatchDone:
    """Every request of the batch has ended; the editor is free."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that the editor process says for the log, at any time."""

    level: int  # of the logging module
    text: str


FromEditor = Ready | Unusable | Event | BatchDone | Remark


@dataclass(frozen=True, slots=True)
class PixelsReady:
    """A pixel worker has loaded all that it needs; from now on its end is over a request."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture cannot be used."""

    cause: str
    advice: str


@dataclass(frozen=True, slots=True)
class MachineFault:
    """The machine cannot do it now; the picture is not to blame."""

    cause: str
    advice: str


ToPixels = Prepare | Compose
FromPixels = Prepared | Composed | Refused | MachineFault


class Connection:
    """One end of a line of whole messages: each is its length, and its JSON.

    Any thread may send.
    """

    def __init__(self, line: socket.socket, hears: Any, most_bytes: int = MOST_BYTES) -> None:
        """`hears` is the type of the messages that come, or a union of types."""
        self._socket, self._hears, self._most_bytes = line, hears, most_bytes
        self._lock = threading.Lock()
        self._readable = select.poll()
        self._readable.register(line, select.POLLIN)

    def send(self, message: object) -> None:
        """Send a message; raises OSError where nobody receives it."""
        content = codec.dump(message).encode("ascii")
        with self._lock:
            self._socket.sendall(len(content).to_bytes(_LENGTH_BYTES, "big") + content)

    def has_more(self) -> bool:
        """Whether `receive` has something to give, or to raise."""
        return bool(self._readable.poll(0))

    def receive(self) -> Any:
        """The next message.

        Raises EOFError where the line has ended, between two messages or in the middle of one,
        OSError, and ValueError for what is no message that may come here.
        """
        length = int.from_bytes(self._read(_LENGTH_BYTES), "big")
        if length > self._most_bytes:
            message = f"a message of {length} bytes is too long"
            raise ValueError(message)
        return codec.at(self._hears, codec.parse(self._read(length)))

    def _read(self, count: int) -> bytes:
        content = bytearray()
        while len(content) < count:
            piece = self._socket.recv(min(count - len(content), _PIECE_BYTES))
            if not piece:
                raise EOFError
            content += piece
        return bytes(content)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def connect(arguments: Sequence[str], hears: Any) -> Connection:
    """The child's end of the line; from now on the child dies with its daemon.

    The arguments are the descriptor of the line and the daemon's process id. Raises SystemExit if
    the daemon has died already.
    """
    descriptor, daemon = map(int, arguments)
    faulthandler.enable()
    # A Ctrl-C at the terminal is the daemon's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Who takes on orphans may be any process, and a container's process 1 is the daemon itself.
    if os.getppid() != daemon:
        raise SystemExit(0)
    # A batch may be long, with the prompts of all its jobs, and comes from the daemon alone.
    return Connection(socket.socket(fileno=descriptor), hears, most_bytes=1 << 8 * _LENGTH_BYTES)
