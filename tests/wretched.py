"""A child process that ends badly, in the way that its first message says."""

import os
import signal
import sys
from collections.abc import Callable

from pipeline import ipc
from pipeline.ipc import Connection, Remark


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
    connection.send(Remark(0, "flooded"))


def hang_up(connection: Connection) -> None:
    """Close the line and live on."""
    connection.close()
    signal.pause()


def _write(announced: int, content: bytes) -> None:
    os.write(int(sys.argv[1]), announced.to_bytes(4, "big") + content)


def leave_in_a_message(_: Connection) -> None:
    """Announce a thousand bytes, send a few, and go."""
    _write(1000, b"few")


def die_in_a_message(_: Connection) -> None:
    """Announce a thousand bytes, send a few, and be killed."""
    _write(1000, b"few")
    os.kill(os.getpid(), signal.SIGKILL)


def talk_nonsense(_: Connection) -> None:
    """Send bytes that are no message, and live on."""
    _write(8, b"nonsense")
    signal.pause()


def announce_too_much(_: Connection) -> None:
    """Begin a message that is too long, and live on."""
    _write(ipc.MOST_BYTES + 1, b"[")
    signal.pause()


def say_what_is_not_heard(connection: Connection) -> None:
    """Send a message that does not come from a child, and live on."""
    connection.send(ipc.Drop(frozenset()))
    signal.pause()


def die_of_a_signal_without_a_name(_: Connection) -> None:
    """Die of one of the real-time signals."""
    os.kill(os.getpid(), 35)


def answer(connection: Connection) -> None:
    """Answer everything with itself."""
    while True:
        connection.send(connection.receive())


_WAYS: dict[str, Callable[[Connection], None]] = {
    way.__name__: way
    for way in (
        leave,
        crash,
        flood,
        hang_up,
        leave_in_a_message,
        die_in_a_message,
        die_of_a_signal_without_a_name,
        talk_nonsense,
        announce_too_much,
        say_what_is_not_heard,
        answer,
    )
}

if __name__ == "__main__":
    line = ipc.connect(sys.argv[1:], Remark)
    _WAYS[line.receive().text](line)
