"""What somebody has to mend: every problem names a place, what is wrong there and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend, in words that its reader can act on."""

    where: str  # "photo.yaml, line 3", "hotfolder.yaml, folders[0].root"
    what: str  # "'strenght' is no key"
    advice: str  # "write 'strength' or remove the line"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.advice}"


class UserError(Exception):
    """Somebody must mend what they wrote or provided; holds all problems at once, never none."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        assert self.problems
        super().__init__("\n".join(map(str, self.problems)))


class Complaints:
    """Collects the problems of one file while it is read, to be raised together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._found: list[tuple[int, Problem]] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, line: int, what: str, advice: str) -> None:
        """Note what is wrong at a line (counted from 1) and what to write instead."""
        self._found.append((line, Problem(f"{self.name}, line {line}", what, advice)))

    def raise_any(self) -> None:
        """Raise UserError with every problem in the order of the lines, if there is one."""
        if self._found:
            raise UserError(
                problem for _, problem in sorted(self._found, key=lambda found: found[0])
            )
