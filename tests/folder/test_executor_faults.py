"""A job in work/ at which a fault of ours is met is held alone, and the others go on."""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from sample import TICKET, candidate, finished, resolved_job, seen, settings

from config.settings import FolderSettings
from daemon.events.events import ThreadFailed
from daemon.folder import messages
from daemon.folder.executor import FolderExecutor
from daemon.folder.resolve import Resolver
from daemon.fs.hot_folder import make_hot_folder
from daemon.job import EMPTY_PLAN, Job, State
from daemon.lease.leader import NotLeader
from daemon.spool.publisher import Publisher
from daemon.spool.receipts import FinishedJob
from daemon.spool.records import UNKNOWN, RecoveredJob
from daemon.spool.scratch import ScratchDirs, save_finished
from daemon.spool.spool import Spool
from pipeline.recipe import Defaults, RecipeRules

FAULTY, SOUND = "20261122-120000-00000001", "20261122-120000-00000002"
STUMBLED = "it stumbled"


class OneUnpublishable(Spool):
    """Raises what nobody expects where the results of one job are looked at."""

    def publication(self, job_id: str) -> Publisher:
        if job_id == FAULTY:
            raise LookupError(STUMBLED)
        return super().publication(job_id)


class NoneFiled(Spool):
    """Raises what nobody expects where the originals of a job are filed."""

    def file_done(self, job: Job, day: str) -> str:
        raise LookupError(STUMBLED)


class OneUnreadable(Spool):
    """Raises what nobody expects where the folder of one job is looked at."""

    def _left(self, folder: Path) -> RecoveredJob | None:
        if folder.name == FAULTY:
            raise LookupError(STUMBLED)
        return super()._left(folder)


class NoneAdoptable(Spool):
    """Raises what nobody expects where files of a failed job are taken back."""

    def adopt(self, job: Job, folder: Path, names: Iterable[tuple[str, str]]) -> None:
        raise LookupError(STUMBLED)


class NotLeading(Spool):
    """Finds another daemon leading where it looks at a job."""

    def _left(self, folder: Path) -> RecoveredJob | None:
        raise NotLeader(folder.name, is_certain=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A hot folder with two jobs that are at work."""
    make_hot_folder(tmp_path / "hot", "the-id")
    spool = Spool(tmp_path / "hot")
    for job_id in (FAULTY, SOUND):
        name = f"{job_id}.png"
        (spool.inbox / name).write_bytes(b"x")
        ticket = replace(TICKET, job_id=job_id)
        spool.begin_attempt(spool.claim(candidate(seen(name, spool.inbox)), frozenset(), ticket))
    return tmp_path / "hot"


def executor_of(spool: Spool, reply: Callable[[messages.FolderReply], None]) -> FolderExecutor:
    return FolderExecutor(
        spool=spool,
        scratch=spool.root.parent / "scratch",
        clock=time,
        resolver=Resolver(
            RecipeRules.of(settings(FolderSettings(root=spool.root)), Defaults(steps=4))
        ),
        presets_for=lambda _: (),
        reply=reply,
    )


@pytest.mark.parametrize("faulty", [OneUnpublishable, OneUnreadable])
def test_it_is_held_and_told_once_and_the_others_are_recovered(
    root: Path, faulty: type[Spool]
) -> None:
    replies: list[messages.FolderReply] = []
    executor = executor_of(faulty(root), replies.append)
    for _ in range(3):
        executor.recover()
    recovered: list[Job] = [
        job for it in replies if isinstance(it, messages.Recovered) for job in it.jobs
    ]
    assert [job.job_id for job in recovered] == [SOUND]
    (told,) = [it.event for it in replies if isinstance(it, messages.EventRaised)]
    assert isinstance(told, ThreadFailed)
    assert f"LookupError: {STUMBLED}" in told.text
    assert "Traceback" in told.traceback
    (held,) = executor.retries.shown_in(EMPTY_PLAN).states
    assert (FAULTY in held.path, held.state) == (True, State.HELD)
    assert "a fault of Hotfolder itself, please report it" in held.reason


@pytest.mark.parametrize("faulty", [OneUnpublishable, OneUnreadable])
def test_one_that_somebody_removes_is_held_no_more(root: Path, faulty: type[Spool]) -> None:
    executor = executor_of(faulty(root), lambda _: None)
    executor.recover()
    assert executor.has_to_recover(now=inf)
    executor.recover()
    assert executor.retries.held_jobs() == {FAULTY}  # still there
    shutil.rmtree(root / ".hotfolder" / "work" / FAULTY)
    executor.recover()
    assert executor.retries.shown_in(EMPTY_PLAN).states == ()
    assert not executor.has_to_recover(now=inf)


def published(spool: Spool) -> FinishedJob:
    """A job whose results are out and lie on scratch, too."""
    job = next(it.job for it in spool.recover() if it.job.job_id == SOUND)
    scratch = ScratchDirs(spool.root.parent / "scratch", "").of(job.job_id)
    scratch.mkdir(parents=True)
    result = finished(resolved_job(job, scratch=scratch), b"blue")
    spool.publication(job.job_id).publish(result, iter([1.0, 2.0]), ())
    return result


def test_what_was_found_published_is_told_once_however_long_filing_takes(root: Path) -> None:
    replies: list[messages.FolderReply] = []
    spool = NoneFiled(root)
    published(spool)
    executor = executor_of(spool, replies.append)
    for _ in range(3):
        executor.recover()
    assert SOUND in executor.retries.held_jobs()
    assert len([it for it in replies if isinstance(it, messages.FoundPublished)]) == 1


def test_what_was_published_is_told_once_however_long_filing_takes(root: Path) -> None:
    replies: list[messages.FolderReply] = []
    spool = NoneFiled(root)
    result = published(spool)
    save_finished(result)
    executor = executor_of(spool, replies.append)
    for _ in range(3):
        executor.recover()
        assert any(isinstance(it, messages.Recovered) and it.finished for it in replies)
        executor.do(messages.Publish(result, ()))
    assert SOUND in executor.retries.held_jobs()
    assert len([it for it in replies if isinstance(it, messages.Published)]) == 1


def test_a_requeue_that_raises_is_refused_with_the_reason(root: Path) -> None:
    replies: list[messages.FolderReply] = []
    spool = NoneAdoptable(root)
    job = next(it.job for it in spool.recover() if it.job.job_id == FAULTY)
    folder = spool.file_failed(job, "2026-11-22", UNKNOWN, "{}")
    executor = executor_of(spool, replies.append)
    executor.do(messages.Requeue(folder))
    told, refused = replies
    assert isinstance(told, messages.EventRaised)
    assert isinstance(told.event, ThreadFailed)
    assert isinstance(refused, messages.Requeued)
    (problem,) = refused.problems
    assert "a fault of Hotfolder itself, please report it (LookupError" in problem.what
    assert (root / folder / f"{FAULTY}.png").exists()


def test_one_that_does_not_lead_leaves_all_to_the_leader(root: Path) -> None:
    executor = executor_of(NotLeading(root), lambda _: None)
    with pytest.raises(NotLeader):
        executor.recover()
    assert executor.retries.held_jobs() == frozenset()
