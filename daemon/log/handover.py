"""What is told of several daemons on one hot folder."""

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
