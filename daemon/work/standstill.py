"""Whether jobs are begun at all: not while the machine, and no job, makes every one fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

DIFFERENT_JOBS = 3  # over which a process ends in a row: then it is the machine
WAIT_SECONDS = (60.0, 120.0, 300.0, 600.0, 1800.0)  # before one job tries it out

_DEATHS = (
    "{part} ended over three different jobs in a row ({how}), so it is the"
    " machine and no job: look at {suspicion} (hotfolder check, dmesg)"
)


class Part(StrEnum):
    """What every job needs; each may be broken while the others work."""

    EDITOR = "the editor"
    WORKERS = "the program that opens and saves pictures"  # that it can be started
    OPENING = "the program that opens pictures"
    SAVING = "the program that saves pictures"


_UNOPENED = {
    Part.EDITOR: "the editor cannot be opened any more: {what}",
    Part.WORKERS: f"{Part.WORKERS} cannot be started: {{what}}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """Jobs are begun as usual."""

    suspects: frozenset[str] = frozenset()  # over which alone it ended since it did well


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """No job is begun; at `until` one job tries it out."""

    cause: str
    until: float  # monotonic seconds
    tries: int  # that failed
    suspects: frozenset[str]
    is_over_when_open: bool  # whether a process that opens is all that was missing


@dataclass(frozen=True, slots=True)
class Trying:
    """One job at a time, alone, until one is done."""

    halted: Halted


Standing = Going | Halted | Trying


def after_death(
    standing: Standing, job_id: str, how: str, now: float, part: Part = Part.EDITOR
) -> Standing:
    """The process ended over a job that it had alone."""
    suspicion = "GPU, driver and memory" if part is Part.EDITOR else "memory and installation"
    cause = _DEATHS.format(part=part, how=how, suspicion=suspicion)
    match standing:
        case Going(suspects=suspects):
            suspects |= {job_id}
            if len(suspects) < DIFFERENT_JOBS:
                return Going(suspects=suspects)
            return _halted(cause, suspects, now)
        case Halted():
            return replace(standing, suspects=standing.suspects | {job_id})
        case Trying(halted):
            return _longer(replace(halted, suspects=halted.suspects | {job_id}), now)
        case _:
            assert_never(standing)


def after_hindrance(standing: Standing, cause: str, now: float) -> Standing:
    """A disk, a GPU or another part of the machine hindered a job."""
    return _hindered(standing, cause, now, is_over_when_open=False)


def after_closed_door(
    standing: Standing, what: str, now: float, part: Part = Part.EDITOR
) -> Standing:
    """The process cannot be opened."""
    return _hindered(standing, _UNOPENED[part].format(what=what), now, is_over_when_open=True)


def after_opening(standing: Standing) -> Standing:
    """The process is open."""
    match standing:
        case Trying(Halted(is_over_when_open=True) as halted):
            return Going(suspects=halted.suspects)
        case _:
            return standing


def after_success(standing: Standing) -> Standing:
    """It has done what a job asked for."""
    # Jobs of the same pass may be done after one was hindered: that mends nothing.
    return standing if isinstance(standing, Halted) else Going()


def by(standing: Standing, now: float) -> Standing:
    """How it stands at a moment by itself."""
    match standing:
        case Halted(until=until) if now >= until:
            return Trying(halted=standing)
        case _:
            return standing


def at_once(standing: Standing) -> Standing:
    """Somebody asks to try it now, and may have mended it."""
    match standing:
        case Halted():
            return Trying(halted=replace(standing, tries=0))
        case _:
            return standing


def suspects_of(standing: Standing) -> frozenset[str]:
    """The jobs over which it ended since it did well: others go first."""
    match standing:
        case Going(suspects=suspects) | Halted(suspects=suspects):
            return suspects
        case Trying(halted):
            return halted.suspects
        case _:
            assert_never(standing)


def is_cleared(before: Standing, done: Iterable[str]) -> bool:
    """Whether these jobs, which are done, show that it was no fault of the machine."""
    return not frozenset(done) & suspects_of(before)


def _hindered(standing: Standing, cause: str, now: float, *, is_over_when_open: bool) -> Standing:
    fresh = _halted(cause, suspects_of(standing), now)
    match standing:
        case Going():
            return replace(fresh, is_over_when_open=is_over_when_open)
        case Halted():
            return standing
        case Trying(halted):
            longer = replace(fresh, tries=halted.tries, is_over_when_open=is_over_when_open)
            return _longer(longer, now)
        case _:
            assert_never(standing)


def _halted(cause: str, suspects: frozenset[str], now: float) -> Halted:
    return Halted(
        cause=cause,
        until=now + WAIT_SECONDS[0],
        tries=0,
        suspects=suspects,
        is_over_when_open=False,
    )


def _longer(halted: Halted, now: float) -> Halted:
    tries = halted.tries + 1
    wait_seconds = WAIT_SECONDS[min(tries, len(WAIT_SECONDS) - 1)]
    return replace(halted, tries=tries, until=now + wait_seconds)
