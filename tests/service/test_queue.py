"""The order of the jobs of several hot folders, and when they are done."""

from dataclasses import replace

import pytest
from sample import RECIPE, active, candidate, plan, seen

from daemon.control.documents import Turn
from daemon.job import Candidate, PlannedJob
from daemon.jobs.job_run import JobRun, Waiting
from daemon.service.queue import JobQueue, WaitingFolder
from pipeline.recipe import Recipe, Resolved


def waiting(root: str, *ready: Candidate, is_worked: bool = True, steps: int = 4) -> WaitingFolder:
    recipe = replace(RECIPE, steps=steps)
    jobs = {it.image.path: PlannedJob(Resolved(recipe=recipe, notes=()), None) for it in ready}
    return WaitingFolder(root=root, plan=replace(plan(*ready), jobs=jobs), is_worked=is_worked)


def one(name: str, since: float, priority: int = 5) -> Candidate:
    return candidate(seen(name), since=since, priority=priority)


def seconds_of(recipe: Recipe | None) -> float | None:
    return 0.0 if recipe is None else float(recipe.steps)


def queue(
    *folders: WaitingFolder, claimed: tuple[JobRun, ...] = (), under_way: float | None = 1.0
) -> JobQueue:
    return JobQueue(
        claimed=claimed,
        folders=folders,
        seconds_of=seconds_of,
        under_way=under_way,
        together=1,
        pace=1.0,
    )


def test_jobs_of_all_hot_folders_come_by_urgency_then_as_they_came() -> None:
    first = waiting("/a", one("urgent.png", 9.0, priority=9), one("late.png", 5.0))
    second = waiting("/b", one("early.png", 1.0), one("last.png", 7.0))
    found = queue(first, second).by_root()
    assert found["/a"] == {"urgent.png": Turn(0, 4, 5.0), "late.png": Turn(2, 4, 13.0)}
    assert found["/b"] == {"early.png": Turn(1, 4, 9.0), "last.png": Turn(3, 4, 17.0)}


def test_what_was_claimed_comes_first() -> None:
    job = active(1, Waiting())
    found = queue(waiting("/hot", one("a.png", 0.0)), claimed=(job,)).by_root()
    assert found["/hot"] == {job.job.job_id: Turn(0, 2, 5.0), "a.png": Turn(1, 2, 9.0)}


def test_a_hot_folder_that_rests_has_places_and_no_time() -> None:
    rests = waiting("/a", one("a.png", 0.0), one("b.png", 1.0), is_worked=False)
    asked = queue(rests, waiting("/b", one("c.png", 2.0)))
    assert asked.by_root() == {
        "/a": {"a.png": Turn(0, 2, None), "b.png": Turn(1, 2, None)},
        "/b": {"c.png": Turn(0, 1, 5.0)},
    }
    assert asked.seconds() == 5.0


def test_a_job_that_fails_at_once_takes_no_time() -> None:
    folder = waiting("/a", one("broken.png", 0.0), one("a.png", 1.0))
    jobs = {"a.png": folder.plan.jobs["a.png"]}
    found = queue(replace(folder, plan=replace(folder.plan, jobs=jobs))).by_root()
    assert found["/a"] == {"broken.png": Turn(0, 2, 1.0), "a.png": Turn(1, 2, 5.0)}


@pytest.mark.parametrize(("under_way", "seconds"), [(None, None), (3.0, 3.0)])
def test_without_jobs_it_takes_what_is_under_way(
    under_way: float | None, seconds: float | None
) -> None:
    assert queue(under_way=under_way).seconds() == seconds
    assert queue(under_way=under_way).by_root() == {}
