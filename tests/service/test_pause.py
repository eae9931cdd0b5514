"""What the daemon answers who pauses a hot folder, lets it go on, or drains it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample import folder_worker

from config import hours
from daemon.control.documents import CommandResult, Request, ResultCode
from daemon.folder import messages
from daemon.folder.view import FolderView
from daemon.job import FolderState
from daemon.service.pause import PauseControl

NOON = 1_790_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> FolderView:
    """A hot folder that is online, its worker yet to start."""
    one = FolderView(folder_worker(tmp_path / "hot", tmp_path / "scratch", lambda _: None))
    one.stand(messages.StatusChanged(FolderState.ONLINE, ""))
    return one


def asked(folder: FolderView, verb: str, *, never: bool = False, others: str = "") -> str:
    """What somebody is told, as soon as its worker has done it, where it has to."""
    folders = {str(folder.root): folder, **({others: folder} if others else {})}
    control = PauseControl(folders, never=never)
    control.look({str(folder.root): folder.folder_worker.folder}, NOON)
    said: list[object] = []
    assert control.take(Request(verb=verb, root=folder.root, arguments={}, reply=said.append))
    if not said:
        folder.folder_worker.start()
        folder.folder_worker.submit(messages.Stop())
        folder.folder_worker.join(20)
    (result,) = said
    assert isinstance(result, CommandResult)
    return f"{result.how}: {result.text}"


def test_a_drain_names_all_that_it_ends(folder: FolderView) -> None:
    said = asked(folder, "drain", others="/other")
    assert said.startswith(f"begun: {folder.root}: the daemon, process ")
    assert said.endswith("ends when what it has begun is finished, in /other, too.")


def test_a_standby_that_ends_says_that_another_one_goes_on(folder: FolderView) -> None:
    folder.stand(messages.StatusChanged(FolderState.STANDBY, "process 7 on nas1 works on it"))
    said = asked(folder, "drain")
    assert said.endswith("is finished. It was on standby: process 7 on nas1 works on it.")


def test_a_standby_pauses_nothing(folder: FolderView) -> None:
    folder.stand(messages.StatusChanged(FolderState.STANDBY, "process 7 on nas1 works on it"))
    said = asked(folder, "pause")
    assert said.startswith(f"{ResultCode.STANDBY}: Nothing was done: this daemon, process ")
    assert "(process 7 on nas1 works on it)" in said


def test_nor_does_one_whose_share_is_away(folder: FolderView) -> None:
    folder.stand(messages.StatusChanged(FolderState.OFFLINE, "the share has gone"))
    assert asked(folder, "pause").startswith("refused: Nothing was changed: the share has gone.")


def test_what_is_let_go_on_outside_its_hours_is_said_to_wait_for_them(folder: FolderView) -> None:
    worker = folder.folder_worker
    worker.folder = replace(worker.folder, active=hours.parse("03:00-03:01"))
    said = asked(folder, "resume")
    assert "was not paused by hand, but no job is begun yet: outside its hours, until" in said


def test_a_run_that_somebody_waits_for_works_on_and_says_so(folder: FolderView) -> None:
    assert "is paused, but process " in asked(folder, "pause", never=True)
