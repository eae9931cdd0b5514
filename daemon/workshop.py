"""The jobs under way: every answer of a keeper, a pixel worker or the editor moves one on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never

from config.problems import Problem
from config.settings import OnDuplicate, Settings
from daemon import active, orders, queueing, story
from daemon.active import (
    Active,
    Composing,
    Editing,
    Preparing,
    Publishing,
    Resting,
    Resumable,
    Taking,
)
from daemon.child import Ended, Said
from daemon.editor_line import Busy, EditorLine, Idle
from daemon.history import History
from daemon.job import Job, State
from daemon.jobs import About, Jobs, about
from daemon.keeper import Clock, Keeper
from daemon.logs import Row
from daemon.mishaps import Mishaps
from daemon.names import printable
from daemon.pixel_pool import Answered, Died, PixelPool, Work
from daemon.receipt import Finished, why_of, work_seconds
from daemon.record import entry_of_ending, entry_of_result
from daemon.story import Event
from pipeline.channel import BatchDone, FromEditor, Ready, Refused, Unusable
from pipeline.editor import Done, EditResult, Failed, Failure, ModelFacts, Stage, Step
from pipeline.pictures import Composed, Prepared


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
        self.outcomes: list[Row] = []
        self.unusable: tuple[Problem, ...] = ()
        self._editor, self._pixels, self._keepers = editor, pixels, keepers
        self._history, self._clock, self._tell = history, clock, tell
        self._mishaps = Mishaps(
            jobs=self.jobs,
            pixels=pixels,
            keepers=keepers,
            clock=clock,
            tell=tell,
            at_once=at_once,
        )
        self._facts: ModelFacts | None = None
        self._loaded_at = 0.0

    # What the keepers answer

    def adopt(self, root: str, jobs: tuple[Job, ...]) -> None:
        """Take over jobs that an earlier daemon left in work/; its death is not their fault."""
        for job in jobs:
            resting = Resting(self._clock.monotonic(), strike=False, cause="the daemon restarted")
            self.jobs.put(Resumable(root=root, job=job, phase=resting))

    def claimed(self, root: str, answer: orders.Claimed) -> None:
        """Begin with a claimed job: filed as a duplicate, or prepared."""
        job = Active(root=root, task=answer.task, phase=Preparing())
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
        assert self._facts is not None, "nothing is claimed before the editor is ready"
        request = active.prepare(
            job.task,
            working_pixels=self._facts.working_pixels,
            multiple=self._facts.multiple,
            max_megapixels=self.settings.limits.max_megapixels,
        )
        self._pixels.submit(Work(job.job.job_id, 0, request), self._clock.monotonic())

    def invalid(self, root: str, answer: orders.Invalid) -> None:
        """File a job that cannot be worked as it is."""
        self.jobs.put(Resumable(root=root, job=answer.job, phase=Publishing()))
        order = orders.FileFailed(answer.job, why_of(answer.problems), answer.instruction)
        self._keepers[root].submit(order)

    def published(self, answer: orders.Published) -> None:
        """Note what is in the outbox now."""
        job = self.jobs.active(answer.finished.task.job.job_id)
        if job is None:
            return
        seconds = work_seconds(answer.finished)
        self._tell(
            story.JobDone(
                results=tuple(map(printable, answer.results)),
                seconds=seconds,
                weights=answer.finished.model.weights,
                **about(job.root, job.job),
            )
        )
        identity = self._keepers[job.root].identity
        now = self._clock.time()
        self._history.record(entry_of_result(identity, answer.finished, answer.results, now))
        results = " ".join(answer.results)
        self._count(job.job, State.DONE, seconds, results)

    def filed(self, root: str, answer: orders.Filed) -> None:
        """Forget a job whose originals are filed."""
        self.jobs.drop(answer.job)
        if answer.state is State.DONE:
            return
        now = self._clock.time()
        seconds = now - answer.job.claimed_at
        self._count(answer.job, answer.state, seconds, answer.where)
        identity = self._keepers[root].identity
        self._history.record(entry_of_ending(identity, answer.job, answer.state, now))
        self._tell(_ending(answer, about(root, answer.job)))

    def _count(self, job: Job, state: State, seconds: float, result: str) -> None:
        file = printable(job.path)
        row = Row(file=file, state=state, seconds=seconds, result=printable(result))
        self.outcomes.append(row)

    def vanished(self, root: str, job: Job) -> None:
        """Forget a job whose files somebody took away."""
        self.jobs.drop(job)
        reason = "some of its files were taken away while it waited"
        self._tell(story.JobGivenBack(reason=reason, **about(root, job)))

    def given_back(self, root: str, job: Job) -> None:
        """Forget a job that is in the inbox again."""
        self.jobs.drop(job)
        self._tell(story.JobGivenBack(reason="Hotfolder is stopping", **about(root, job)))

    # What the pixel workers answer

    def pixels_answered(self, answered: Answered) -> None:
        """Take a pixel worker's answer to its job."""
        job = self.jobs.active(answered.work.job_id)
        if job is None or isinstance(job.phase, Publishing | Resting):
            return
        match answered.answer:
            case Prepared() as prepared:
                self._note(job, prepared.notes)
                self.jobs.put(
                    replace(job, prepared=(prepared, answered.seconds)).at(active.Waiting())
                )
            case Composed() as composed:
                self._note(job, composed.notes)
                self._finish(job.with_variant(answered.work.index, composed, answered.seconds))
            case Refused(cause, advice):
                self._mishaps.failed(job, Failure.PERMANENT, cause, advice)
            case _:
                assert_never(answered.answer)

    def pixels_died(self, died: Died) -> None:
        """Count the death of a pixel worker against the picture that it had open."""
        job = self.jobs.active(died.work.job_id)
        if job is not None:
            cause = f"opening or saving the picture ended the program that did it ({died.how})"
            self._mishaps.died(job, cause, died.last_words)

    def _finish(self, job: Active) -> None:
        if not job.is_complete or not isinstance(job.phase, Composing):
            self.jobs.put(job)
            return
        assert job.prepared is not None
        assert self._facts is not None
        prepared, seconds = job.prepared
        finished = Finished(
            task=job.task,
            prepared=prepared,
            prepare_seconds=seconds,
            variants=job.variants,
            model=self._facts,
            model_loaded_at=self._loaded_at,
        )
        self.jobs.put(job.at(Publishing()))
        replaced = self._earlier(job, OnDuplicate.REDO)
        self._keepers[job.root].submit(orders.Publish(finished, replaced))

    # What the editor says

    def editor_said(self, said: Said) -> None:
        """Take a message of the editor process to its job."""
        now = self._clock.monotonic()
        condition = self._editor.condition
        message = self._editor.heard(said, now)
        match message:
            case None:
                pass
            case Ready(facts, seconds):
                self._facts, self._loaded_at = facts, self._clock.time()
                self._tell(
                    story.EditorReady(
                        class_name=facts.class_name,
                        dtype=facts.dtype,
                        weights=facts.weights,
                        seconds=seconds,
                    )
                )
            case Unusable(problems):
                self.unusable = problems
            case BatchDone() if isinstance(condition, Busy):
                self._batch_done(condition.job_id)
            case _:
                self._edit_event(message, now)

    def _edit_event(self, message: FromEditor, now: float) -> None:
        match message:
            case Stage(request_id):
                pass
            case Step(request_id, step, steps):
                self._stepped(request_id, step, steps, now)
            case Done(request_id, result):
                self._edited(request_id, result)
            case Failed(request_id, error):
                job = self.jobs.active(active.request_of(request_id)[0])
                if job is not None and isinstance(job.phase, Editing):
                    self._mishaps.failed(job, error.failure, error.cause, error.advice)
            case Ready() | Unusable() | BatchDone():
                pass
            case _:
                assert_never(message)

    def _stepped(self, request_id: str, step: int, steps: int, now: float) -> None:
        job_id, index = active.request_of(request_id)
        job = self.jobs.active(job_id)
        if job is None or not isinstance(job.phase, Editing):
            return
        if step == 1 and index > 0:
            self._tell(_running(job, index))
        self.jobs.put(job.at(replace(job.phase, index=index, step=step, steps=steps)))
        self._tell(story.StepDone(step=step, steps=steps, **about(job.root, job.job)))

    def _edited(self, request_id: str, result: EditResult) -> None:
        job_id, index = active.request_of(request_id)
        job = self.jobs.active(job_id)
        if job is None or not isinstance(job.phase, Editing):
            return
        job = replace(job, edits=(*job.edits, (index, result)))
        self.jobs.put(job)
        assert job.prepared is not None
        assert self._facts is not None
        request = active.compose(
            job.task, job.prepared[0], index, result, allow_flat=self._facts.weights == "none"
        )
        self._pixels.submit(Work(job_id, index, request), self._clock.monotonic())

    def _batch_done(self, job_id: str) -> None:
        job = self.jobs.active(job_id)
        if job is not None and isinstance(job.phase, Editing):
            self._finish(job.at(Composing()))

    def editor_ended(self, ended: Ended) -> None:
        """Count the death of the editor against the job that it was at."""
        if not self._editor.is_mine(ended.child):
            return
        job_id = self._editor.ended(ended, self._clock.monotonic())
        self._tell(story.EditorLost(reason=ended.how, last_words=ended.last_words))
        job = self.jobs.active(job_id) if job_id else None
        if job is not None:
            cause = f"the editor process ended over it ({ended.how})"
            self._mishaps.died(job, cause, ended.last_words)

    # What comes next

    def advance(self, now: float) -> None:
        """Begin whatever can begin now."""
        self._editor.kill_hung(now)
        self._pixels.kill_hung(now)
        if self._editor.start_if_due(now):
            self._tell(story.EditorLoading(model=self._editor.name))
        self._edit_next(now)
        while self.is_ready and queueing.has_room(self.jobs, 0):
            job = queueing.due(self.jobs, now)
            if job is None:
                break
            self._resume(job)

    def _edit_next(self, now: float) -> None:
        job = queueing.next_to_edit(self.jobs.actives())
        if job is None or not isinstance(self._editor.condition, Idle):
            return
        assert job.prepared is not None
        steps = job.task.recipe.steps
        self.jobs.put(job.at(Editing(index=0, step=0, steps=steps, since=now)))
        self._tell(_running(job, 0))
        self._editor.edit(job.job.job_id, active.edit_requests(job.task, job.prepared[0]), now)

    def _resume(self, job: Active | Resumable) -> None:
        assert isinstance(job.phase, Resting)
        self.jobs.put(Resumable(root=job.root, job=job.job, phase=Taking()))
        self._keepers[job.root].submit(orders.Resume(job.job, job.phase.strike))

    @property
    def is_ready(self) -> bool:
        """Whether the editor has been loaded once."""
        return self._facts is not None

    @property
    def facts(self) -> ModelFacts | None:
        """What edits; None until the model is loaded."""
        return self._facts

    def give_back(self) -> None:
        """Give every job back that is not past its edit; stop the editor."""
        self._editor.close()
        for job in self.jobs.actives():
            if not isinstance(job.phase, Composing | Publishing | Resting):
                self._pixels.forget(job.job.job_id)
                self.jobs.put(job.at(Publishing()))
                self._keepers[job.root].submit(orders.GiveBack(job.job))

    def is_finishing(self) -> bool:
        """Whether a job is still on its way out."""
        return any(isinstance(job.phase, Composing | Publishing) for job in self.jobs)

    def _note(self, job: Active, notes: tuple[str, ...]) -> None:
        for note in notes:
            self._tell(story.JobNote(text=note, **about(job.root, job.job)))


def _running(job: Active, index: int) -> Event:
    recipe = job.task.recipe
    return story.JobRunning(
        seed=recipe.seed + index,
        steps=recipe.steps,
        variant=index + 1,
        variants=recipe.variants,
        **about(job.root, job.job),
    )


def _ending(answer: orders.Filed, about_it: About) -> Event:
    if answer.state is State.DUPLICATE:
        earlier = tuple(map(printable, answer.earlier))
        return story.JobDuplicate(earlier=earlier, originals=answer.where, **about_it)
    quarantined = answer.state is State.QUARANTINED
    kind = story.JobQuarantined if quarantined else story.JobFailed
    return kind(cause=answer.cause, advice=answer.advice, originals=answer.where, **about_it)
