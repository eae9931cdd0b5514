"""The editor process says what became of its model, even if that shows in the middle of a job."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import pytest
from sample import FACTS

from config.problems import Problem, UserError
from pipeline import ipc
from pipeline.editor import EditRequest, ModelFacts, OnEvent
from pipeline.editor_worker import edit_for_ever
from pipeline.ipc import Connection

DEADLINE_SECONDS = 30


def connected() -> tuple[Connection, Connection]:
    """The daemon's end of a line, and its child's."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_SECONDS)
    return Connection(ours, ipc.FromEditor), Connection(theirs, ipc.ToEditor)


class Unreadable:
    """An editor whose weights cannot be read to their end."""

    is_closed = False

    def describe(self) -> ModelFacts:
        """Of any model."""
        return FACTS

    def edit(self, requests: Sequence[EditRequest], on_event: OnEvent) -> None:
        """Fail as a broken disk makes it fail."""
        raise UserError([Problem("/models/it", "it cannot be read", "check its disk")])

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def test_a_model_that_cannot_be_read_further_is_told_as_one_that_cannot_be_loaded() -> None:
    ours, theirs = connected()
    editor = Unreadable()
    process = threading.Thread(target=edit_for_ever, args=(theirs, editor))
    process.start()
    ours.send(ipc.EditBatch(()))
    said = ours.receive()
    assert isinstance(said, ipc.Unusable)
    assert str(said.problems[0]) == "/models/it: it cannot be read; check its disk"
    ours.close()
    process.join(DEADLINE_SECONDS)
    theirs.close()
    assert editor.is_closed


def test_a_daemon_that_hangs_up_ends_the_editor() -> None:
    ours, theirs = connected()
    editor = Unreadable()
    ours.close()
    with pytest.raises(EOFError):
        edit_for_ever(theirs, editor)
    theirs.close()
    assert editor.is_closed
