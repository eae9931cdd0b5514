"""A child process that ends badly, in the way that its first message says."""

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from pipeline import channel


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


def answer(connection: Connection) -> None:
    """Answer everything with itself."""
    while True:
        connection.send(connection.recv())


_WAYS: dict[str, Callable[[Connection], None]] = {
    way.__name__: way
    for way in (leave, crash, flood, hang_up, die_in_a_message, talk_nonsense, answer)
}

if __name__ == "__main__":
    line = channel.connect(int(sys.argv[1]))
    _WAYS[line.recv()](line)
