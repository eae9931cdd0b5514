"""What is told when no more jobs are begun, and when they are again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from daemon.log.story import DaemonEvent


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

    def __str__(self) -> str:
        return "One job tries whether the editor works again."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkGoesOn(DaemonEvent):
    """Jobs are begun again."""

    def __str__(self) -> str:
        return "The editor works again: jobs are begun as usual."
