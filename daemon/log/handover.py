"""What is told of several daemons on one hot folder, at once or one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daemon.log.story import FolderEvent, JobEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStandby(FolderEvent):
    """Another daemon leads a hot folder; this one touches nothing in it."""

    for_the_day: ClassVar[bool] = False  # the daily log is the other one's, too
    reason: str  # "process 4711 on nas leads"

    def __str__(self) -> str:
        return f"The hot folder {self.root} is on standby: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPassed(JobEvent):
    """A job was begun here, and another daemon leads now."""

    def __str__(self) -> str:
        return f"{self.path} is left to the daemon that leads now."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFoundDone(JobEvent):
    """The results of a job were complete before the daemon that made them had told of it."""

    results: tuple[str, ...]  # relative to the root

    def __str__(self) -> str:
        return f"{self.path} was edited before the restart: {', '.join(self.results)}."
