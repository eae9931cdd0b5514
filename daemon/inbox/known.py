"""What has been read of the files of an inbox, as far as planning needs it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import Protocol

from config.keys import Written
from config.problems import Problem
from daemon.job import Seen
from pipeline.container.examination import Incomplete, Whole
from pipeline.instruction import Instruction


@dataclass(frozen=True, slots=True)
class Unread:
    """Not read: it has not settled, is in use, or was changed or taken away while we looked."""


@dataclass(frozen=True, slots=True)
class Unreadable(Unread):
    """It may not or cannot be read; nobody knows what it says until that is mended."""

    reason: str
    is_lasting: bool  # False: it may be read again in a moment
    again_at: float = inf  # monotonic seconds when it is tried again


@dataclass(frozen=True, slots=True)
class Broken:
    """Read, and of no use until somebody mends it."""

    problems: tuple[Problem, ...]


Picture = Whole | Incomplete | Broken | Unread
Text = Instruction | Written | Broken | Unread  # an instruction in a sidecar, written in a preset

DEFAULT_PRIORITY = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job needs beside its image and its sidecar, and what is wrong with what it says."""

    companions: tuple[str, ...] = ()  # references and mask, base names as written
    priority: int = DEFAULT_PRIORITY
    problems: tuple[Problem, ...] = ()


class Known(Protocol):
    """Answers from memory; asking twice about the same files gives the same answer."""

    def picture(self, image: Seen) -> Picture:
        """What an image holds, and whether all of it is there."""
        ...

    def text(self, file: Seen) -> Text:
        """What a sidecar or a folder preset says."""
        ...

    def own_papers(self) -> Collection[Seen]:
        """The files that are papers of ours about an earlier failure."""
        ...

    def wanted(self, sidecar: Seen | None, presets: tuple[Seen, ...]) -> Wanted:
        """What a readable or broken sidecar asks for, on readable presets, outermost first."""
        ...

    def give_prompt(self, presets: tuple[Seen, ...]) -> bool:
        """Whether these presets let an image run without a sidecar."""
        ...
