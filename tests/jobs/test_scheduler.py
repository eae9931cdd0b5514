from dataclasses import replace

import pytest
from sample import active, candidate, resumable, seen

from daemon.jobs.job_run import (
    Backoff,
    Composing,
    Editing,
    JobRun,
    ParkedJob,
    Preparing,
    Reclaiming,
    Waiting,
)
from daemon.jobs.scheduler import due, has_room, next_batch, next_folder

Jobs = list[JobRun | ParkedJob]
EDITING = Editing(index=0, step=0, steps=4, since=0.0)
RESTING = Backoff(5.0, strike=False, alone=False, cause="")


def numbers(jobs: tuple[JobRun, ...]) -> list[str]:
    return [job.job.job_id for job in jobs]


class TestFolders:
    """Which hot folder claims next."""

    def test_the_highest_priority_of_all_folders_comes_first(self) -> None:
        low = candidate(seen("low.png"), priority=5, since=1.0)
        high = candidate(seen("high.png"), priority=9, since=2.0)
        assert next_folder({"/a": low, "/b": high, "/c": None}) == "/b"

    def test_of_equal_priority_the_first_come_is_first(self) -> None:
        late, early = (candidate(seen(f"{since}.png"), since=since) for since in (9.0, 3.0))
        assert next_folder({"/a": late, "/b": early}) == "/b"

    def test_none_does_where_nothing_is_ready(self) -> None:
        assert next_folder({"/a": None}) is None


class TestBatches:
    """Which prepared jobs are edited in one pass."""

    def test_they_go_by_priority_and_then_by_age(self) -> None:
        jobs = [active(3, Waiting()), active(2, Waiting(), priority=9), active(1, Waiting())]
        assert numbers(next_batch(jobs, 4)) == ["job-002", "job-001", "job-003"]

    def test_no_more_go_than_are_allowed(self) -> None:
        jobs = [active(number, Waiting()) for number in range(5)]
        assert numbers(next_batch(jobs, 2)) == ["job-000", "job-001"]

    def test_only_what_is_prepared_goes(self) -> None:
        jobs = [active(1, Preparing()), active(2, EDITING), active(3, RESTING)]
        assert next_batch(jobs, 4) == ()

    def test_a_job_that_is_to_run_alone_has_no_company(self) -> None:
        jobs = [active(1, Waiting(), alone=True), active(2, Waiting())]
        assert numbers(next_batch(jobs, 4)) == ["job-001"]

    def test_the_others_do_not_take_it_along(self) -> None:
        jobs = [active(1, Waiting()), active(2, Waiting(), alone=True), active(3, Waiting())]
        assert numbers(next_batch(jobs, 4)) == ["job-001", "job-003"]


class TestRoom:
    """How many jobs are got ready ahead of the editor."""

    @pytest.mark.parametrize(("claims", "room"), [(0, True), (1, False)])
    def test_it_counts_what_is_ahead_of_the_editor_and_what_is_being_claimed(
        self, claims: int, room: bool
    ) -> None:
        assert has_room([active(1, Preparing()), active(2, EDITING)], claims, most=2) is room

    def test_what_rests_or_is_past_its_edit_takes_no_room(self) -> None:
        jobs: Jobs = [active(1, Composing()), active(2, RESTING), resumable(3, until=9.0)]
        assert has_room(jobs, 0, most=1)

    def test_what_is_taken_up_again_takes_room(self) -> None:
        assert not has_room([replace(resumable(1, until=0.0), phase=Reclaiming())], 0, most=1)


def test_the_resting_job_whose_time_came_first_is_due() -> None:
    jobs: Jobs = [resumable(1, until=8.0), active(2, RESTING), resumable(3, until=99.0)]
    assert due(jobs, now=4.9) is None
    assert due(jobs, now=10.0) is jobs[1]
