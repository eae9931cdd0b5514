"""What the daemon says of itself: in one line to systemd, at length to whoever asks."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from daemon import own_version
from daemon.clock import Clock, last_midnight
from daemon.control.documents import Document, Review
from daemon.events.text import duration
from daemon.folder import messages
from daemon.folder.messages import StatusChanged
from daemon.folder.view import FolderView
from daemon.fs.names import printable
from daemon.history import Counts, History
from daemon.job import EMPTY_PLAN, FolderState, Plan, State
from daemon.jobs.job_run import Backoff, Editing, JobRun, ParkedJob
from daemon.jobs.runner import JobRunner
from daemon.service.pause import PauseControl
from daemon.workers.editor import Condition, EditorProcess
from pipeline.editor import ModelFacts

_COUNTS_SECONDS = 30.0
SCHEMA = 1
_ILL = (FolderState.OFFLINE, FolderState.LOW_SPACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _DayCounts:
    """What the history knows."""

    failed_today: int
    usual_seconds: float | None  # that a job takes


class StatusReporter:
    """Tells how the hot folders and their jobs stand at this moment."""

    def __init__(
        self,
        *,
        folders: Mapping[str, FolderView],
        runner: JobRunner,
        editor: EditorProcess,
        history: History,
        clock: Clock,
        pause_control: PauseControl,
    ) -> None:
        self._folders, self._runner, self._pause_control = folders, runner, pause_control
        self._editor, self._history, self._clock = editor, history, clock
        self._counts = _DayCounts(failed_today=0, usual_seconds=None)
        self._counted_at, self._counted_ends = -math.inf, 0

    def line(self) -> str:
        """All in one line."""
        folders = self._folders.values()
        if all(folder.is_standby for folder in folders):
            return "stands by: another daemon leads"
        ready = sum(len(folder.plan.ready) for folder in folders if folder.plan is not None)
        waiting = sum(folder.waiting for folder in folders)
        halt = self._runner.breaker.reason() or self._rest()
        counts = self._counted()
        return status_line(
            self._runner.jobs,
            ready=ready,
            waiting=waiting,
            halt=halt,
            usual_seconds=counts.usual_seconds,
            failed_today=counts.failed_today,
            shares=shares({root: it.stands.state for root, it in self._folders.items()}),
        )

    def _rest(self) -> str:
        """Why no job is begun in any of them, where that is so."""
        reasons = [self._pause_control.reason(root) for root in self._folders]
        return reasons[0] if all(reasons) else ""

    def _counted(self) -> _DayCounts:
        # Asked for every second; the history is asked where a job has ended, or a day may have.
        now, ends = self._clock.monotonic(), self._runner.completion.ended
        if ends != self._counted_ends or now - self._counted_at > _COUNTS_SECONDS:
            midnight = last_midnight(self._clock.time())
            identities = [folder.folder_worker.identity for folder in self._folders.values()]
            counts = [self._history.counts_since(one, midnight) for one in identities]
            self._counts = _DayCounts(
                failed_today=sum(count.failed + count.quarantined for count in counts),
                usual_seconds=self._history.usual_seconds(),
            )
            self._counted_at, self._counted_ends = now, ends
        return self._counts

    def of(self, root: str) -> Document:
        """How one hot folder stands, for `hotfolder status`."""
        editor = editor_document(self._editor.condition, self._runner.editing.facts)
        folder = self._folders.get(root)
        if folder is None:
            return status_document([], editor)
        plan = folder.plan or EMPTY_PLAN
        now, midnight = self._clock.monotonic(), last_midnight(self._clock.time())
        jobs = [
            job_document(job, now, self._typical_seconds(job))
            for job in self._runner.jobs
            if job.root == root
        ]
        today = self._history.counts_since(folder.folder_worker.identity, midnight)
        reviews = self._runner.completion.reviews_since(root, midnight)
        mine = folder_document(root, self.stands(folder), plan, jobs, today, reviews=reviews)
        return status_document([mine], editor)

    def stands(self, folder: FolderView) -> messages.StatusChanged:
        """How a hot folder stands for people: paused where no job is begun."""
        halt = self._runner.breaker.reason() or self._pause_control.reason(str(folder.root))
        if halt and folder.stands.state is FolderState.ONLINE:
            return messages.StatusChanged(FolderState.PAUSED, halt)
        return folder.stands

    def _typical_seconds(self, job: JobRun | ParkedJob) -> float | None:
        if isinstance(job, JobRun):
            recipe = job.resolved_job.recipe
            return self._history.typical_seconds(recipe.steps * recipe.variants)
        return None


def job_document(job: JobRun | ParkedJob, now: float, typical_seconds: float | None) -> Document:
    """One job under way; `typical_seconds` is what such a job took of late."""
    described: dict[str, object] = {
        "job_id": job.job.job_id,
        "file": printable(job.job.path),
        "state": job.state if isinstance(job, JobRun) else State.CLAIMED,
        "attempts": job.job.attempts,
    }
    if isinstance(job, JobRun) and job.reseeded:
        missed = "; ".join(job.reseeded[0].missed)
        described["reason"] = f"edited once more, because it did not pass: {missed}"
    match job.phase:
        case Editing(index, step, steps, since):
            described |= {"variant": index + 1, "step": step, "steps": steps}
            described["seconds"] = round(now - since, 1)
            if typical_seconds is not None:
                described["eta_seconds"] = round(max(0.0, typical_seconds - (now - since)), 1)
        case Backoff(until=until, cause=cause):
            described |= {"reason": cause, "retry_in_seconds": round(max(0.0, until - now), 1)}
        case _:
            pass
    return described


def folder_document(
    root: str,
    stands: StatusChanged,
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
    described: dict[str, object] = {"state": type(condition).__name__.lower()}
    if facts is not None:
        described |= {
            "model": facts.path,
            "class": facts.class_name,
            "dtype": facts.dtype,
            "weights": facts.weights,
        }
    return described


def status_document(folders: Sequence[Document], editor: Document) -> Document:
    """All that a running daemon says of itself."""
    return {
        "schema": SCHEMA,
        "running": True,
        "pid": os.getpid(),
        "version": own_version(),
        "editor": editor,
        "folders": folders,
    }


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
