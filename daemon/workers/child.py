"""A child process, seen from the daemon: messages go in, what it says and its end come out."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import pipeline
from pipeline.ipc import Connection

_LAST_WORDS_BYTES = 4096
_DYING_SECONDS = 2.0
_TAKING_SECONDS = 10.0  # in which a child takes a whole message
_NOTHING: Mapping[str, str] = MappingProxyType({})
RESTART_SECONDS = (0.0, 5.0, 30.0, 120.0)  # before the next, by how many ended in a row
# Too many processes, files or threads, too little memory, a program that is gone.
_NOT_STARTED = (OSError, MemoryError, RuntimeError)


class Part(StrEnum):
    """What every job needs; each may be broken while the others work."""

    EDITOR = "the editor"
    WORKERS = "the program that opens and saves pictures"  # that it can be started
    OPENING = "the program that opens pictures"
    SAVING = "the program that saves pictures"


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a child."""

    child: ChildProcess
    message: object


@dataclass(frozen=True, slots=True)
class Ended:
    """A child has gone, and the last that it printed."""

    child: ChildProcess
    how: str  # "killed by SIGSEGV", "exit status 1"
    last_words: str
    is_started: bool = True  # False: there never was a process


class ChildProcess:
    """One process running `python -m MODULE`; `deliver` is called from a thread."""

    def __init__(
        self,
        module: str,
        hears: Any,  # the type of its messages, or a union of types
        deliver: Callable[[Said | Ended], None],
        environment: Mapping[str, str] = _NOTHING,  # beside the daemon's own
    ) -> None:
        self._deliver = deliver
        self._last_words: deque[bytes] = deque(maxlen=_LAST_WORDS_BYTES // 64)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        try:
            self._begin(module, hears, environment)
        except _NOT_STARTED as error:
            self._abandon()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            deliver(Ended(self, f"it could not be started: {why}", "", is_started=False))

    def _begin(self, module: str, hears: Any, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(_TAKING_SECONDS)
        self._connection = Connection(ours, hears)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                env={**_environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        assert self._process.stdout is not None
        listener = threading.Thread(target=self._listen_to_words, args=(self._process.stdout,))
        speaker = threading.Thread(
            target=self._receive, args=(self._process, self._connection, listener), name=module
        )
        for thread in (listener, speaker):
            thread.daemon = True
            thread.start()

    def _abandon(self) -> None:
        """End what has begun of a start that came to nothing; no thread waits for its end."""
        self.kill()
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_DYING_SECONDS)

    @property
    def pid(self) -> int:
        """The process id; 0 where there never was a process."""
        return self._process.pid if self._process else 0

    def send(self, message: object) -> None:
        """Hand a message over; the end of a child that does not take it comes by `deliver`."""
        if self._connection is not None:
            try:
                self._connection.send(message)
            except OSError:  # it has died, or does not listen
                self.kill()

    def kill(self) -> None:
        """End it now; its end comes through `deliver`."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _listen_to_words(self, stream: IO[bytes]) -> None:
        # Read in small pieces and forget: a child that floods its output costs no memory.
        with stream:
            while piece := os.read(stream.fileno(), 64):
                self._last_words.append(piece)

    def _receive(
        self, process: subprocess.Popen[bytes], connection: Connection, listener: threading.Thread
    ) -> None:
        try:
            while (message := _received(connection)) is not None:
                self._deliver(Said(self, message))
            how = _how(self._wait(process))
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            self.kill()
            self._wait(process)
            how = f"its message could not be read ({type(error).__name__})"
        with contextlib.suppress(OSError):  # its end is told whatever becomes of the line
            connection.close()
        listener.join(timeout=1)
        words = b"".join(self._last_words).decode("utf-8", "replace").strip()
        self._deliver(Ended(self, how, words))

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        # It closed the line: dying, and what of is worth a moment, or as good as dead.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=_DYING_SECONDS)
        self.kill()
        return process.wait()


def _received(connection: Connection) -> Any:
    """The next message; None where the line has ended: between two, or in the middle of one."""
    with contextlib.suppress(EOFError, OSError):
        return connection.receive()
    return None


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:  # the real-time signals have no names
        return f"killed by signal {-returncode}"


def _environment() -> dict[str, str]:
    # -P keeps the working directory, which may be a hot folder, off the import path.
    root = str(Path(pipeline.__file__).parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{inherited}" if inherited else root
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
