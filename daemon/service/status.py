"""What the daemon says of itself, whenever it is asked."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from daemon import own_version
from daemon.clock import day_of, last_midnight
from daemon.context import Context
from daemon.control.documents import (
    SCHEMA,
    DaemonStatus,
    FolderStatus,
    JobStatus,
    Request,
    ReviewStatus,
)
from daemon.events.text import roughly
from daemon.folder import messages
from daemon.folder.documents import FolderSnapshot
from daemon.folder.view import FolderView
from daemon.fs.names import printable
from daemon.job import EMPTY_PLAN, FolderState, Plan, State
from daemon.jobs import scheduler
from daemon.jobs.job_run import Backoff, Composing, Editing, JobRun, ParkedJob
from daemon.jobs.runner import JobRunner
from daemon.service.pause import PauseControl
from daemon.service.queue import JobQueue, WaitingFolder
from daemon.service.status_page import FolderFacts, StatusPage, page_of
from daemon.workers.backend import Condition, Dead, Loading
from pipeline.editor import ModelFacts
from pipeline.recipe import Recipe

_COUNTS_SECONDS = 30.0
_QUEUE_SECONDS = 5.0  # for which the time that the queue takes is good enough
_BY_ITS_RECEIPT = "its receipt says which limit it missed"
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
        self._counted_at, self._counted_ends = -math.inf, 0
        self._queue_seconds: float | None = None  # until all that is ready is done
        self._asked_at = -math.inf

    def line(self) -> str:
        """All in one line."""
        folders = self._folders.values()
        if all(folder.is_standby for folder in folders):
            return "on standby: another daemon works on them"
        ready = sum(len(folder.plan.ready) for folder in folders if folder.plan is not None)
        waiting = sum(folder.waiting for folder in folders)
        halt = self._runner.breaker.reason() or self._rest()
        self._count()
        self._ask_queue()
        return status_line(
            self._runner.jobs,
            ready=ready,
            waiting=waiting,
            halt=halt,
            queue_seconds=self._queue_seconds,
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
        self._counted_at, self._counted_ends = now, ends

    def _ask_queue(self) -> None:
        if (now := self._clock.monotonic()) >= self._asked_at + _QUEUE_SECONDS:
            self._queue_seconds, self._asked_at = self._queue().seconds(), now

    def _queue(self) -> JobQueue:
        """What waits, and what is known of how long it takes."""
        editing, facts = self._runner.editing, self._runner.editing.facts

        def seconds_of(recipe: Recipe | None) -> float | None:
            return None if facts is None else editing.typical_times.seconds_of(recipe, facts)

        return JobQueue(
            claimed=scheduler.in_turn(self._runner.jobs.actives()),
            folders=tuple(
                WaitingFolder(root=root, plan=it.plan, is_worked=self._is_worked(it))
                for root, it in self._folders.items()
                if it.plan is not None
            ),
            seconds_of=seconds_of,
            under_way=editing.seconds_left(self._clock.monotonic()),
            together=self._runner.editor.model.batch,
            pace=self._runner.completion.pace.factor(seconds_of),
        )

    def _is_worked(self, folder: FolderView) -> bool:
        return folder.gives_jobs and self.stands(folder).state is FolderState.ONLINE

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
        queue = self._queue()

        def told() -> DaemonStatus:
            turns = queue.by_root().get(snapshot.root, {})
            whole = snapshot.with_turns(turns)
            return daemon_status((whole.answer(verb, request.arguments),), editor)

        return told

    def _snapshot(self, folder: FolderView) -> FolderSnapshot:
        root, now = str(folder.root), self._clock.monotonic()
        return FolderSnapshot(
            root=root,
            stands=self.stands(folder),
            plan=folder.plan or EMPTY_PLAN,
            jobs=tuple(
                job_status(job, now, self._seconds_left(job, now))
                for job in self._runner.jobs
                if job.root == root
            ),
        )

    def _with_its_day(self, folder: FolderView) -> FolderSnapshot:
        midnight = last_midnight(self._clock.time())
        return replace(
            self._snapshot(folder),
            today=self._history.counts_since(folder.folder_worker.identity, midnight),
            reviews=tuple(self._reviews(folder, midnight)),
        )

    def _reviews(self, folder: FolderView, midnight: float) -> Iterator[ReviewStatus]:
        """What needs a look; of what lies there since before our start, the receipt says why."""
        ours = tuple(self._runner.completion.reviews_since(str(folder.root), midnight))
        known = {it.result for it in ours}
        identity = folder.folder_worker.identity
        for path, result in self._history.results_in_review(identity, midnight):
            if (shown := printable(result)) not in known:
                yield ReviewStatus(file=printable(path), result=shown, reason=_BY_ITS_RECEIPT)
        yield from ours

    def signature(self, folder: FolderView) -> object:
        """What the page of a hot folder is made of, quickly; equal where nothing has changed."""
        jobs = (
            (it.job.job_id, type(it.phase), it.phase.step if isinstance(it.phase, Editing) else 0)
            for it in self._runner.jobs
        )
        ends, day = self._runner.completion.ended, day_of(self._clock.time())
        editor = type(self._runner.editor.condition) is Loading
        return (_Same(folder.plan), self.stands(folder), ends, day, editor, tuple(jobs))

    def page(self, folder: FolderView) -> StatusPage:
        """How a hot folder stands, for people who have only the share."""
        snapshot, unix_now = self._with_its_day(folder), self._clock.time()
        turns = self._queue().by_root().get(snapshot.root, {})
        return page_of(
            FolderFacts(
                root=snapshot.root,
                stands=snapshot.stands,
                plan=snapshot.plan,
                jobs=snapshot.with_turns(turns).jobs,
                turns=turns,
                today=snapshot.today,
                day=day_of(unix_now),
                reviews=snapshot.reviews,
                is_loading=isinstance(self._runner.editor.condition, Loading),
            )
        )

    def stands(self, folder: FolderView) -> messages.StatusChanged:
        """How a hot folder stands for people: paused where no job is begun."""
        halt = self._runner.breaker.reason() or self._pause_control.reason(str(folder.root))
        if halt and folder.stands.state is FolderState.ONLINE:
            return messages.StatusChanged(FolderState.PAUSED, halt)
        return folder.stands

    def _seconds_left(self, job: JobRun | ParkedJob, now: float) -> float | None:
        """Until the results of a job that is at the editor, or past it, are there."""
        if not isinstance(job, JobRun) or (facts := self._runner.editing.facts) is None:
            return None
        typical = self._runner.editing.typical_times.of(job.resolved_job.recipe, facts)
        finish = typical.finish if typical else 0.0
        match job.phase:
            case Editing():
                left = self._runner.editing.seconds_left(now)
                return None if left is None else left + finish
            case Composing() if typical and job.edited_at is not None:
                return max(0.0, finish - (now - job.edited_at))
            case _:
                return None


class _Same:
    """Equal to itself alone: ten thousand files need no comparing."""

    def __init__(self, plan: Plan | None) -> None:
        self._plan = plan

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._plan is self._plan

    __hash__ = None  # type: ignore[assignment]  # nobody keeps it in a set


def _knows_its_files(folder: FolderView) -> bool:
    """Whether a hot folder's plan is one of now, or nobody can have another."""
    is_gone = folder.is_offline and folder.is_known
    return is_gone or (folder.plan is not None and not folder.is_outdated)


def job_status(job: JobRun | ParkedJob, now: float, seconds_left: float | None) -> JobStatus:
    """One job under way, and how long it still takes, as far as that is known."""
    status = JobStatus(
        job_id=job.job.job_id,
        file=printable(job.job.path),
        state=job.state if isinstance(job, JobRun) else State.CLAIMED,
        attempts=job.job.attempts,
        reason=_second_try(job),
        eta_seconds=None if seconds_left is None else round(seconds_left, 1),
    )
    match job.phase:
        case Editing(index, step, steps, since):
            at = replace(status, variant=index + 1, step=step, steps=steps)
            return replace(at, seconds=round(now - since, 1))
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
    queue_seconds: float | None = None,
    failed_today: int = 0,
    shares: str = "",
) -> str:
    """How everything stands, for `systemctl status`.

    `halt` is why no job is begun, `queue_seconds` until when all is done, `shares` how they stand.
    """
    parts = [f"paused: {halt}"] if halt else []
    parts += [_editing(job, job.phase) for job in jobs if isinstance(job.phase, Editing)]
    parts.append(_queue(ready, queue_seconds))
    if waiting:
        parts.append(f"waiting-sidecar {waiting}")
    if failed_today:
        parts.append(f"failed today {failed_today}")
    return " · ".join([*parts, shares] if shares else parts)


def shares(stands: Mapping[str, FolderState]) -> str:
    """How the shares of the hot folders stand, in a few words."""
    ill = {root: state for root, state in stands.items() if state in _ILL}
    return ", ".join(f"{printable(root)} {state}" for root, state in ill.items()) or "share ok"


def _queue(ready: int, seconds: float | None) -> str:
    return f"queue {ready} (~{roughly(seconds)})" if ready and seconds else f"queue {ready}"


def _editing(job: JobRun | ParkedJob, phase: Editing) -> str:
    return f"editing {printable(job.job.path)} step {phase.step}/{phase.steps}"
