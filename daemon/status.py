"""How everything stands, as one document: for `hotfolder status`, with or without a daemon."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from daemon.history import Counts
from daemon.inbox.names import printable
from daemon.job import FolderState, Plan, State
from daemon.log.wording import duration
from daemon.orders import Stands
from daemon.receipt import own_version
from daemon.work.active import Active, Editing, Resting, Resumable
from daemon.work.editor_line import Condition
from pipeline.editor import ModelFacts

SCHEMA = 1
_ILL = (FolderState.OFFLINE, FolderState.LOW_SPACE)
Document = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A result that needs a look."""

    file: str  # the original, relative to the inbox
    result: str  # relative to the root
    reason: str
    ended_at: float  # Unix time


def job_document(job: Active | Resumable, now: float, typical_seconds: float | None) -> Document:
    """One job under way; `typical_seconds` is what such a job took of late."""
    document: dict[str, object] = {
        "job_id": job.job.job_id,
        "file": printable(job.job.path),
        "state": job.state if isinstance(job, Active) else State.CLAIMED,
        "attempts": job.job.attempts,
    }
    if isinstance(job, Active) and job.reseeded:
        missed = "; ".join(job.reseeded[0].missed)
        document["reason"] = f"edited once more, because it did not pass: {missed}"
    match job.phase:
        case Editing(index, step, steps, since):
            document |= {"variant": index + 1, "step": step, "steps": steps}
            document["seconds"] = round(now - since, 1)
            if typical_seconds is not None:
                document["eta_seconds"] = round(max(0.0, typical_seconds - (now - since)), 1)
        case Resting(until=until, cause=cause):
            document |= {"reason": cause, "retry_in_seconds": round(max(0.0, until - now), 1)}
        case _:
            pass
    return document


def folder_document(
    root: str,
    stands: Stands,
    plan: Plan,
    jobs: Iterable[Document],
    today: Counts,
    *,
    reviews: Iterable[Review] = (),
) -> Document:
    """One hot folder: its files in the inbox, its jobs, its day and what needs a look since."""
    jobs = list(jobs)
    counts = Counter[str](str(file.state) for file in plan.states)
    counts.update(str(job["state"]) for job in jobs)
    return {
        "root": printable(root),
        "state": stands.state,
        "reason": stands.reason,
        "counts": dict(sorted(counts.items())),
        "today": asdict(today),
        "reviews": [
            {"file": printable(it.file), "result": printable(it.result), "reason": it.reason}
            for it in reviews
        ],
        "jobs": jobs,
        "files": [
            {
                "file": printable(file.path),
                "state": file.state,
                "reason": file.reason,
                "problems": [str(problem) for problem in file.problems],
            }
            for file in plan.states
        ],
        "ignored": [
            {"file": printable(file.path), "reason": file.reason} for file in plan.ignored
        ],
    }


def editor_document(condition: Condition, facts: ModelFacts | None) -> Document:
    """The editor process and its model."""
    document: dict[str, object] = {"state": type(condition).__name__.lower()}
    if facts is not None:
        document |= {
            "model": facts.path,
            "class": facts.class_name,
            "dtype": facts.dtype,
            "weights": facts.weights,
        }
    return document


def document(folders: Sequence[Document], editor: Document) -> Document:
    """All that a running daemon says of itself."""
    return {
        "schema": SCHEMA,
        "running": True,
        "pid": os.getpid(),
        "version": own_version(),
        "editor": editor,
        "folders": folders,
    }


def line(
    jobs: Iterable[Active | Resumable],
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


def _editing(job: Active | Resumable, phase: Editing) -> str:
    return f"editing {printable(job.job.path)} step {phase.step}/{phase.steps}"
