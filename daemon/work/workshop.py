"""The jobs under way: every answer of a keeper, a pixel worker or the editor moves one on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from config.settings import OnDuplicate, Settings
from daemon import gate, orders, shelf
from daemon.clock import Clock
from daemon.history import History
from daemon.job import Job, State
from daemon.keeper import Keeper
from daemon.log import judging, story
from daemon.log.halting import PixelWorkerLost
from daemon.log.story import Event
from daemon.receipt import Finished, why_of
from daemon.work import active, queueing
from daemon.work.active import (
    Active,
    Composing,
    Editing,
    Preparing,
    Publishing,
    Resting,
    Resumable,
    Taking,
)
from daemon.work.child import Ended, Said
from daemon.work.editor_line import Busy, EditorLine
from daemon.work.edits import Edits
from daemon.work.endings import Endings
from daemon.work.jobs import Jobs, about
from daemon.work.mishaps import Mishaps
from daemon.work.pixel_pool import STARTS, Answered, PixelPool, Work
from daemon.work.restraint import Restraint
from daemon.work.standstill import Part
from pipeline.channel import Hindered, PixelsReady, Refused
from pipeline.editor import Failure
from pipeline.pictures import Composed, Prepared

_A_WHILE_SECONDS = 0.5
_LEAST_AHEAD = 2  # jobs got ready at any time, so that the next edit can begin at once


class Workshop:
    """Moves claimed jobs from their claim to their filing."""

    def __init__(
        self,
        *,
        settings: Settings,
        editor: EditorLine,
        pixels: PixelPool,
        keepers: Mapping[str, Keeper],
        history: History,
        clock: Clock,
        tell: Callable[[Event], None],
        at_once: bool,
    ) -> None:
        self.settings = settings
        self.jobs = Jobs()
        self._editor, self._pixels, self._keepers = editor, pixels, keepers
        self._history, self._clock, self._tell = history, clock, tell
        self.restraint = Restraint(jobs=self.jobs, clock=clock, tell=tell, at_once=at_once)
        self._mishaps = Mishaps(
            jobs=self.jobs,
            pixels=pixels,
            keepers=keepers,
            restraint=self.restraint,
            clock=clock,
            tell=tell,
            at_once=at_once,
        )
        self.edits = Edits(
            jobs=self.jobs,
            editor=editor,
            pixels=pixels,
            mishaps=self._mishaps,
            keepers=keepers,
            restraint=self.restraint,
            clock=clock,
            tell=tell,
            finish=self._finish,
        )
        self.endings = Endings(
            jobs=self.jobs, keepers=keepers, history=history, clock=clock, tell=tell
        )
        self.away: frozenset[str] = frozenset()  # hot folders of which nothing can be had now
        self._is_closing = False

    def reconfigure(self, settings: Settings) -> None:
        """Go on by other settings; those of the model hold from the next opening of the editor."""
        self.settings = settings
        self.edits.reconfigure(settings.model)

    # What the keepers answer

    def adopt(self, root: str, jobs: tuple[Job, ...]) -> None:
        """Take over jobs that an earlier daemon left in work/; its death is not their fault."""
        now = self._clock.monotonic()
        for job in jobs:
            cause = "the daemon restarted"
            resting = Resting(now, strike=False, alone=job.alone, cause=cause)
            self.jobs.put(Resumable(root=root, job=job, phase=resting))

    def publish_shelved(self, root: str, finished: Finished) -> None:
        """Publish what an earlier daemon finished; it is not edited again."""
        job = Active(
            root=root,
            task=finished.task,
            phase=Publishing(),
            prepared=(finished.prepared, finished.prepare_seconds),
            variants=finished.variants,
        )
        text = "Its result was finished before the restart, and only has to be published."
        self._tell(story.JobNote(text=text, **about(root, job.job)))
        self._publish(job, finished)

    def claimed(self, root: str, answer: orders.Claimed) -> None:
        """Begin with a claimed job: filed as a duplicate, or prepared."""
        job = Active(root=root, task=answer.task, phase=Preparing())
        if self._is_closing:
            self._give_back(job)
            return
        if not self.edits.is_ready or answer.loras != self._editor.model.loras:
            self.edits.resolve_again(job)  # the editor was opened anew since it was asked for
            return
        self.jobs.put(job)
        self._tell(story.JobClaimed(**about(job.root, job.job)))
        for note in answer.task.notes:
            self._tell(story.JobNote(text=note, **about(job.root, job.job)))
        earlier = self._earlier(job, OnDuplicate.SKIP)
        if earlier:
            self.jobs.put(job.at(Publishing()))
            self._keepers[root].submit(orders.FileDone(job.job, State.DUPLICATE, earlier))
        else:
            self._prepare(job)

    def _earlier(self, job: Active, manner: OnDuplicate) -> tuple[str, ...]:
        """The results of the same name and content, where the settings treat them in that way."""
        keeper = self._keepers[job.root]
        if keeper.folder.on_duplicate is not manner:
            return ()
        earlier = self._history.earlier(keeper.identity, job.job.path, job.task.content_key)
        return earlier.results if earlier else ()

    def _prepare(self, job: Active) -> None:
        assert self.edits.facts is not None, "nothing is claimed before the editor is ready"
        request = active.prepare(
            job.task,
            working_pixels=self.edits.facts.working_pixels,
            multiple=self.edits.facts.multiple,
            max_megapixels=self.settings.limits.max_megapixels,
        )
        self._pixels.submit(Work(job.job.job_id, 0, request))

    def invalid(self, root: str, answer: orders.Invalid) -> None:
        """File a job that cannot be worked as it is."""
        self.jobs.put(Resumable(root=root, job=answer.job, phase=Publishing()))
        order = orders.FileFailed(answer.job, why_of(answer.problems), answer.instruction)
        self._keepers[root].submit(order)

    # What the pixel workers answer

    def pixels_said(self, said: Said) -> None:
        """Take a message of a pixel worker to its job, and give it what waits."""
        now = self._clock.monotonic()
        match self._pixels.heard(said, now):
            case None:
                pass
            case PixelsReady():
                self.restraint.opened(Part.WORKERS)
            case Answered() as answered:
                self._pixels_answered(answered)
        self._pixels.go_on(now, self.restraint)

    def _pixels_answered(self, answered: Answered) -> None:
        part = answered.work.part
        job = self.jobs.active(answered.work.job_id)
        if job is None or isinstance(job.phase, Publishing | Resting):
            return
        match answered.answer:
            case Prepared() as prepared:
                self.restraint.succeeded([job.job.job_id], part)
                self._note(job, prepared.notes)
                self.jobs.put(
                    replace(job, prepared=(prepared, answered.seconds)).at(active.Waiting())
                )
            case Composed() as composed:
                self.restraint.succeeded([job.job.job_id], part)
                self._note(job, composed.notes)
                self._composed(job, answered.work.index, composed, answered.seconds)
            case Refused(cause, advice):
                self._stop_edit(job)
                self._mishaps.failed(job, Failure.PERMANENT, cause, advice, part)
            case Hindered(cause, advice):
                self._stop_edit(job)
                self._mishaps.failed(job, Failure.ENVIRONMENT, cause, advice, part)
            case _:
                assert_never(answered.answer)

    def pixels_ended(self, ended: Ended) -> None:
        """Count the end of a pixel worker against the picture that it had open, or the machine."""
        now = self._clock.monotonic()
        lost = self._pixels.ended(ended, now)
        self._tell(PixelWorkerLost(reason=ended.how, last_words=ended.last_words))
        if lost.work is not None:
            self._pixels_died(lost.work, ended)
        elif lost.cannot_start:
            self.restraint.locked_out(_not_started(ended), Part.WORKERS)
        self._pixels.go_on(now, self.restraint)

    def _pixels_died(self, work: Work, ended: Ended) -> None:
        job = self.jobs.active(work.job_id)
        if job is not None:
            to_blame = self.restraint.died(work.job_id, ended.how, work.part)
            cause = f"opening or saving the picture ended the program that did it ({ended.how})"
            self._stop_edit(job)
            self._mishaps.died(job, cause, ended.last_words, together=False, to_blame=to_blame)

    def _stop_edit(self, job: Active) -> None:
        # Its other variants would be edited for nothing.
        if isinstance(job.phase, Editing):
            self._editor.drop(active.request_ids(job.task))

    def _composed(self, job: Active, index: int, composed: Composed, seconds: float) -> None:
        missed = gate.misses(composed.fidelity, self._keepers[job.root].folder)
        self._finish(job.with_variant(index, composed, seconds, missed))

    def _finish(self, job: Active) -> None:
        if not job.is_complete or not isinstance(job.phase, Composing):
            self.jobs.put(job)
            return
        if job.to_edit_again:
            self._edit_again(job)
            return
        assert job.prepared is not None
        assert self.edits.facts is not None
        prepared, seconds = job.prepared
        finished = Finished(
            task=job.task,
            prepared=prepared,
            prepare_seconds=seconds,
            variants=job.variants,
            model=self.edits.facts,
            model_loaded_at=self.edits.loaded_at,
        )
        self._shelve(job, finished)
        self._publish(job.at(Publishing()), finished)

    def _edit_again(self, job: Active) -> None:
        again, about_it = job.edited_again(), about(job.root, job.job)
        self.jobs.put(again)
        if self._is_closing:
            self._give_back(again)
            return
        for one in again.reseeded:
            self._tell(judging.ResultMissed(missed=one.missed, seed=one.seed, **about_it))

    def _shelve(self, job: Active, finished: Finished) -> None:
        try:
            shelf.put(finished)
        except OSError as error:
            why = error.strerror
            text = f"After a restart it would be edited again: scratch takes no note of it ({why})"
            self._tell(story.JobNote(text=f"{text}.", **about(job.root, job.job)))

    def _publish(self, job: Active, finished: Finished) -> None:
        self.jobs.put(job)
        replaced = self._earlier(job, OnDuplicate.REDO)
        self._keepers[job.root].submit(orders.Publish(finished, replaced))

    # What comes next

    def advance(self, now: float, *, others_wait: bool) -> None:
        """Begin whatever can begin now; `others_wait`: there are jobs to claim, too."""
        self._pixels.kill_hung(now)
        self.restraint.advance()
        self._pixels.go_on(now, self.restraint)
        self.edits.begin(now)
        suspects = self.restraint.suspects
        while self.edits.is_ready and self.has_room(0):
            job = queueing.due(self._reachable(), now, last=suspects)
            is_suspect = job is not None and job.job.job_id in suspects
            if job is None or (is_suspect and others_wait):
                break
            self._resume(job)

    def has_room(self, claims_under_way: int) -> bool:
        """Whether another job may be claimed.

        While the editor is at work for a while, the next batch is got ready; otherwise a job that
        is claimed early would only wait.
        """
        if self.restraint.is_halted:
            return False
        editor = self._editor.condition
        if self.restraint.is_trying:
            is_free = not isinstance(editor, Busy) and not any(
                isinstance(job.phase, Composing) for job in self.jobs
            )
            return is_free and queueing.has_room(self._reachable(), claims_under_way, 1)
        is_at_work = (
            isinstance(editor, Busy) and self._clock.monotonic() > editor.since + _A_WHILE_SECONDS
        )
        most = max(_LEAST_AHEAD, self.settings.model.batch if is_at_work else 0)
        return queueing.has_room(self._reachable(), claims_under_way, most)

    def _reachable(self) -> Iterator[Active | Resumable]:
        """The jobs without those that would have to be fetched from a share that is away."""
        return (
            job
            for job in self.jobs
            if job.root not in self.away or not isinstance(job.phase, Resting | Taking)
        )

    def _resume(self, job: Active | Resumable) -> None:
        assert isinstance(job.phase, Resting)
        self.jobs.put(Resumable(root=job.root, job=job.job, phase=Taking()))
        phase = job.phase
        order = orders.Resume(job.job, phase.strike, phase.alone, phase.counts)
        self._keepers[job.root].submit(order)

    def give_back(self) -> None:
        """Give every job back that is not past its edit; stop the editor."""
        self._is_closing = True
        self._editor.close()
        for job in self.jobs.actives():
            if not isinstance(job.phase, Composing | Publishing | Resting):
                self._give_back(job)

    def leave(self, root: str) -> None:
        """Let go of the jobs of a hot folder that another daemon leads now.

        What only needs to be composed is finished for the shelf: we may lead again.
        """
        for job in self.jobs:
            if job.root != root:
                continue
            if isinstance(job, Active) and not isinstance(job.phase, Composing | Publishing):
                self._editor.drop(active.request_ids(job.task))
                self._give_back(job)
            elif isinstance(job.phase, Resting):
                self._keepers[root].submit(orders.GiveBack(job.job))

    def _give_back(self, job: Active) -> None:
        self._pixels.forget(job.job.job_id)
        self.jobs.put(job.at(Publishing()))
        self._keepers[job.root].submit(orders.GiveBack(job.job))

    def is_finishing(self) -> bool:
        """Whether a job is still on its way out, to a hot folder that is there."""
        return any(
            isinstance(job.phase, Composing)
            or (isinstance(job.phase, Publishing) and job.root not in self.away)
            for job in self.jobs
        )

    def _note(self, job: Active, notes: tuple[str, ...]) -> None:
        for note in notes:
            self._tell(story.JobNote(text=note, **about(job.root, job.job)))


def _not_started(ended: Ended) -> str:
    words = ended.last_words.splitlines() or ["it said nothing"]
    times = f"it ended {STARTS} times in a row before it was ready ({ended.how})"
    return f"{times}; its last words: {words[-1]}"
