"""What the daemon says of itself, whenever it is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from daemon.clock import Clock, last_midnight
from daemon.control.documents import DaemonStatus, FolderStatus, Request
from daemon.folder import messages
from daemon.folder.documents import FolderSnapshot
from daemon.folder.view import FolderView
from daemon.history import History
from daemon.job import EMPTY_PLAN, FolderState
from daemon.jobs.job_run import JobRun, ParkedJob
from daemon.jobs.runner import JobRunner
from daemon.service.documents import (
    daemon_status,
    editor_status,
    job_status,
    shares,
    status_line,
)
from daemon.service.pause import PauseControl
from daemon.workers.backend import EditBackend

_COUNTS_SECONDS = 30.0


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
        editor: EditBackend,
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

    def answer(self, request: Request) -> Callable[[], DaemonStatus]:
        """What is asked of one hot folder, from memory; whoever sends it has it made.

        The verb is "plan" or "explain", of a "path" relative to the inbox, else "status".
        """
        editor = editor_status(self._editor.condition, self._runner.editing.facts)
        folder = self._folders.get(str(request.root))
        if folder is None:
            return partial(daemon_status, (), editor)
        arguments = request.arguments
        tell: Callable[[], FolderStatus]
        match request.verb:
            case "plan" | "explain" if not _knows_its_files(folder):
                return partial(daemon_status, (), editor)
            case "plan":
                is_whole = arguments.get("whole") == "yes"
                tell = partial(self._snapshot(folder).forecast, is_whole=is_whole)
            case "explain":
                tell = partial(self._snapshot(folder).about, arguments.get("path", ""))
            case _:
                tell = self._with_its_day(folder).status
        return lambda: daemon_status((tell(),), editor)

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
