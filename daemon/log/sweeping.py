"""What is told of files that were kept for long enough."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from daemon.log.story import FolderEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSwept(FolderEvent):
    """Files that we filed long ago were deleted, as the settings say."""

    what: str  # "done/2026-10-01", "logs"
    files: int
    days: float  # that they are kept

    def __str__(self) -> str:
        number = "1 file" if self.files == 1 else f"{self.files} files"
        return f"{number} of {self.what} were deleted: they are kept for {self.days:g} days."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNotSwept(FolderEvent):
    """Old files could not be deleted."""

    level: ClassVar[int] = logging.WARNING
    reason: str

    def __str__(self) -> str:
        return f"Old files could not be deleted ({self.reason}); it is tried again in some hours."
