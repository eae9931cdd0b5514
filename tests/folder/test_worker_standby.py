"""Two workers on one hot folder: one works, the other touches nothing until it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import wait_for
from paper import WHOLE
from sample import HotFolderWorker, finished

from daemon.events import events
from daemon.folder import messages
from daemon.job import FolderState, ResolvedJob, State
from daemon.lease.election import LeaseTimings
from daemon.lease.store import LeaseStore
from daemon.spool.receipts import FailureReason
from daemon.spool.scratch import save_finished
from daemon.spool.spool import Spool

SHORT = LeaseTimings(refresh=0.1, act=1.0, look=0.05, take_over=3.0)
NEVER = replace(SHORT, take_over=3600.0)
WHY = FailureReason(State.FAILED, "It is broken.", "Mend it.")


class Kept(HotFolderWorker):
    """A hot folder in the eyes of one daemon."""

    def stands(self, state: FolderState) -> messages.StatusChanged:
        return self.next(messages.StatusChanged, lambda stands: stands.state is state)

    def claim(self) -> ResolvedJob:
        """Drop a pair and claim it."""
        (self.inbox / "cat.png").write_bytes(WHOLE)
        (self.inbox / "cat.yaml").write_text("prompt: blue\n")
        self.submit(messages.Scan())
        self.next(messages.Scanned, lambda it: it.plan.ready)
        self.submit(messages.ClaimNext())
        return self.next(messages.Claimed).resolved_job


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    """Begins folder workers of one hot folder, each with a scratch of its own."""
    begun: list[Kept] = []

    def begin(timings: LeaseTimings = NEVER) -> Kept:
        begun.append(Kept(tmp_path / "hot", tmp_path / f"scratch{len(begun)}", timings))
        begun[-1].folder_worker.start()
        return begun[-1]

    yield begin
    for kept in begun:
        kept.end()


def robbed(kept: Kept) -> None:
    """Another daemon has begun the next term while this one was not awake."""
    terms = LeaseStore(kept.root, lambda: "the-id")
    assert terms.begin(terms.newest() + 1)


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_second_stands_by_and_leads_when_the_first_has_ended(
    on: Callable[..., Kept],
) -> None:
    first = on()
    first.stands(FolderState.ONLINE)
    second = on()
    stands = second.stands(FolderState.STANDBY)
    assert "works on it" in stands.reason
    assert not stands.is_passing
    first.end()
    second.stands(FolderState.ONLINE)


def test_who_stands_by_does_nothing_and_answers_every_order(on: Callable[..., Kept]) -> None:
    first = on()
    resolved_job = first.claim()
    second = on()
    second.stands(FolderState.STANDBY)
    (first.inbox / ".hotfolder-0123456789abcdef.tmp").touch()
    before = _tree(first.root)
    second.submit(messages.AppendLog(events.Noted(text="Hello."), 0.0))
    second.submit(messages.ClaimNext())
    second.next(messages.ClaimLost)
    resolved_job.scratch.mkdir(exist_ok=True)
    for order in (
        messages.Reclaim(resolved_job.job, strike=False, alone=False),
        messages.FileFailed(resolved_job.job, WHY, "{}"),
        messages.FileDone(resolved_job.job, State.DUPLICATE, ()),
        messages.Release(resolved_job.job),
        messages.Publish(finished(resolved_job, b"blue"), ()),
    ):
        second.submit(order)
        assert second.next(messages.LeaseLost).job == resolved_job.job
    assert _tree(first.root) == before


def test_a_leader_that_was_replaced_publishes_nothing(on: Callable[..., Kept]) -> None:
    first = on(replace(SHORT, take_over=3600.0))
    resolved_job = first.claim()
    robbed(first)
    first.stands(FolderState.STANDBY)
    first.submit(messages.Publish(finished(resolved_job, b"blue"), ()))
    assert first.next(messages.LeaseLost).job == resolved_job.job
    assert below(first.root / "outbox") == set()
    assert resolved_job.scratch.exists()


def test_a_result_that_was_finished_meanwhile_is_published_on_return(
    on: Callable[..., Kept],
) -> None:
    first = on(SHORT)
    resolved_job = first.claim()
    robbed(first)
    first.stands(FolderState.STANDBY)
    save_finished(of := finished(resolved_job, b"blue"))
    first.submit(messages.Publish(of, ()))
    first.next(messages.LeaseLost)
    # The other one never gave a sign of life.
    (shelved,) = first.next(messages.Recovered, lambda found: found.finished).finished
    first.submit(messages.Publish(shelved, ()))
    assert first.next(messages.Published).results == ("outbox/cat.png",)
    assert below(first.root / "outbox") == {"cat.png", "cat.png.json"}


def test_what_another_one_has_published_is_not_published_again(
    on: Callable[..., Kept], tmp_path: Path
) -> None:
    first = on(SHORT)
    resolved_job = first.claim()
    save_finished(finished(resolved_job, b"blue"))
    robbed(first)
    spool = Spool(first.root)
    (tmp_path / "elsewhere").mkdir()
    of = finished(replace(resolved_job, scratch=tmp_path / "elsewhere"), b"red")
    spool.publication(resolved_job.job.job_id).publish(of, iter((1.0, 2.0)), ())
    spool.file_done(resolved_job.job, "2026-11-22")
    first.stands(FolderState.STANDBY)
    assert first.next(messages.Recovered).jobs == ()
    first.stands(FolderState.ONLINE)
    assert below(first.root / "outbox") == {"cat.png", "cat.png.json"}
    assert (first.root / "outbox/cat.png").read_bytes() == b"red"
    wait_for(lambda: not resolved_job.scratch.exists())


def _tree(root: Path) -> dict[str, int]:
    lease = root / ".hotfolder/lease"
    paths = (path for path in root.rglob("*") if not path.is_relative_to(lease))
    return {str(path): path.lstat().st_ctime_ns for path in paths}
