"""How a reply says who works on a hot folder, and why no job of it is begun."""

from pathlib import Path

import pytest

from daemon.commands.inquiry import Reply
from daemon.control.documents import SCHEMA, DaemonStatus, FolderStatus
from daemon.history import Counts
from daemon.job import FolderState

DAEMON = DaemonStatus(schema=SCHEMA, running=True, pid=7, version="1", editor={}, folders=())


def reply(state: FolderState, reason: str = "", *, note: str = "") -> Reply:
    folder = FolderStatus(root="/hot", state=state, reason=reason, counts={}, today=Counts())
    return Reply(root=Path("/hot"), folder=folder, daemon=None if note else DAEMON, note=note)


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (FolderState.ONLINE, "", ""),
        (FolderState.OFFLINE, "the share is not there", ""),  # nobody knows what is in it
        (
            FolderState.PAUSED,
            "outside its hours, until Mon 20:00",
            "No job is begun while the hot folder is paused (outside its hours, until Mon 20:00).",
        ),
        (
            FolderState.STANDBY,
            "process 4711 on nas works on it",
            "This daemon begins no job: process 4711 on nas works on it.",
        ),
    ],
)
def test_why_no_job_is_begun(state: FolderState, reason: str, said: str) -> None:
    assert reply(state, reason).hindrance == said


def test_who_works_on_it_or_why_nobody_says() -> None:
    assert reply(FolderState.ONLINE).worker == "process 7 works on it"
    assert reply(FolderState.STANDBY, "another does").worker == "process 7 is on standby"
    assert reply(FolderState.ONLINE, note="no daemon is running").worker == "no daemon is running"
