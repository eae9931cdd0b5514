"""Events of results that were not true enough to their originals."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from daemon.log.story import JobDone, JobEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultMissed(JobEvent):
    """A result fell short for the first time; it is edited once more."""

    level: ClassVar[int] = logging.WARNING
    missed: tuple[str, ...]  # "42.0% of its pixels changed, max_changed is 0.2"
    seed: int  # of the next edit

    def __str__(self) -> str:
        told = f"{self.path} did not pass: {'; '.join(self.missed)}."
        return f"{told} It is edited once more, with seed {self.seed}."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReviewed(JobDone):
    """The results and their receipts are complete, and at least one needs a look."""

    level: ClassVar[int] = logging.WARNING
    missed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{JobDone.__str__(self)} Look at what is in review: {'; '.join(self.missed)}."
