"""How other processes ask a running daemon: one Unix socket per hot folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from config.problems import Problem, UserError
from daemon.control import protocol
from daemon.control.documents import Document, Reply, Request
from daemon.events.events import ThreadFailed
from daemon.fs.local_dirs import LocalDirs
from daemon.supervision import Fault, fault_in, supervise, thread_failed

_ANSWER_SECONDS = 2.0
_TALK_SECONDS = 2.0
_MAX_REQUEST_BYTES = 64 * 1024
_MAX_TALKS = 16  # at once; who comes on top is sent away


class Server:
    """The socket of one hot folder; requests go to `deliver`, which must not block."""

    def __init__(
        self,
        local_dirs: LocalDirs,
        root: Path,
        deliver: Callable[[Request], None],
        tell: Callable[[ThreadFailed], None],
    ) -> None:
        """Begin to listen; raises UserError where another daemon does, or nobody can.

        `tell` is called for a fault of its threads, from there.
        """
        self._root = root
        self._deliver, self._tell = deliver, tell
        self._talks = threading.BoundedSemaphore(_MAX_TALKS)
        self._closing = threading.Event()
        self._file = protocol.socket_file(local_dirs.control, root)
        self._lock = _lock(local_dirs.control / f"{protocol.name_of(root)}.lock", root)
        try:
            self._listener = _listen(self._file)
        except OSError as error:
            os.close(self._lock)
            raise _unusable(self._file, error) from error
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no longer; another daemon may take over. A second time does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept that the thread waits in
        self._thread.join()
        self._listener.close()
        self._file.unlink(missing_ok=True)
        os.close(self._lock)

    def _serve(self) -> None:
        supervise(self._accept, self._failed, lambda _, seconds: self._closing.wait(seconds))

    def _failed(self, fault: Fault) -> None:
        self._tell(thread_failed(f"control socket of {self._root}", fault))

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # Closing, or no file descriptor is left: then a moment's rest instead of a spin.
                self._closing.wait(0.1)
                continue
            if self._talks.acquire(blocking=False):
                self._begin_talk(connection)
            else:
                connection.close()

    def _begin_talk(self, connection: socket.socket) -> None:
        try:
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()
        except RuntimeError:  # no thread is to be had
            connection.close()
            self._talks.release()
            raise

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection:
                if fault := fault_in(partial(self._say, connection)):
                    self._failed(fault)
        finally:
            self._talks.release()

    def _say(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # who asked has gone or does not read
            protocol.send(connection, self._answer(connection), _TALK_SECONDS)

    def _answer(self, connection: socket.socket) -> Document:
        replies: queue.SimpleQueue[Document | Callable[[], Document]] = queue.SimpleQueue()
        try:
            body = protocol.receive(connection, _TALK_SECONDS, _MAX_REQUEST_BYTES)
            self._deliver(self._request(body, replies.put))
            answer = replies.get(timeout=_ANSWER_SECONDS)
        except protocol.LineError as error:
            return {"error": str(error)}
        except queue.Empty:
            return {"error": "the daemon is too busy to answer now"}
        return answer() if callable(answer) else answer

    def _request(self, body: Mapping[str, object], reply: Reply) -> Request:
        texts = {key: value for key, value in body.items() if isinstance(value, str)}
        if "verb" not in texts or len(texts) != len(body):
            message = "a request has a verb, and every value is a text"
            raise protocol.LineError(message)
        verb = texts.pop("verb")
        return Request(verb=verb, root=self._root, arguments=texts, reply=reply)


def _lock(file: Path, root: Path) -> int:
    """Hold the lock that says "served"; the kernel drops it with this process, however it ends."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(file, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        what = "another Hotfolder daemon works on this hot folder already"
        advice = f"stop that one first, or ask it: hotfolder status --root {root}"
        raise UserError([Problem(str(root), what, advice)]) from error
    return lock


def _unusable(file: Path, error: OSError) -> UserError:
    what = f"cannot be used to listen for `hotfolder status`: {error.strerror}"
    return UserError([Problem(str(file), what, "give the daemon's user the right to write there")])


def _listen(file: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        file.unlink(missing_ok=True)  # of a daemon that died: we hold the lock
        with protocol.short_address(file.parent, file.name) as address:
            listener.bind(address)
        file.chmod(0o660)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
