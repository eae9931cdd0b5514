"""Jobs that have ended: what is kept of them, and what is not."""

import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sample import folder_worker, job

from daemon.events.events import Event
from daemon.folder import messages
from daemon.history import History
from daemon.job import EndedJob, State
from daemon.jobs.completion import Completion
from daemon.jobs.job_run import JobTable


class Ended:
    """The endings of one hot folder."""

    def __init__(self, base: Path) -> None:
        self.told: list[Event] = []
        self.troubles: list[str] = []
        self.history = History(base, self.troubles.append)
        self.root = str(base / "hot")
        self.folder_worker = folder_worker(base / "hot", base / "scratch", lambda _: None)
        self.folder_worker.identity = "the-id"
        self.completion = Completion(
            jobs=JobTable(),
            folder_workers={self.root: self.folder_worker},
            history=self.history,
            clock=time,
            tell=self.told.append,
        )

    def fail(self, number: int) -> None:
        """End a job."""
        one = replace(job(f"{number}.png"), job_id=f"job-{number:04}")
        filed = messages.Filed(one, State.FAILED, "failed/today", "It is broken.", "Mend it.")
        self.completion.filed(self.root, filed)


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
