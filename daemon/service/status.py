"""What the daemon says of itself, whenever it is asked."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from daemon import own_version
from daemon.clock import last_midnight
from daemon.context import Context
from daemon.control.documents import SCHEMA, DaemonStatus, FolderStatus, JobStatus, Request
from daemon.events.text import duration
from daemon.folder import messages
from daemon.folder.documents import FolderSnapshot
from daemon.folder.view import FolderView
from daemon.fs.names import printable
from daemon.job import EMPTY_PLAN, FolderState, State
from daemon.jobs.job_run import Backoff, Editing, JobRun, ParkedJob
from daemon.jobs.runner import JobRunner
from daemon.service.pause import PauseControl
from daemon.workers.backend import Condition, Dead
from pipeline.editor import ModelFacts

_COUNTS_SECONDS = 30.0
_ILL = (FolderState.OFFLINE, FolderState.LOW_SPACE)


class StatusReporter:
    """Tells how the hot folders and their jobs stand at this moment."""

    def __init__(
        self,
        context: Context,
        folders: Mapping[str, FolderView],
        runner: JobRunner,
        pause_control: PauseControl,
    ) -> None:
        self._folders, self._runner, self._pause_control = folders, runner, pause_control
        self._history, self._clock = context.history, context.clock
        self._failed_today = 0
        self._usual_seconds: float | None = None  # that a job takes
        self._counted_at, self._counted_ends = -math.inf, 0

    def line(self) -> str:
        """All in one line."""
        folders = self._folders.values()
        if all(folder.is_standby for folder in folders):
            return "on standby: another daemon works on them"
        ready = sum(len(folder.plan.ready) for folder in folders if folder.plan is not None)
        waiting = sum(folder.waiting for folder in folders)
        halt = self._runner.breaker.reason() or self._rest()
        self._count()
        return status_line(
            self._runner.jobs,
            ready=ready,
            waiting=waiting,
            halt=halt,
            usual_seconds=self._usual_seconds,
            failed_today=self._failed_today,
            shares=shares({root: it.stands.state for root, it in self._folders.items()}),
        )

    def _rest(self) -> str:
        """Why no job is begun in any of them, where that is so."""
        reasons = [self._pause_control.reason(root) for root in self._folders]
        return reasons[0] if all(reasons) else ""

    def _count(self) -> None:
        # Asked for every second; the history is asked where a job has ended, or a day may have.
        now, ends = self._clock.monotonic(), self._runner.completion.ended
        if ends == self._counted_ends and now - self._counted_at <= _COUNTS_SECONDS:
            return
        midnight = last_midnight(self._clock.time())
        identities = [folder.folder_worker.identity for folder in self._folders.values()]
        counts = [self._history.counts_since(one, midnight) for one in identities]
        self._failed_today = sum(count.failed + count.quarantined for count in counts)
        self._usual_seconds = self._history.usual_seconds()
        self._counted_at, self._counted_ends = now, ends

    def answer(self, request: Request) -> Callable[[], DaemonStatus]:
        """What is asked of one hot folder, from memory; whoever sends it has it made."""
        editing = self._runner.editing
        editor = editor_status(
            self._runner.editor.condition, editing.facts, is_unneeded=editing.is_unneeded
        )
        folder, verb = self._folders.get(str(request.root)), request.verb
        if folder is None or (verb == "plan" and not _knows_its_files(folder)):
            return partial(daemon_status, (), editor)
        is_of_files = verb in ("plan", "explain")
        snapshot = self._snapshot(folder) if is_of_files else self._with_its_day(folder)
        return lambda: daemon_status((snapshot.answer(verb, request.arguments),), editor)

    def _snapshot(self, folder: FolderView) -> FolderSnapshot:
        root, now = str(folder.root), self._clock.monotonic()
        return FolderSnapshot(
            root=root,
            stands=self.stands(folder),
            plan=folder.plan or EMPTY_PLAN,
            jobs=tuple(
                job_status(job, now, self._typical_seconds(job))
                for job in self._runner.jobs
                if job.root == root
            ),
        )

    def _with_its_day(self, folder: FolderView) -> FolderSnapshot:
        root, midnight = str(folder.root), last_midnight(self._clock.time())
        return replace(
            self._snapshot(folder),
            today=self._history.counts_since(folder.folder_worker.identity, midnight),
            reviews=tuple(self._runner.completion.reviews_since(root, midnight)),
        )

    def stands(self, folder: FolderView) -> messages.StatusChanged:
        """How a hot folder stands for people: paused where no job is begun."""
        halt = self._runner.breaker.reason() or self._pause_control.reason(str(folder.root))
        if halt and folder.stands.state is FolderState.ONLINE:
            return messages.StatusChanged(FolderState.PAUSED, halt)
        return folder.stands

    def _typical_seconds(self, job: JobRun | ParkedJob) -> float | None:
        if isinstance(job, JobRun):
            recipe = job.resolved_job.recipe
            steps = recipe.steps * recipe.variants
            return self._history.typical_seconds(steps, recipe.megapixels or 0.0)
        return None


def _knows_its_files(folder: FolderView) -> bool:
    """Whether a hot folder's plan is one of now, or nobody can have another."""
    is_gone = folder.is_offline and folder.is_known
    return is_gone or (folder.plan is not None and not folder.is_outdated)


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


def editor_status(
    condition: Condition, facts: ModelFacts | None, *, is_unneeded: bool = False
) -> Mapping[str, str]:
    """The editor process and its model; unneeded: all hot folders are paused."""
    is_unloaded = is_unneeded and isinstance(condition, Dead)
    status = {"state": "unloaded" if is_unloaded else type(condition).__name__.lower()}
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
        parts.append(f"waiting-sidecar {waiting}")
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
