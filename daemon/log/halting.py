"""What is told when nothing is begun: no more jobs, or not even the daemon."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from config.problems import Problem
from daemon.log.story import DaemonEvent, Event, Noted


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkHalted(DaemonEvent):
    """No job is begun: the machine is at fault, and no job."""

    level: ClassVar[int] = logging.ERROR
    reason: str

    def __str__(self) -> str:
        return f"No more jobs are begun: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTried(DaemonEvent):
    """The halt is over for one job."""

    what: str = "the editor"  # that did not work

    def __str__(self) -> str:
        return f"One job tries whether {self.what} works again."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkGoesOn(DaemonEvent):
    """Jobs are begun again."""

    what: str = "the editor"  # that did not work

    def __str__(self) -> str:
        what = f"{self.what[:1].upper()}{self.what[1:]}"
        return f"{what} works again: jobs are begun as usual."


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelWorkerLost(DaemonEvent):
    """A process that opens and saves pictures died or hung."""

    level: ClassVar[int] = logging.ERROR
    reason: str  # "killed by SIGKILL", "exit status 1"
    last_words: str  # the end of what it printed

    def __str__(self) -> str:
        return (
            f"A program that opens and saves pictures ended ({self.reason}); another is started."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld(Noted):
    """A part of the daemon hangs; systemd is given no sign of life."""

    level: ClassVar[int] = logging.ERROR

    def as_told_in(self, _root: Path) -> Event:
        """The same without the hindrance, which may be another hot folder."""
        return replace(self, text=f"{self.text.partition(':')[0]}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFailed(Noted):
    """A fault of ours ended what a thread was at; it goes on after a rest."""

    level: ClassVar[int] = logging.ERROR
    for_the_day: ClassVar[bool] = False  # it is for whoever mends us, and the log may be at fault
    thread: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted(DaemonEvent):
    """The daemon ends before it has begun."""

    level: ClassVar[int] = logging.ERROR
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return f"Hotfolder cannot start: {' '.join(f'{problem}.' for problem in self.problems)}"
