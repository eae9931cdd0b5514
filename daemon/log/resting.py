"""What is told of hot folders that rest because somebody wants it, and of a daemon that drains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daemon.log.story import DaemonEvent, FolderEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRests(FolderEvent):
    """No more jobs of a hot folder are begun."""

    reason: str  # "outside its hours, until Mon 20:00"

    def __str__(self) -> str:
        return f"The hot folder {self.root} rests: {self.reason}. What was begun is finished."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderGoesOn(FolderEvent):
    """Jobs of a hot folder are begun again."""

    def __str__(self) -> str:
        return f"The hot folder {self.root} is worked again."


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorDismissed(DaemonEvent):
    """The editor process was ended because nobody needs it now."""

    for_the_day: ClassVar[bool] = False

    def __str__(self) -> str:
        return "The editor was ended, since all hot folders rest: the memory of the GPU is free."
