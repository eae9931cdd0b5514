"""When a job that went wrong runs again, by a clock that goes where it is put."""

from dataclasses import replace

import pytest
from sample import active, context

from daemon.events.events import Event, WorkGoesOn, WorkHalted, WorkTried
from daemon.events.job_events import JobRetry
from daemon.jobs import scheduler
from daemon.jobs.failures import FailureHandler
from daemon.jobs.job_run import Backoff, Editing, JobTable
from daemon.workers.child import Part
from daemon.workers.pixel_pool import PixelPool
from pipeline.editor import Failure

EDITING = Editing(index=0, step=0, steps=4, since=0.0)


class Shop:
    """Jobs, their mishaps, and the time."""

    def __init__(self) -> None:
        self.now, self.told = 1000.0, list[Event]()
        self.jobs = JobTable({})
        self.failure_handler = FailureHandler(
            context(clock=self, tell=self.told.append),
            self.jobs,
            PixelPool(0, lambda _: None),
        )
        self.breaker = self.failure_handler.breaker

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def edit(self, number: int, *, strikes: int = 0) -> str:
        """Have the editor be at a job; returns its id."""
        one = active(number, EDITING)
        job = replace(one.resolved_job.job, strikes=strikes)
        self.jobs.put(replace(one, resolved_job=replace(one.resolved_job, job=job)))
        return job.job_id

    def fail(self, job_id: str, failure: Failure) -> None:
        job = self.jobs.active(job_id)
        assert job is not None
        self.failure_handler.failed(job, failure, "It went wrong", "Mend it.")

    def die(self, job_id: str, part: Part = Part.EDITOR) -> None:
        """Let a process die over a job alone."""
        job = self.jobs.active(job_id)
        assert job is not None
        to_blame = self.breaker.died(job_id, "killed by SIGSEGV", part)
        self.failure_handler.died(job, "The editor died", "", together=False, to_blame=to_blame)

    def turns(self) -> tuple[object, ...]:
        """The kinds of what was told, without what is about a job."""
        return tuple(type(event) for event in self.told if not isinstance(event, JobRetry))

    def resting(self, job_id: str) -> Backoff:
        job = self.jobs.active(job_id)
        assert job is not None
        assert isinstance(job.phase, Backoff)
        return job.phase


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize(("strikes", "seconds"), [(0, 30), (1, 120), (2, 600)])
def test_what_may_pass_is_tried_again_when_its_rest_is_over_and_not_before(
    shop: Shop, strikes: int, seconds: float
) -> None:
    job_id = shop.edit(1, strikes=strikes)
    shop.fail(job_id, Failure.TRANSIENT)
    assert shop.resting(job_id).strike
    assert scheduler.due(shop.jobs, shop.now + seconds - 0.1) is None
    assert scheduler.due(shop.jobs, shop.now + seconds) is not None
    (told,) = shop.told
    assert isinstance(told, JobRetry)
    assert told.wait_seconds == seconds


def test_the_fault_of_the_machine_costs_nothing_and_halts_all(shop: Shop) -> None:
    job_id = shop.edit(1)
    shop.fail(job_id, Failure.ENVIRONMENT)
    resting = shop.resting(job_id)
    assert (resting.strike, resting.counts) == (False, False)
    assert shop.breaker.is_open
    assert shop.breaker.reason().startswith("It went wrong; one job tries it again at ")
    shop.now += 60
    shop.breaker.advance()
    assert shop.breaker.is_half_open
    shop.breaker.succeeded([job_id])
    assert shop.breaker.reason() == ""
    assert shop.turns() == (WorkHalted, WorkTried, WorkGoesOn)


def test_three_deaths_take_back_their_strikes_until_another_job_is_done(shop: Shop) -> None:
    ids = [shop.edit(number) for number in (1, 2, 3)]
    for job_id in ids[:2]:
        shop.die(job_id)
        assert shop.resting(job_id).strike
    shop.die(ids[2])
    assert [shop.resting(job_id).strike for job_id in ids] == [False, False, False]
    shop.breaker.try_now()
    shop.breaker.succeeded(["another"])
    assert [shop.resting(job_id).strike for job_id in ids] == [True, True, True]


def test_one_of_the_three_that_is_done_shows_that_it_was_the_machine(shop: Shop) -> None:
    ids = [shop.edit(number) for number in (1, 2, 3)]
    for job_id in ids:
        shop.die(job_id)
    shop.breaker.try_now()
    shop.breaker.succeeded([ids[0]])
    assert not any(shop.resting(job_id).strike for job_id in ids)


def test_a_death_while_one_job_tries_it_blames_nobody(shop: Shop) -> None:
    for number in (1, 2, 3):
        shop.die(shop.edit(number))
    shop.breaker.try_now()
    poison = shop.edit(4, strikes=1)  # a second death alone would be its end
    shop.die(poison)
    assert not shop.resting(poison).strike
    assert shop.breaker.is_open


def test_those_over_which_it_ended_go_after_all_others(shop: Shop) -> None:
    first = shop.edit(1)
    shop.die(first)
    other = shop.edit(2)
    shop.fail(other, Failure.TRANSIENT)
    due = scheduler.due(shop.jobs, shop.now + 600, last=shop.breaker.suspects)
    assert due is not None
    assert due.job.job_id == other


def test_what_one_part_does_well_clears_no_other(shop: Shop) -> None:
    ids = [shop.edit(number) for number in (1, 2, 3)]
    for job_id in ids:
        shop.breaker.succeeded([job_id], Part.OPENING)
        shop.breaker.succeeded([job_id], Part.EDITOR)
        shop.die(job_id, Part.SAVING)
    assert shop.breaker.reason().startswith("the program that saves pictures ended over three")
    assert not any(shop.resting(job_id).strike for job_id in ids)
    shop.breaker.try_now()
    shop.breaker.succeeded(["another"], Part.EDITOR)
    assert shop.breaker.reason()
    shop.breaker.succeeded(["another"], Part.SAVING)
    assert shop.breaker.reason() == ""
    assert all(shop.resting(job_id).strike for job_id in ids)


def test_deaths_of_different_parts_are_no_row(shop: Shop) -> None:
    for number, part in enumerate((Part.EDITOR, Part.OPENING, Part.SAVING)):
        shop.die(shop.edit(number), part)
    assert not shop.breaker.is_open


def test_work_goes_on_when_all_parts_work_and_each_turn_is_told_once(shop: Shop) -> None:
    for part in (Part.WORKERS, Part.EDITOR):
        shop.breaker.failed_to_start("it is gone", part)
    shop.now += 60
    shop.breaker.advance()
    shop.breaker.opened(Part.WORKERS)
    assert shop.breaker.reason().startswith("the editor cannot be opened any more: it is gone")
    shop.breaker.opened(Part.EDITOR)
    assert shop.breaker.reason() == ""
    assert shop.turns() == (WorkHalted, WorkTried, WorkGoesOn)
