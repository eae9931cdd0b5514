"""Commands that failed at what is one job's own: tried again in time, while no other waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import assert_never

from daemon.folder import messages
from daemon.fs.errors import rest_seconds, words_of
from daemon.job import FileState, Job, Plan, State, with_states
from daemon.supervision import fault_of

_TRIES = 4  # in 7 s; what is wrong for longer somebody has to mend
_HELD_SECONDS, _LONGEST_HELD_SECONDS = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class _PutOff:
    command: messages.JobCommand
    failures: int  # in a row
    due_at: float  # monotonic seconds


@dataclass(frozen=True, slots=True)
class _HeldJob:
    path: str  # of the image, relative to the inbox
    reason: str
    rest_seconds: float
    due_at: float  # monotonic seconds; never, where it is being tried


def job_of_command(command: messages.ExecutorCommand) -> Job | None:
    """The claimed job that a command is about."""
    match command:
        case messages.Publish(finished):
            return finished.resolved_job.job
        case (
            messages.Reclaim(job=job)
            | messages.FileFailed(job=job)
            | messages.FileDone(job=job)
            | messages.Release(job)
            | messages.DropScratch(job)
        ):
            return job
        case (
            messages.Claim() | messages.CancelWaiting() | messages.FileAway() | messages.Requeue()
        ):
            return None
        case _:
            assert_never(command)


@dataclass(slots=True)
class CommandRetries:
    """Those of one hot folder."""

    _put_off: dict[str, _PutOff] = field(default_factory=dict)  # by job
    _held_jobs: dict[str, _HeldJob] = field(default_factory=dict)  # by job, in work/ until mended

    def put_off(self, job: Job, command: messages.JobCommand, now: float) -> bool:
        """Have a command that failed tried again before long; False: it has failed too often."""
        before = self._put_off.get(job.job_id)
        is_same = before is not None and type(before.command) is type(command)
        failures = 1 + (before.failures if before is not None and is_same else 0)
        if failures >= _TRIES:
            self._put_off.pop(job.job_id, None)
            return False
        due_at = now + rest_seconds(failures, once=False)
        self._put_off[job.job_id] = _PutOff(command, failures, due_at)
        return True

    def due(self, now: float) -> tuple[messages.JobCommand, ...]:
        """The commands to try again now."""
        return tuple(it.command for it in self._put_off.values() if it.due_at <= now)

    def due_at(self) -> float:
        """When the next of them is due, in monotonic seconds."""
        return min((it.due_at for it in self._put_off.values()), default=inf)

    def put_off_commands(self) -> tuple[messages.JobCommand, ...]:
        """All commands that are still to be done."""
        return tuple(it.command for it in self._put_off.values())

    def hold(self, job_id: str, path: str, reason: str, now: float) -> bool:
        """Leave a job in work/ until somebody mends what the reason says, tried now and then.

        Gives whether the reason is news.
        """
        self._put_off.pop(job_id, None)
        before = self._held_jobs.get(job_id)
        rest = _HELD_SECONDS if before is None else before.rest_seconds * 2
        rest = min(rest, _LONGEST_HELD_SECONDS)
        self._held_jobs[job_id] = _HeldJob(path, reason, rest, now + rest)
        return before is None or before.reason != reason

    def has_due_held_jobs(self, now: float) -> bool:
        """Whether a job that was left in work/ is to be tried again."""
        return any(it.due_at <= now for it in self._held_jobs.values())

    def mark_retried(self, job_id: str) -> None:
        """A job that was left in work/ is tried again now."""
        if held := self._held_jobs.get(job_id):
            self._held_jobs[job_id] = replace(held, due_at=inf)

    def held_jobs(self) -> frozenset[str]:
        """The ids of the jobs that were left in work/."""
        return frozenset(self._held_jobs)

    def keep_where(self, is_there: Callable[[str], bool]) -> None:
        """Hold no job any more whose folder in work/ somebody has removed."""
        self._held_jobs = {
            job_id: it for job_id, it in self._held_jobs.items() if is_there(job_id)
        }

    def over(self, job_id: str) -> None:
        """A job has gone on."""
        self._put_off.pop(job_id, None)
        self._held_jobs.pop(job_id, None)

    def clear(self) -> None:
        """Know of none any more."""
        self._put_off.clear()
        self._held_jobs.clear()

    def shown_in(self, plan: Plan) -> Plan:
        """The plan with the jobs that were left in work/, which are held."""
        held = (it for it in self._held_jobs.values() if it.due_at < inf)
        return with_states(plan, (FileState(it.path, State.HELD, it.reason) for it in held))


def held_reason(job_id: str, what: str, advice: str) -> str:
    """Why a job stays in work/, in one phrase."""
    return f"its files lie in .hotfolder/work/{job_id} and cannot be filed ({what}): {advice}"


def words_of_hindrance(error: Exception, root: Path) -> tuple[str, str]:
    """What hinders one job, an error of the system or a fault of ours, and what to do about it."""
    if isinstance(error, OSError):
        return words_of(error, root)
    return fault_of(error).reason, "none of its files is lost"
