"""What STATUS.txt says has failed: what lies in failed/ now, whoever moves it, whoever looks."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sample import TICKET, candidate, seen

from daemon.fs.hot_folder import make_hot_folder
from daemon.job import State
from daemon.spool.failed_jobs import FailedJob, FailedJobs
from daemon.spool.receipts import FailureReason
from daemon.spool.requeue import requeue
from daemon.spool.spool import Spool

DAY = "2026-11-28"
WHY = FailureReason(State.FAILED, "It is broken.", "Mend it.")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    make_hot_folder(tmp_path, "the-id")
    return Spool(tmp_path)


@pytest.fixture
def failed_jobs(spool: Spool) -> FailedJobs:
    return FailedJobs(spool.tree)


def fail(spool: Spool, name: str) -> Path:
    """The folder of a failed job of album/<name>."""
    path = spool.inbox / "album" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(name)
    look = candidate(seen(f"album/{name}", spool.inbox))
    ticket = replace(TICKET, job_id=f"20261128-140153-{len(name):08x}")
    job = spool.begin_attempt(spool.claim(look, frozenset(), ticket))
    folder = spool.root / spool.file_failed(job, DAY, WHY, "{}")
    os.utime(folder, (len(name), len(name)))  # they end one after the other
    return folder


def test_they_come_with_their_causes_the_oldest_first(
    spool: Spool, failed_jobs: FailedJobs
) -> None:
    assert failed_jobs.of_day(DAY) == ()
    fail(spool, "b.png"), fail(spool, "aaa.png")
    both = tuple(FailedJob(f"album/{it}", "It is broken.") for it in ("b.png", "aaa.png"))
    assert failed_jobs.of_day(DAY) == both
    assert FailedJobs(spool.tree).of_day(DAY) == both  # after a restart
    assert failed_jobs.of_day("2026-11-29") == ()


def test_what_goes_back_is_told_no_more(spool: Spool, failed_jobs: FailedJobs) -> None:
    folders = [fail(spool, name) for name in ("a.png", "bb.png", "ccc.png")]
    assert len(failed_jobs.of_day(DAY)) == 3
    requeue(spool, folders[0], TICKET)
    (folders[1] / "bb.png").rename(spool.inbox / "bb.png")  # WHY.txt stays behind
    folders[2].rename(spool.inbox / "ccc")
    assert failed_jobs.of_day(DAY) == ()


def test_what_is_no_job_there_is_no_trouble(spool: Spool, failed_jobs: FailedJobs) -> None:
    folder = fail(spool, "a.png")
    (folder / "report.json").write_text("[]")
    (folder.parent / "notes").mkdir()
    (folder.parent / "notes.txt").write_text("mine")
    (folder.parent / "link").symlink_to(folder)
    assert failed_jobs.of_day(DAY) == ()
