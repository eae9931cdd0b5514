"""Jobs that have ended: what is kept of them, and what is not."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sample import FIDELITY, context, finished, folder_worker, job, resolved_job

from daemon.events.events import Event, sentence
from daemon.folder import messages
from daemon.folder.view import FolderView
from daemon.history import History
from daemon.job import EndedJob, State
from daemon.jobs.completion import Completion
from daemon.jobs.job_run import JobRun, JobTable, Publishing


class Ended:
    """The endings of one hot folder."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.told: list[Event] = []
        self.troubles: list[str] = []
        self.history = History(base, self.troubles.append)
        self.root = str(base / "hot")
        self.folder_worker = folder_worker(base / "hot", base / "scratch", lambda _: None)
        self.folder_worker.identity = "the-id"
        self.jobs = JobTable({self.root: FolderView(self.folder_worker)})
        around = context(tell=self.told.append, history=self.history)
        self.completion = Completion(around, self.jobs)

    def fail(self, number: int) -> None:
        """End a job."""
        one = replace(job(f"{number}.png"), job_id=f"job-{number:04}")
        filed = messages.Filed(one, State.FAILED, "failed/today", "It is broken.", "Mend it.")
        self.completion.folder_replied(self.root, filed)

    def publish(self, *doubts: tuple[str, ...], missed: tuple[int, ...] = ()) -> None:
        """Publish a job with a result of each of these doubts; `missed` did not pass."""
        number, scratch = len(self.told), self.base / "scratch"
        scratch.mkdir(exist_ok=True)
        one = replace(job(), job_id=f"job-{number:04}")
        done = finished(resolved_job(one, scratch=scratch), *(b"picture" for _ in doubts))
        variants = tuple(
            replace(
                it,
                composed=replace(it.composed, fidelity=replace(FIDELITY, doubts=doubts[it.index])),
                missed=("it is too far off",) if it.index in missed else (),
            )
            for it in done.variants
        )
        done = replace(done, variants=variants)
        run = JobRun(root=self.root, resolved_job=done.resolved_job, phase=Publishing())
        self.jobs.put(run)
        results = tuple(f"outbox/{it.index}.png" for it in variants)
        self.completion.folder_replied(self.root, messages.Published(done, results))


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[Ended]:
    one = Ended(tmp_path)
    yield one
    one.history.close()


def rows_in_memory() -> int:
    gc.collect()
    return sum(type(it) is EndedJob for it in gc.get_objects())


def test_a_daemon_keeps_no_row_of_the_jobs_that_have_ended(ended: Ended) -> None:
    before = rows_in_memory()
    for number in range(50):
        ended.fail(number)
    assert rows_in_memory() == before
    assert ended.completion.ended == 50
    assert len(ended.told) == 50


def test_whoever_wants_the_rows_is_shown_each(ended: Ended) -> None:
    rows: list[EndedJob] = []
    ended.completion.show = rows.append
    ended.fail(1)
    (row,) = rows
    assert (row.file, row.state, row.result) == ("1.png", State.FAILED, "failed/today")


def test_the_log_of_a_done_job_says_that_its_confidence_is_low(ended: Ended) -> None:
    ended.publish(("edges moved",), ("edges moved", "nothing says how it lies"))
    ended.publish(())
    doubted, sure = map(sentence, ended.told)
    assert doubted.endswith("confidence is low: edges moved; nothing says how it lies.")
    assert "confidence" not in sure


def test_what_goes_to_review_says_its_reason_and_the_rest_its_doubts(ended: Ended) -> None:
    ended.publish(("edges moved",), ("nothing says how it lies",), missed=(0,))
    (told,) = map(sentence, ended.told)
    assert "its confidence is low: nothing says how it lies. Look at what is in review" in told
    assert told.endswith("it is too far off.")
