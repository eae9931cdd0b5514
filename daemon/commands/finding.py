"""One thing that `hotfolder check` looked at: how it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from config.problems import Problem


class Verdict(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"  # it works, perhaps not as meant
    PROBLEM = "problem"  # somebody has to mend it first


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found, in one sentence that ends in what to do where that is needed."""

    verdict: Verdict
    subject: str  # "settings", "folder", "model", "machine"
    text: str


def ok(subject: str, text: str) -> Finding:
    """A thing that is as it should be."""
    return Finding(Verdict.OK, subject, text)


def warning(subject: str, text: str, advice: str) -> Finding:
    """A thing that somebody should know of."""
    return Finding(Verdict.WARNING, subject, f"{text}; {advice}")


def problem(subject: str, text: str, advice: str) -> Finding:
    """A thing that somebody has to mend."""
    return Finding(Verdict.PROBLEM, subject, f"{text}; {advice}")


def problems(subject: str, found: Iterable[Problem]) -> Iterator[Finding]:
    """The problems of a seam, each a finding."""
    return (Finding(Verdict.PROBLEM, subject, str(one)) for one in found)
