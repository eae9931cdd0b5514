"""The typed messages between the daemon and its child processes, and the child's end of it."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from config.problems import Problem
from config.settings import ModelSettings
from pipeline.editor import EditRequest, Event, ModelFacts
from pipeline.pixel_requests import Compose, Composed, Prepare, Prepared

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


def connect(arguments: Sequence[str]) -> Connection:
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
    return Connection(descriptor)
