"""A pixel worker: opens and saves pictures for the daemon inside a memory limit, one at a time."""

from __future__ import annotations

import contextlib
import resource
import sys
from multiprocessing.connection import Connection
from typing import assert_never

from pipeline import channel, hindrance
from pipeline.picture import pixels
from pipeline.pictures import Compose, PictureError, Prepare

MEMORY_BYTES = 8 << 30  # an 8192 x 8192 picture with 16 bits a channel needs about half of it


def answer(request: channel.ToPixels) -> channel.FromPixels:
    """Do what is asked; a picture that cannot be used is an answer, not an exception."""
    try:
        match request:
            case Prepare():
                return pixels.prepare(request)
            case Compose():
                return pixels.compose(request)
            case _:
                assert_never(request)
    except PictureError as error:
        return channel.Refused(error.cause, error.advice)
    except MemoryError:
        return channel.Refused(
            f"{request.name} needs more than {MEMORY_BYTES >> 30} GiB of memory to open.",
            "Make the picture smaller, then move both files back into the inbox.",
        )
    except OSError as error:
        if not hindrance.is_of_the_machine(error):
            raise
        return channel.Hindered(hindrance.words(error), hindrance.ADVICE)


def serve(connection: Connection) -> None:
    """Answer the daemon until it hangs up."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    connection.send(channel.PixelsReady())
    while True:
        connection.send(answer(connection.recv()))


def main() -> None:
    """Entry of `python -m pipeline.pixel_worker DESCRIPTOR`."""
    # How a daemon that has hung up shows itself.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(channel.connect(int(sys.argv[1])))


if __name__ == "__main__":
    main()
