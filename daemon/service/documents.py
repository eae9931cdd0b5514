"""How everything stands, as documents and as one line: for whoever asks, and for systemd."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from daemon import own_version
from daemon.control.documents import SCHEMA, DaemonStatus, FolderStatus, JobStatus
from daemon.events.text import duration
from daemon.fs.names import printable
from daemon.job import FolderState, State
from daemon.jobs.job_run import Backoff, Editing, JobRun, ParkedJob
from daemon.workers.backend import Condition
from pipeline.editor import ModelFacts

_ILL = (FolderState.OFFLINE, FolderState.LOW_SPACE)


def job_status(job: JobRun | ParkedJob, now: float, typical_seconds: float | None) -> JobStatus:
    """One job under way; `typical_seconds` is what such a job took of late."""
    status = JobStatus(
        job_id=job.job.job_id,
        file=printable(job.job.path),
        state=job.state if isinstance(job, JobRun) else State.CLAIMED,
        attempts=job.job.attempts,
        reason=_second_try(job),
    )
    match job.phase:
        case Editing(index, step, steps, since):
            seconds, left = now - since, None
            if typical_seconds is not None:
                left = round(max(0.0, typical_seconds - seconds), 1)
            at = replace(status, variant=index + 1, step=step, steps=steps)
            return replace(at, seconds=round(seconds, 1), eta_seconds=left)
        case Backoff(until=until, cause=cause):
            rest = round(max(0.0, until - now), 1)
            return replace(status, reason=cause, retry_in_seconds=rest)
        case _:
            return status


def _second_try(job: JobRun | ParkedJob) -> str | None:
    if isinstance(job, JobRun) and job.reseeded:
        missed = "; ".join(job.reseeded[0].missed)
        return f"edited once more, because it did not pass: {missed}"
    return None


def editor_status(condition: Condition, facts: ModelFacts | None) -> Mapping[str, str]:
    """The editor process and its model."""
    status = {"state": type(condition).__name__.lower()}
    if facts is not None:
        status |= {"model": facts.path, "class": facts.class_name}
        status |= {"dtype": facts.dtype, "weights": facts.weights}
    return status


def daemon_status(folders: Sequence[FolderStatus], editor: Mapping[str, str]) -> DaemonStatus:
    """All that a running daemon says of itself."""
    return DaemonStatus(
        schema=SCHEMA,
        running=True,
        pid=os.getpid(),
        version=own_version(),
        editor=editor,
        folders=tuple(folders),
    )


def status_line(
    jobs: Iterable[JobRun | ParkedJob],
    *,
    ready: int,
    waiting: int,
    halt: str = "",
    usual_seconds: float | None = None,
    failed_today: int = 0,
    shares: str = "",
) -> str:
    """How everything stands, for `systemctl status`.

    `halt` is why no job is begun, `usual_seconds` what a job takes, `shares` how they stand.
    """
    parts = [f"paused: {halt}"] if halt else []
    parts += [_editing(job, job.phase) for job in jobs if isinstance(job.phase, Editing)]
    parts.append(_queue(ready, usual_seconds))
    if waiting:
        parts.append(f"waiting for sidecar {waiting}")
    if failed_today:
        parts.append(f"failed today {failed_today}")
    return " · ".join([*parts, shares] if shares else parts)


def shares(stands: Mapping[str, FolderState]) -> str:
    """How the shares of the hot folders stand, in a few words."""
    ill = {root: state for root, state in stands.items() if state in _ILL}
    return ", ".join(f"{printable(root)} {state}" for root, state in ill.items()) or "share ok"


def _queue(ready: int, usual_seconds: float | None) -> str:
    if not ready or usual_seconds is None:
        return f"queue {ready}"
    return f"queue {ready} (~{_short(ready * usual_seconds)})"


def _short(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds >= 60 else duration(seconds)


def _editing(job: JobRun | ParkedJob, phase: Editing) -> str:
    return f"editing {printable(job.job.path)} step {phase.step}/{phase.steps}"
