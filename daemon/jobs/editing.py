"""The editor's side of the jobs under way: what it is given, what it says, when it dies."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import assert_never

from config.problems import Problem
from config.settings import ModelSettings
from daemon.context import Context
from daemon.events import events, job_events
from daemon.events.events import EditorDismissed, Event
from daemon.jobs import job_run, scheduler
from daemon.jobs.failures import FailureHandler
from daemon.jobs.job_run import JobRun, JobTable, about
from daemon.jobs.time_left import EditPass, EditWork
from daemon.jobs.typical_times import TypicalTimes, step_weight
from daemon.workers.backend import Busy, EditBackend, Idle, Lost
from daemon.workers.child import Ended, Part, Said
from daemon.workers.pixel_pool import PixelPool, Work
from pipeline.editor import (
    Done,
    EditError,
    EditRequest,
    EditResult,
    Failed,
    ModelFacts,
    Stage,
    Step,
)
from pipeline.ipc import BatchDone, Ready, Remark, Unusable

_LOADS = 3  # an editor that dies so often before it was ever ready will not get better


class EditStage:
    """Gives prepared jobs to the editor and takes what it says back to them."""

    def __init__(
        self,
        context: Context,
        jobs: JobTable,
        failures: FailureHandler,
        editor: EditBackend,
        pixels: PixelPool,
    ) -> None:
        self.facts: ModelFacts | None = None  # None until the model of now is loaded
        self.loaded_at = 0.0  # Unix time
        self.unusable: tuple[Problem, ...] = ()
        self._jobs, self._breaker, self._failures = jobs, failures.breaker, failures
        self._editor, self._pixels = editor, pixels
        self._clock, self._tell = context.clock, context.tell
        self.is_unneeded = False  # no editor is needed for now
        self._failed_loads = 0  # in a row
        self._has_loaded = False  # an editor, ever
        self._wanted = editor.model  # what it is to be opened with
        self.typical_times = TypicalTimes(context.history, context.clock)
        self._edit_pass: EditPass | None = None  # that the editor is at

    @property
    def is_ready(self) -> bool:
        """Whether jobs may be got ready for the editor: its model has been loaded, and stays."""
        return self.facts is not None and not self.is_outdated

    @property
    def is_outdated(self) -> bool:
        """Whether it is to be opened anew, as soon as it is idle."""
        opened_with = self._editor.model
        # For how long it may be silent is our affair alone.
        return replace(self._wanted, hang_seconds=opened_with.hang_seconds) != opened_with

    def seconds_left(self, now: float) -> float | None:
        """Until the editor is done with what it is at; None where nobody can know that yet."""
        condition = self._editor.condition
        if not isinstance(condition, Busy) or self._edit_pass is None:
            return 0.0 if isinstance(condition, Idle) else None
        return self._edit_pass.seconds_left(now, condition.open - condition.dropped)

    def reconfigure(self, model: ModelSettings) -> None:
        """Go on with other settings of the model."""
        self._wanted = model
        self._editor.hang_seconds = model.hang_seconds

    def begin(self, now: float) -> None:
        """Start the editor where there is none, end it where it hangs, give it what waits."""
        self._editor.kill_hung(now)
        if self.is_outdated:
            if not self._is_idle():
                return
            self._reopen(now)
        if self.is_unneeded:
            if self._editor.dismiss(now):
                self._tell(EditorDismissed())
            return
        if not self._breaker.is_open_at(Part.EDITOR):
            # Who tries it out does not wait for the end of another rest.
            at_once = self._breaker.is_half_open_at(Part.EDITOR)
            if self._editor.start_if_due(now, at_once=at_once):
                self._tell(events.EditorLoading(model=self._editor.name))
        if not self._breaker.is_open:
            self._edit_next(now)

    def _is_idle(self) -> bool:
        # What is at the pixel workers was asked of them for the model of now.
        at_pixels = any(
            isinstance(it.phase, job_run.Preparing | job_run.Composing)
            for it in self._jobs.actives()
        )
        return not at_pixels and not isinstance(self._editor.condition, Busy)

    def _reopen(self, now: float) -> None:
        """Open the editor anew; the jobs that wait for it are got ready by the new settings."""
        self._editor.reopen(self._wanted, now)
        self.facts = None
        for job in self._jobs.actives():
            if isinstance(job.phase, job_run.Waiting):
                self.resolve_again(job)

    def resolve_again(
        self, job: JobRun, cause: str = "the settings of the model have changed"
    ) -> None:
        """Have the instruction of a job that has not been edited read by the settings of now."""
        now = self._clock.monotonic()
        self._jobs.put(job_run.parked(job.root, job.job, cause, now, counts=False))

    def _edit_next(self, now: float) -> None:
        if not isinstance(self._editor.condition, Idle):
            return
        most = 1 if self._breaker.is_half_open else self._editor.model.batch
        batch = scheduler.next_batch(self._jobs.actives(), most, last=self._breaker.suspects)
        requests: list[EditRequest] = []
        works: dict[str, EditWork] = {}
        for job in batch:
            steps, first = job.resolved_job.recipe.steps, job.unedited[0]
            editing = job_run.Editing(index=first, step=0, steps=steps, since=now, first=first)
            self._jobs.put(job.at(editing))
            self._tell(_running(job, first))
            asked = job_run.edit_requests(job)
            requests += asked
            works |= dict.fromkeys((it.request_id for it in asked), self._work_of(job))
        if requests:
            self._edit_pass = EditPass(began_at=now, works=works)
            job_ids = frozenset(job.job.job_id for job in batch)
            self._editor.edit(job_ids, tuple(requests), now)

    def _work_of(self, job: JobRun) -> EditWork:
        recipe, facts = job.resolved_job.recipe, self.facts
        assert facts is not None
        typical = self.typical_times.of(recipe, facts)
        return EditWork(steps=recipe.steps, weight=step_weight(recipe, facts), typical=typical)

    def said(self, said: Said) -> tuple[JobRun, ...]:  # noqa: C901 - one arm a message
        """Take a message of the editor process to its job; gives those whose edits are over."""
        now = self._clock.monotonic()
        condition = self._editor.condition
        message = self._editor.heard(said, now)
        if self._edit_pass is not None:
            self._edit_pass = self._edit_pass.heard(message, now)
        match message:
            case Ready(facts, seconds):
                self._loaded(facts, seconds)
            case Unusable(problems) if not self._has_loaded:
                self.unusable = problems
            case Unusable(problems):
                why = "; ".join(map(str, problems))
                if isinstance(condition, Busy):
                    self._take_back(condition.job_ids, why)
                self._breaker.failed_to_start(why)
            case Remark(level, text):
                self._tell(_remarked(level, text))
            case BatchDone() if isinstance(condition, Busy):
                return self._batch_done(condition.job_ids)
            case Step(request_id, step, steps):
                self._stepped(request_id, step, steps)
            case Done(request_id, result):
                self._edited(request_id, result)
            case Failed(request_id, error):
                self._failed(request_id, error)
            case None | Stage() | BatchDone():
                pass
            case _:
                assert_never(message)
        return ()

    def _loaded(self, facts: ModelFacts, seconds: float) -> None:
        self.facts, self.loaded_at = facts, self._clock.time()
        self._has_loaded, self._failed_loads = True, 0
        self._breaker.opened()
        self._tell(
            events.EditorReady(
                class_name=facts.class_name,
                dtype=facts.dtype,
                weights=facts.weights,
                seconds=seconds,
            )
        )

    def _take_back(self, job_ids: frozenset[str], why: str) -> None:
        """Let the jobs of an editor that can edit no more wait for the next, without blame."""
        for job in self._jobs.edited(job_ids):
            self.resolve_again(job, why)

    def _stepped(self, request_id: str, step: int, steps: int) -> None:
        job_id, index = job_run.request_of(request_id)
        job = self._jobs.active(job_id)
        if job is None or not isinstance(job.phase, job_run.Editing):
            return
        if step == 1 and index > job.phase.first:
            self._tell(_running(job, index))
        self._jobs.put(job.at(replace(job.phase, index=index, step=step, steps=steps)))
        self._tell(job_events.StepDone(step=step, steps=steps, **about(job.root, job.job)))

    def _edited(self, request_id: str, result: EditResult) -> None:
        job_id, index = job_run.request_of(request_id)
        job = self._jobs.active(job_id)
        if job is None or not isinstance(job.phase, job_run.Editing):
            return
        job = replace(job, edits=(*job.edits, (index, result)))
        self._jobs.put(job)
        assert self.facts is not None
        folder, now = self._jobs.worker_of(job.root).folder, self._clock.time()
        request = job_run.compose(job, index, self.facts, folder, now)
        self._pixels.submit(Work(job_id, index, request))

    def _failed(self, request_id: str, error: EditError) -> None:
        job = self._jobs.active(job_run.request_of(request_id)[0])
        if job is not None and isinstance(job.phase, job_run.Editing):
            self._failures.failed(job, error.failure, error.cause, error.advice)

    def _batch_done(self, job_ids: frozenset[str]) -> tuple[JobRun, ...]:
        done = self._jobs.edited(job_ids)
        if done:
            self._breaker.succeeded(job.job.job_id for job in done)
        now = self._clock.monotonic()
        return tuple(replace(job, phase=job_run.Composing(), edited_at=now) for job in done)

    def ended(self, ended: Ended) -> None:
        """Count the death of the editor against the job that it was at."""
        lost = self._editor.ended(ended, self._clock.monotonic())
        if lost is None:
            return
        self._tell(events.EditorLost(reason=lost.how, last_words=lost.last_words))
        if lost.was_loading:
            self._not_loaded(lost)
        under_way = self._jobs.edited(lost.job_ids)
        to_blame = self._is_to_blame(lost)
        cause = f"the editor process ended over it ({lost.how})"
        for job in under_way:
            self._failures.died(
                job, cause, lost.last_words, together=len(lost.job_ids) > 1, to_blame=to_blame
            )

    def _is_to_blame(self, lost: Lost) -> bool:
        # In company none can be blamed, and no rule is broken: each runs alone next.
        return len(lost.job_ids) != 1 or self._breaker.died(min(lost.job_ids), lost.how)

    def _not_loaded(self, lost: Lost) -> None:
        self._failed_loads += 1
        if self._failed_loads < _LOADS:
            return
        problem = _load_problem(self._editor.name, lost)
        if self._has_loaded or not lost.is_started:
            self._failed_loads = 0
            self._breaker.failed_to_start(str(problem))
        else:
            self.unusable = (problem,)


def _load_problem(name: str, lost: Lost) -> Problem:
    if not lost.is_started:
        what = f"its process failed to start {_LOADS} times ({lost.how})"
        return Problem(
            name, what, "look at memory, and at how many processes and files it may have"
        )
    what = f"its process ended {_LOADS} times while it loaded the model ({lost.how})"
    return Problem(name, what, f"look at its last words: {lost.last_words or 'it said nothing'}")


def _running(job: JobRun, index: int) -> Event:
    recipe = job.resolved_job.recipe
    return job_events.JobRunning(
        seed=job.seed_of(index),
        steps=recipe.steps,
        variant=index + 1,
        variants=recipe.variants,
        **about(job.root, job.job),
    )


def _remarked(level: int, text: str) -> Event:
    sentence = f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
    if level >= logging.WARNING:
        return events.Noted(text=sentence)
    return (
        events.Explained(text=sentence) if level >= logging.INFO else events.Detail(text=sentence)
    )
