"""A pixel worker that is killed over the pictures that files in the home folder name.

`opening` and `saving` hold patterns of file names; no file, no death. With `starting` there, it
does not even start.
"""

import contextlib
import os
import re
import signal
import sys
from pathlib import Path

from pipeline import ipc, pixel_worker
from pipeline.pixel_requests import Prepare


def meet(request: ipc.ToPixels) -> None:
    """Die over a request where that is written."""
    deed = "opening" if isinstance(request, Prepare) else "saving"
    with contextlib.suppress(FileNotFoundError):
        if re.fullmatch(_note(deed).read_text(), request.name):
            os.kill(os.getpid(), signal.SIGKILL)


def _note(deed: str) -> Path:
    return Path(os.environ["HOME"]) / deed


if __name__ == "__main__":
    if _note("starting").exists():
        print("the disk with its libraries is gone")
        raise SystemExit(1)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        line = ipc.connect(sys.argv[1:], ipc.ToPixels)
        line.send(ipc.PixelsReady())
        while True:
            asked = line.receive()
            meet(asked)
            line.send(pixel_worker.answer(asked))
