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
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

import pipeline

_LAST_WORDS_BYTES = 4096
_DYING_SECONDS = 2.0
RESTART_SECONDS = (0.0, 5.0, 30.0, 120.0)  # before the next, by how many ended in a row


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a child."""

    child: Child
    message: object


@dataclass(frozen=True, slots=True)
class Ended:
    """A child has gone, and the last that it printed."""

    child: Child
    how: str  # "killed by SIGSEGV", "exit status 1"
    last_words: str


class Child:
    """One process running `python -m MODULE`; `deliver` is called from a thread."""

    def __init__(self, module: str, deliver: Callable[[Said | Ended], None]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        assert self._process.stdout is not None
        self._connection = Connection(ours.detach())
        self._deliver = deliver
        self._last_words: deque[bytes] = deque(maxlen=_LAST_WORDS_BYTES // 64)
        listener = threading.Thread(target=self._listen_to_words, args=(self._process.stdout,))
        speaker = threading.Thread(target=self._receive, args=(listener,), name=module)
        for thread in (listener, speaker):
            thread.daemon = True
            thread.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Hand a message over; a child that has died says so through `deliver`, not here."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send(message)

    def kill(self) -> None:
        """End it now; its end comes through `deliver`."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _listen_to_words(self, stream: IO[bytes]) -> None:
        # Read in small pieces and forget: a child that floods its output costs no memory.
        with stream:
            while piece := os.read(stream.fileno(), 64):
                self._last_words.append(piece)

    def _receive(self, listener: threading.Thread) -> None:
        try:
            while True:
                self._deliver(Said(self, self._connection.recv()))
        except (EOFError, OSError):
            pass  # between two messages, or in the middle of one
        except Exception:  # noqa: BLE001 - what is no message may say anything when it is read
            self.kill()
        returncode = self._wait()
        listener.join(timeout=1)
        words = b"".join(self._last_words).decode("utf-8", "replace").strip()
        self._deliver(Ended(self, _how(returncode), words))

    def _wait(self) -> int:
        # It closed the line: dying, and what of is worth a moment, or as good as dead.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=_DYING_SECONDS)
        self.kill()
        return self._process.wait()


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    return f"killed by {signal.Signals(-returncode).name}"


def _environment() -> dict[str, str]:
    # -P keeps the working directory, which may be a hot folder, off the import path.
    root = str(Path(pipeline.__file__).parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{inherited}" if inherited else root
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
