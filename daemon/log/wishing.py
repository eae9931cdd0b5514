"""Events of what people did with jobs by hand: cancelled, or tried again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from daemon.log.story import FolderEvent, JobEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled(JobEvent):
    """A job has ended because somebody wanted it."""

    originals: str  # where they are, relative to the root

    def __str__(self) -> str:
        return f"{self.path} was cancelled; the originals are in {self.originals}."


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingCancelled(FolderEvent):
    """A cancel file found nothing that it could cancel."""

    level: ClassVar[int] = logging.WARNING
    path: str
    reason: str  # "no picture or job has its name"
    where: str  # it is now, relative to the root; "" where it could not be moved

    def __str__(self) -> str:
        told = f"{self.path} cancels nothing: {self.reason}."
        return f"{told} It was moved to {self.where}." if self.where else told


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelStuck(FolderEvent):
    """A cancel file cannot be moved away."""

    level: ClassVar[int] = logging.WARNING
    path: str
    reason: str  # "it may not be taken by this user (…)"

    def __str__(self) -> str:
        return f"{self.path} counts no more, but stays in the inbox: {self.reason}. Remove it."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRevived(FolderEvent):
    """The originals of a failed job are in the inbox again."""

    folder: str  # of failed/, relative to the root
    paths: tuple[str, ...]  # in the inbox

    def __str__(self) -> str:
        return f"{self.folder} is tried again: {', '.join(self.paths)} went back to the inbox."
