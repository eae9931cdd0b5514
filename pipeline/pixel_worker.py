"""A pixel worker: opens and saves pictures for the daemon inside a memory limit, one at a time."""

from __future__ import annotations

import contextlib
import resource
import sys
from typing import assert_never

import cv2

from pipeline import editor, ipc
from pipeline.picture import tasks
from pipeline.picture.open import MEMORY_BYTES
from pipeline.pixel_requests import Compose, PictureError, Prepare

THREADS = 4  # of OpenCV: more are hardly faster, and take address space


def answer(request: ipc.ToPixels) -> ipc.FromPixels:
    """Do what is asked; a picture that cannot be used is an answer, not an exception."""
    try:
        match request:
            case Prepare():
                return tasks.prepare(request)
            case Compose():
                return tasks.compose(request)
            case _:
                assert_never(request)
    except PictureError as error:
        return ipc.Refused(error.cause, error.advice)
    except MemoryError:
        # What needs much of it is a PictureError: this is the machine's, as a full disk is.
        return ipc.MachineFault(
            f"Memory ran out over {request.name}, which needs little of it.",
            "Free memory on this machine, or give its programs more.",
        )
    except OSError as error:
        if not editor.is_of_the_machine(error):
            raise
        return ipc.MachineFault(editor.machine_words(error), editor.MACHINE_ADVICE)


def serve(connection: ipc.Connection) -> None:
    """Answer the daemon until it hangs up."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    cv2.setNumThreads(min(THREADS, cv2.getNumberOfCPUs()))
    connection.send(ipc.PixelsReady())
    while True:
        connection.send(answer(connection.receive()))


def main() -> None:
    """Entry of `python -m pipeline.pixel_worker DESCRIPTOR DAEMON`."""
    # How a daemon that has hung up shows itself.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(ipc.connect(sys.argv[1:], ipc.ToPixels))


if __name__ == "__main__":
    main()
