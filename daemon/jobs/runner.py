"""The jobs under way: each reply of a folder worker, pixel worker or editor moves one on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from config.settings import OnDuplicate
from daemon.context import Context
from daemon.events import job_events
from daemon.events.events import PixelWorkerLost
from daemon.folder import messages
from daemon.folder.view import FolderView
from daemon.job import ResolvedJob, State
from daemon.jobs import job_run, scheduler
from daemon.jobs.completion import Completion
from daemon.jobs.editing import EditStage
from daemon.jobs.failures import FailureHandler
from daemon.jobs.job_run import JobRun, JobTable, ParkedJob, about
from daemon.jobs.quality_gate import missed_limits
from daemon.spool.receipts import FinishedJob, reason_of
from daemon.spool.scratch import save_finished
from daemon.workers.backend import Busy, EditBackend
from daemon.workers.child import Ended, Part, Said
from daemon.workers.pixel_pool import Answered, PixelPool, Work
from pipeline.editor import Failure
from pipeline.ipc import MachineFault, PixelsReady, Refused
from pipeline.pixel_requests import Composed, Prepared

_A_WHILE_SECONDS = 0.5
_LEAST_AHEAD = 2  # jobs got ready at any time, so that the next edit can begin at once


class JobRunner:
    """Moves claimed jobs from their claim to their filing; its parts share one table of them."""

    def __init__(
        self,
        context: Context,
        folders: Mapping[str, FolderView],
        editor: EditBackend,
        pixels: PixelPool,
    ) -> None:
        self.jobs, self.editor = JobTable(folders, editor, pixels), editor
        self.folders, self._pixels = folders, pixels
        self._settings, self._history = context.settings, context.history
        self._clock, self._tell = context.clock, context.tell
        self._failures = FailureHandler(context, self.jobs)
        self.breaker = self._failures.breaker
        self.editing = EditStage(context, self.jobs, self._failures, editor, pixels)
        self.completion = Completion(context, self.jobs)
        self._is_closing = False

    # What the folder workers answer

    def folder_replied(self, root: str, reply: messages.JobReply) -> None:
        """Take a folder worker's word of a job, and let it go on."""
        self._note_claim(root, reply)
        match reply:
            case messages.Recovered():
                self._adopt(root, reply)
            case messages.Claimed():
                self._claimed(root, reply)
            case messages.Rejected():
                self._reject(root, reply)
            case messages.ClaimLost():
                pass
            case messages.Published():
                self.completion.published(reply)
            case messages.FoundPublished():
                self.completion.found_published(root, reply)
            case messages.Filed():
                self.completion.filed(root, reply)
            case _:
                self.completion.let_go(root, reply)

    def _note_claim(self, root: str, reply: messages.JobReply) -> None:
        """Have the plan go by a reply to a claim, or to a cancelled file of the inbox."""
        match reply:
            case messages.ClaimLost():
                self.folders[root].claim_answered(reply)
            case (
                messages.Claimed(ResolvedJob(job=job))
                | messages.Rejected(job)
                | messages.FilesGone(job)
            ) if self.jobs.get(job.job_id) is None:  # else it is about a further attempt
                self.folders[root].claim_answered(reply)
            case messages.Filed(job) if self.jobs.get(job.job_id) is None:
                self.folders[root].files_left(reply)
            case _:
                pass

    def _adopt(self, root: str, reply: messages.Recovered) -> None:
        """Take over jobs that an earlier daemon left in work/; its death is not their fault."""
        now = self._clock.monotonic()
        for job in reply.jobs:
            self.jobs.put(job_run.parked(root, job, "the daemon restarted", now, counts=True))
        for finished in reply.finished:
            self._publish_recovered(root, finished)

    def _publish_recovered(self, root: str, finished: FinishedJob) -> None:
        """Publish what an earlier daemon finished; it is not edited again."""
        job = JobRun(
            root=root,
            resolved_job=finished.resolved_job,
            phase=job_run.Publishing(),
            prepared=(finished.prepared, finished.prepare_seconds),
            variants=finished.variants,
        )
        text = "Its result was finished before the restart, and only has to be published."
        self._note(job, (text,))
        self._publish(job, finished)

    def _claimed(self, root: str, reply: messages.Claimed) -> None:
        """Begin with a claimed job: filed as a duplicate, or prepared."""
        job = JobRun(root=root, resolved_job=reply.resolved_job, phase=job_run.Preparing())
        if self._is_closing:
            self._release(job)
            return
        if not self.editing.is_ready or reply.loras != self.editor.model.loras:
            self.editing.resolve_again(job)  # the editor was opened anew since it was asked for
            return
        self.jobs.put(job)
        self._tell(job_events.JobClaimed(**about(job.root, job.job)))
        prompt = reply.resolved_job.recipe.prompt
        self._tell(job_events.JobResolved(prompt=prompt, **about(job.root, job.job)))
        self._note(job, reply.resolved_job.notes)
        earlier = self._earlier(job, OnDuplicate.SKIP)
        if earlier:
            self.jobs.hand_over(job, messages.FileDone(job.job, State.DUPLICATE, earlier))
        else:
            self._prepare(job)

    def _earlier(self, job: JobRun, policy: OnDuplicate) -> tuple[str, ...]:
        """The results of the same name and content, where the settings treat them in that way."""
        folder_worker = self.jobs.worker_of(job.root)
        if folder_worker.folder.on_duplicate is not policy:
            return ()
        earlier = self._history.earlier(
            folder_worker.identity, job.job.path, job.resolved_job.content_key
        )
        return earlier.results if earlier else ()

    def _prepare(self, job: JobRun) -> None:
        assert self.editing.facts is not None, "nothing is claimed before the editor is ready"
        most = self._settings.now.limits.max_megapixels
        request = job_run.prepare(job.resolved_job, self.editing.facts, most)
        self._pixels.submit(Work(job.job.job_id, 0, request))

    def _reject(self, root: str, reply: messages.Rejected) -> None:
        """File a job that cannot be worked as it is."""
        job = ParkedJob(root=root, job=reply.job, phase=job_run.Publishing())
        why = reason_of(reply.problems)
        self.jobs.hand_over(job, messages.FileFailed(reply.job, why, reply.instruction))

    # What editor and pixel workers say

    def child_said(self, said: Said) -> None:
        """Take a message of editor or pixel worker to its job, and give it what waits."""
        if said.child in self._pixels:
            self._pixels_said(said)
        else:
            for job in self.editing.said(said):
                self._finish(job)

    def child_ended(self, ended: Ended) -> None:
        """Count the end of a process against the job that it was at, or the machine."""
        if ended.child in self._pixels:
            self._pixels_ended(ended)
        else:
            self.editing.ended(ended)

    def _pixels_said(self, said: Said) -> None:
        now = self._clock.monotonic()
        match self._pixels.heard(said, now):
            case None:
                pass
            case PixelsReady():
                self.breaker.opened(Part.WORKERS)
            case Answered() as answered:
                self._pixels_answered(answered)
        self._pixels.go_on(now, self.breaker)

    def _pixels_answered(self, answered: Answered) -> None:
        part = answered.work.part
        job = self.jobs.active(answered.work.job_id)
        if job is None or isinstance(job.phase, job_run.Publishing | job_run.Backoff):
            return
        match answered.reply:
            case Prepared() as prepared:
                self.breaker.succeeded([job.job.job_id], part)
                self._note(job, prepared.notes)
                self.jobs.put(
                    replace(job, prepared=(prepared, answered.seconds)).at(job_run.Waiting())
                )
            case Composed() as composed:
                self.breaker.succeeded([job.job.job_id], part)
                self._note(job, composed.notes)
                missed = missed_limits(composed.fidelity, job.resolved_job.recipe)
                index = answered.work.index
                self._finish(job.with_variant(index, composed, answered.seconds, missed))
            case Refused(cause, advice):
                self._failures.failed(job, Failure.PERMANENT, cause, advice, part)
            case MachineFault(cause, advice):
                self._failures.failed(job, Failure.ENVIRONMENT, cause, advice, part)
            case _:
                assert_never(answered.reply)

    def _pixels_ended(self, ended: Ended) -> None:
        now = self._clock.monotonic()
        lost = self._pixels.ended(ended, now)
        self._tell(PixelWorkerLost(reason=ended.how, last_words=ended.last_words))
        if lost.work is not None:
            self._pixels_died(lost.work, ended)
        elif lost.failed_starts:
            self.breaker.failed_to_start(_not_started(ended, lost.failed_starts), Part.WORKERS)
        self._pixels.go_on(now, self.breaker)

    def _pixels_died(self, work: Work, ended: Ended) -> None:
        job = self.jobs.active(work.job_id)
        if job is not None:
            to_blame = self.breaker.died(work.job_id, ended.how, work.part)
            cause = f"opening or saving the picture ended the program that did it ({ended.how})"
            self._failures.died(job, cause, ended.last_words, together=False, to_blame=to_blame)

    def _finish(self, job: JobRun) -> None:
        if not job.is_complete or not isinstance(job.phase, job_run.Composing):
            self.jobs.put(job)
            return
        if job.to_edit_again:
            self._edit_again(job)
            return
        assert job.prepared is not None
        assert self.editing.facts is not None
        prepared, seconds = job.prepared
        finished = FinishedJob(
            resolved_job=job.resolved_job,
            prepared=prepared,
            prepare_seconds=seconds,
            variants=job.variants,
            model=self.editing.facts,
            model_loaded_at=self.editing.loaded_at,
        )
        self._save_finished(job, finished)
        self._publish(job, finished)

    def _edit_again(self, job: JobRun) -> None:
        again, about_it = job.edited_again(), about(job.root, job.job)
        self.jobs.put(again)
        if self._is_closing:
            self._release(again)
            return
        for one in again.reseeded:
            self._tell(job_events.ResultMissed(missed=one.missed, seed=one.seed, **about_it))

    def _save_finished(self, job: JobRun, finished: FinishedJob) -> None:
        try:
            save_finished(finished)
        except OSError as error:
            why = error.strerror
            text = f"After a restart it would be edited again: scratch takes no note of it ({why})"
            self._note(job, (f"{text}.",))

    def _publish(self, job: JobRun, finished: FinishedJob) -> None:
        replaced = self._earlier(job, OnDuplicate.REDO)
        self.jobs.hand_over(job, messages.Publish(finished, replaced))

    # What comes next

    def advance(self, now: float, *, others_wait: bool) -> None:
        """Begin whatever can begin now; `others_wait`: there are jobs to claim, too."""
        if not others_wait and not len(self.jobs):
            self.completion.pace.begin(now)
        self._pixels.kill_hung(now)
        self.breaker.advance()
        self._pixels.go_on(now, self.breaker)
        self.editing.begin(now)
        suspects = self.breaker.suspects
        while self.editing.is_ready and self._has_room(0):
            job = scheduler.due(self._reachable(), now, last=suspects)
            is_suspect = job is not None and job.job.job_id in suspects
            if job is None or (is_suspect and others_wait):
                break
            self._reclaim(job)

    def has_room(self) -> bool:
        """Whether another job may be claimed."""
        here = (folder for folder in self.folders.values() if not folder.is_away)
        return self._has_room(sum(folder.claims_under_way for folder in here))

    def _has_room(self, claims_under_way: int) -> bool:
        """Whether another job may be begun.

        While the editor is at work for a while, the next batch is got ready; otherwise a job that
        is claimed early would only wait.
        """
        if self.breaker.is_open:
            return False
        editor = self.editor.condition
        if self.breaker.is_half_open:
            is_free = not isinstance(editor, Busy) and not any(
                isinstance(job.phase, job_run.Composing) for job in self.jobs
            )
            return is_free and scheduler.has_room(self._reachable(), claims_under_way, 1)
        is_at_work = (
            isinstance(editor, Busy) and self._clock.monotonic() > editor.since + _A_WHILE_SECONDS
        )
        most = max(_LEAST_AHEAD, self._settings.now.model.batch if is_at_work else 0)
        return scheduler.has_room(self._reachable(), claims_under_way, most)

    def _reachable(self) -> Iterator[JobRun | ParkedJob]:
        """The jobs without those that would have to be fetched from a share that is away."""
        return (
            job
            for job in self.jobs
            if not self._is_away(job)
            or not isinstance(job.phase, job_run.Backoff | job_run.Reclaiming)
        )

    def _is_away(self, job: JobRun | ParkedJob) -> bool:
        return self.folders[job.root].is_away

    def _reclaim(self, job: JobRun | ParkedJob) -> None:
        assert isinstance(job.phase, job_run.Backoff)
        self.jobs.put(ParkedJob(root=job.root, job=job.job, phase=job_run.Reclaiming()))
        phase = job.phase
        command = messages.Reclaim(job.job, phase.strike, phase.alone, phase.counts)
        self.jobs.worker_of(job.root).submit(command)

    def release(self) -> None:
        """Release every job that is not past its edit; stop the editor."""
        self._is_closing = True
        self.editor.close()
        for job in self.jobs.actives():
            if not isinstance(job.phase, job_run.Composing | job_run.Publishing | job_run.Backoff):
                self._release(job)

    def leave(self, root: str) -> None:
        """Let go of the jobs of a hot folder that another daemon leads now.

        What only needs to be composed is finished for scratch: we may lead again.
        """
        for job in self.jobs:
            if job.root != root:
                continue
            if isinstance(job, JobRun) and not isinstance(
                job.phase, job_run.Composing | job_run.Publishing
            ):
                self._release(job)
            elif isinstance(job.phase, job_run.Backoff):
                self.jobs.worker_of(root).submit(messages.Release(job.job))

    def _release(self, job: JobRun) -> None:
        self.jobs.hand_over(job, messages.Release(job.job))

    def close(self) -> None:
        """End editor and pixel workers."""
        self.editor.close()
        self._pixels.close()

    def is_finishing(self) -> bool:
        """Whether a job is still on its way out, to a hot folder that is there."""
        return any(
            isinstance(job.phase, job_run.Composing)
            or (isinstance(job.phase, job_run.Publishing) and not self._is_away(job))
            for job in self.jobs
        )

    def _note(self, job: JobRun, notes: tuple[str, ...]) -> None:
        for note in notes:
            self._tell(job_events.JobNote(text=note, **about(job.root, job.job)))


def _not_started(ended: Ended, times: int) -> str:
    words = ended.last_words.splitlines() or ["it said nothing"]
    what = f"it ended {times} times in a row before it was ready ({ended.how})"
    return f"{what}; its last words: {words[-1]}"
