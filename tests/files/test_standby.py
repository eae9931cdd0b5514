"""Two keepers on one hot folder: one works, the other touches nothing until it is its turn."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from harness import wait_for
from paper import WHOLE
from sample import candidate, finished, keeper, seen

from daemon import orders, shelf
from daemon.job import FolderState, State, Task
from daemon.lease.campaign import Periods
from daemon.lease.terms import Terms
from daemon.log import story
from daemon.receipt import Why
from daemon.spool import Spool

T = TypeVar("T")
SHORT = Periods(refresh=0.1, act=1.0, look=0.05, take_over=3.0)
NEVER = replace(SHORT, take_over=3600.0)
WHY = Why(State.FAILED, "It is broken.", "Mend it.")


class Kept:
    """A hot folder in the eyes of one daemon."""

    def __init__(self, root: Path, scratch: Path, periods: Periods) -> None:
        self.root, self.inbox = root, root / "inbox"
        self.answers: queue.SimpleQueue[orders.Answer] = queue.SimpleQueue()
        self.keeper = keeper(
            root, scratch, lambda mail: self.answers.put(mail.answer), periods=periods
        )
        self.submit = self.keeper.submit
        self.keeper.start()

    def next(self, kind: type[T], where: Callable[[T], object] = lambda _: True) -> T:
        """The next answer of a kind."""
        deadline = time.monotonic() + 20.0
        while True:
            answer = self.answers.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(answer, kind) and where(answer):
                return answer

    def stands(self, state: FolderState) -> orders.Stands:
        return self.next(orders.Stands, lambda stands: stands.state is state)

    def claim(self) -> Task:
        """Drop a pair and claim it."""
        (self.inbox / "cat.png").write_bytes(WHOLE)
        (self.inbox / "cat.yaml").write_text("prompt: blue\n")
        self.submit(orders.Look())
        ready = self.next(orders.Looked, lambda it: it.plan.ready).plan.ready[0]
        self.submit(orders.Claim(ready, frozenset()))
        return self.next(orders.Claimed).task

    def end(self) -> None:
        self.submit(orders.Quit())
        self.keeper.join(10)
        assert not self.keeper.is_alive()


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    """Begins keepers of one hot folder, each with a scratch of its own."""
    begun: list[Kept] = []

    def begin(periods: Periods = NEVER) -> Kept:
        begun.append(Kept(tmp_path / "hot", tmp_path / f"scratch{len(begun)}", periods))
        return begun[-1]

    yield begin
    for kept in begun:
        kept.end()


def robbed(kept: Kept) -> None:
    """Another daemon has begun the next term while this one was not awake."""
    terms = Terms(kept.root, lambda: "the-id")
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
    assert "leads" in stands.reason
    assert not stands.is_passing
    first.end()
    second.stands(FolderState.ONLINE)


def test_who_stands_by_does_nothing_and_answers_every_order(on: Callable[..., Kept]) -> None:
    first = on()
    task = first.claim()
    second = on()
    second.stands(FolderState.STANDBY)
    (first.inbox / ".hotfolder-0123456789abcdef.tmp").touch()
    before = _tree(first.root)
    image = seen("cat.png")
    second.submit(orders.Write(story.Noted(text="Hello."), 0.0))
    second.submit(orders.Claim(candidate(image), frozenset()))
    assert second.next(orders.Lost).candidate.image == image
    task.scratch.mkdir(exist_ok=True)
    for order in (
        orders.Resume(task.job, strike=False, alone=False),
        orders.FileFailed(task.job, WHY, "{}"),
        orders.FileDone(task.job, State.DUPLICATE, ()),
        orders.GiveBack(task.job),
        orders.Publish(finished(task, b"blue"), ()),
    ):
        second.submit(order)
        assert second.next(orders.Passed).job == task.job
    assert _tree(first.root) == before


def test_a_leader_that_was_replaced_publishes_nothing(on: Callable[..., Kept]) -> None:
    first = on(replace(SHORT, take_over=3600.0))
    task = first.claim()
    robbed(first)
    first.stands(FolderState.STANDBY)
    first.submit(orders.Publish(finished(task, b"blue"), ()))
    assert first.next(orders.Passed).job == task.job
    assert below(first.root / "outbox") == set()
    assert task.scratch.exists()


def test_a_result_that_was_finished_meanwhile_is_published_on_return(
    on: Callable[..., Kept],
) -> None:
    first = on(SHORT)
    task = first.claim()
    robbed(first)
    first.stands(FolderState.STANDBY)
    shelf.put(of := finished(task, b"blue"))
    first.submit(orders.Publish(of, ()))
    first.next(orders.Passed)
    shelved = first.next(orders.Shelved)  # the other one never gave a sign of life
    first.submit(orders.Publish(shelved.finished, ()))
    assert first.next(orders.Published).results == ("outbox/cat.png",)
    assert below(first.root / "outbox") == {"cat.png", "cat.png.json"}


def test_what_another_one_has_published_is_not_published_again(
    on: Callable[..., Kept], tmp_path: Path
) -> None:
    first = on(SHORT)
    task = first.claim()
    shelf.put(finished(task, b"blue"))
    robbed(first)
    spool = Spool(first.root)
    (tmp_path / "elsewhere").mkdir()
    of = finished(replace(task, scratch=tmp_path / "elsewhere"), b"red")
    spool.publication(task.job.job_id).publish(of, iter((1.0, 2.0)), ())
    spool.file_done(task.job, "2026-11-22")
    first.stands(FolderState.STANDBY)
    assert first.next(orders.Recovered).jobs == ()
    first.stands(FolderState.ONLINE)
    assert below(first.root / "outbox") == {"cat.png", "cat.png.json"}
    assert (first.root / "outbox/cat.png").read_bytes() == b"red"
    wait_for(lambda: not task.scratch.exists())


def _tree(root: Path) -> dict[str, int]:
    lease = root / ".hotfolder/lease"
    paths = (path for path in root.rglob("*") if not path.is_relative_to(lease))
    return {str(path): path.lstat().st_ctime_ns for path in paths}
