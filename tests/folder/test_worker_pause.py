"""A hot folder that is paused by hand, by whomever: its worker claims nothing more."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from paper import WHOLE
from sample import HotFolderWorker

from daemon.control.documents import CommandResult, ResultCode
from daemon.folder import messages
from daemon.folder.pause_flag import FLAG, earlier_flag


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[HotFolderWorker]:
    """A hot folder with a picture that is ready, its worker yet to start."""
    one = HotFolderWorker(tmp_path / "hot", tmp_path / "scratch")
    (one.inbox / "cat.png").write_bytes(WHOLE)
    (one.inbox / "cat.yaml").write_text("prompt: blue\n")
    yield one
    one.end()


def ready(kept: HotFolderWorker) -> None:
    kept.submit(messages.Scan())
    kept.next(messages.Scanned, lambda it: it.plan.ready)


def answer(kept: HotFolderWorker, *, paused: bool) -> CommandResult:
    """What somebody is told who asks for a pause, or its end."""
    replies: queue.SimpleQueue[object] = queue.SimpleQueue()
    kept.submit(messages.SetPause(paused, ".", replies.put))
    result = replies.get(timeout=20.0)
    assert isinstance(result, CommandResult)
    return result


def test_what_is_paused_meanwhile_is_not_claimed(kept: HotFolderWorker) -> None:
    kept.folder_worker.start()
    ready(kept)
    (kept.root / FLAG).touch()  # by a machine that cannot ask us
    kept.submit(messages.ClaimNext())
    kept.next(messages.ClaimLost)
    assert messages.PauseChanged(True) in kept.seen
    assert (kept.inbox / "cat.png").exists()
    (kept.root / FLAG).unlink()
    ready(kept)
    kept.submit(messages.ClaimNext())
    kept.next(messages.Claimed)


def test_who_asks_is_told_after_it_is_so(kept: HotFolderWorker) -> None:
    kept.folder_worker.start()
    ready(kept)
    assert answer(kept, paused=True).text == f"{kept.root} is paused."
    assert kept.next(messages.PauseChanged).is_paused  # it has been delivered by then
    assert answer(kept, paused=True).text == f"{kept.root} is paused already."
    assert answer(kept, paused=False).text == f"{kept.root} is paused no more."
    assert not kept.next(messages.PauseChanged).is_paused
    assert answer(kept, paused=False).text == f"{kept.root} was not paused by hand."


def test_the_first_word_of_a_paused_hot_folder_is_that_it_is_paused(kept: HotFolderWorker) -> None:
    (kept.root / FLAG).touch()
    kept.folder_worker.start()
    kept.next(messages.PauseChanged)
    assert not [it for it in kept.seen if isinstance(it, messages.StatusChanged)]


def test_a_flag_of_an_earlier_version_is_carried_over_once(kept: HotFolderWorker) -> None:
    earlier = earlier_flag(kept.scratch, kept.root)
    earlier.parent.mkdir(exist_ok=True)
    earlier.touch()
    kept.folder_worker.start()
    kept.next(messages.PauseChanged)
    assert (kept.root / FLAG).exists()
    assert not earlier.exists()


def test_where_the_share_is_away_nothing_is_changed_then_nor_later(kept: HotFolderWorker) -> None:
    kept.folder_worker.start()
    ready(kept)
    away = kept.root.rename(kept.root.with_name("away"))
    result = answer(kept, paused=True)
    assert result.how is ResultCode.REFUSED
    assert result.text.startswith("Nothing was changed: it is no hot folder, or its share is")
    away.rename(kept.root)
    ready(kept)
    assert not (kept.root / FLAG).exists()
