"""A child process that ends badly, in the way that its first message says."""

import os
import pickle
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from pipeline import ipc


def leave(_: Connection) -> None:
    """Say why, and exit."""
    print("out of patience")
    raise SystemExit(3)


def crash(_: Connection) -> None:
    """Die of a signal."""
    os.kill(os.getpid(), signal.SIGSEGV)


def flood(connection: Connection) -> None:
    """Print without end, or so."""
    for _ in range(100):
        print("x" * 200_000)
    print("the very last words")
    connection.send("flooded")


def hang_up(connection: Connection) -> None:
    """Close the line and live on."""
    connection.close()
    signal.pause()


def die_in_a_message(connection: Connection) -> None:
    """Announce a thousand bytes, send a few, and go."""
    os.write(connection.fileno(), (1000).to_bytes(4, "big") + b"few")


def talk_nonsense(connection: Connection) -> None:
    """Send bytes that are no message, and live on."""
    connection.send_bytes(b"nonsense")
    signal.pause()


def die_of_a_signal_without_a_name(_: Connection) -> None:
    """Die of one of the real-time signals."""
    os.kill(os.getpid(), 35)


class _Call:
    """A call that is made where it is read."""

    def __init__(self, *words: object) -> None:
        self._words = words

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._words[0], self._words[1:]


def send_too_much(connection: Connection) -> None:
    """Send what takes too much memory, and live on."""
    connection.send(_Call(bytes, 1 << 62))
    signal.pause()


def send_an_exit(connection: Connection) -> None:
    """Send what ends whoever reads it, and live on."""
    connection.send(_Call(sys.exit))
    signal.pause()


def send_a_broken_line(connection: Connection) -> None:
    """Send what looks like the end of the line where it is read, and live on."""
    connection.send(_Call(pickle.loads, b""))
    signal.pause()


def answer(connection: Connection) -> None:
    """Answer everything with itself."""
    while True:
        connection.send(connection.recv())


_WAYS: dict[str, Callable[[Connection], None]] = {
    way.__name__: way
    for way in (
        leave,
        crash,
        flood,
        hang_up,
        die_in_a_message,
        die_of_a_signal_without_a_name,
        talk_nonsense,
        send_too_much,
        send_an_exit,
        send_a_broken_line,
        answer,
    )
}

if __name__ == "__main__":
    line = ipc.connect(sys.argv[1:])
    _WAYS[line.recv()](line)
