"""The editor process as the daemon keeps it, from one process to the next."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sample import FACTS

from config.settings import ModelSettings
from daemon.workers.child import Ended, Said
from daemon.workers.editor import Dead, EditorProcess, Idle, Loading
from pipeline.ipc import OpenEditor, Ready, Remark


@pytest.fixture
def line() -> Iterator[EditorProcess]:
    one = EditorProcess("echo", ModelSettings(), lambda _: None)
    yield one
    one.close()


def begin(line: EditorProcess, device: str) -> None:
    """Start a process that says that it computes on that device."""
    assert line.start_if_due(0.0, at_once=True)
    assert isinstance(line.condition, Loading)
    child = line.condition.child
    line.heard(Said(child, Ready(replace(FACTS, device=device), 1.0)), 1.0)


def lose(line: EditorProcess) -> None:
    child = line.condition.child  # type: ignore[union-attr]  # it is idle
    child.kill()
    line.ended(Ended(child, "killed by SIGKILL", ""), 2.0)


def test_after_a_gpu_no_process_is_opened_without_one(line: EditorProcess) -> None:
    assert line.opening == OpenEditor("echo", ModelSettings(), needs_gpu=False)
    begin(line, "cuda")
    lose(line)
    assert line.opening.needs_gpu


def test_where_there_never_was_one_none_is_needed(line: EditorProcess) -> None:
    begin(line, "cpu")
    lose(line)
    assert not line.opening.needs_gpu


def test_who_tries_it_out_waits_for_no_rest_and_a_closed_line_stays_closed(
    line: EditorProcess,
) -> None:
    begin(line, "cpu")
    lose(line)
    line.condition = Dead(restart_at=1000.0)
    assert not line.start_if_due(999.0, at_once=False)
    assert line.start_if_due(999.0, at_once=True)
    line.close()
    assert not line.start_if_due(1e9, at_once=True)


def test_a_killed_process_that_is_dismissed_leaves_the_next_one_its_say(
    line: EditorProcess,
) -> None:
    begin(line, "cpu")
    assert isinstance(line.condition, Idle)
    first = line.condition.child
    assert line.heard(Said(first, "nonsense"), 2.0) is None  # it is killed, and not gone yet
    assert line.heard(Said(first, Remark(10, "and more")), 2.0) is None
    assert line.dismiss(2.0)
    line.left(first)
    begin(line, "cpu")
    assert isinstance(line.condition, Idle)
    assert line.condition.child is not first


def test_none_is_started_beside_one_that_makes_room(line: EditorProcess) -> None:
    begin(line, "cpu")
    assert isinstance(line.condition, Idle)
    first = line.condition.child
    line.reopen(ModelSettings(), 10.0)
    assert not line.start_if_due(10.0, at_once=True)  # a trial of the circuit breaker
    line.reopen(ModelSettings(), 11.0)  # the settings are read once more
    assert not line.start_if_due(11.0, at_once=False)
    assert not line.start_if_due(69.0, at_once=True)
    line.left(first)
    assert line.start_if_due(69.0, at_once=False)


def test_one_that_does_not_leave_in_time_is_waited_for_no_longer(line: EditorProcess) -> None:
    begin(line, "cpu")
    line.reopen(ModelSettings(), 10.0)
    assert line.start_if_due(70.0, at_once=False)


def test_none_is_started_beside_one_that_was_dismissed(line: EditorProcess) -> None:
    begin(line, "cpu")
    assert isinstance(line.condition, Idle)
    first = line.condition.child
    assert line.dismiss(10.0)
    assert not line.start_if_due(10.0, at_once=True)
    line.left(first)
    assert line.start_if_due(10.0, at_once=False)


def test_how_a_process_was_killed_is_told_of_that_one_alone(line: EditorProcess) -> None:
    begin(line, "cpu")
    assert isinstance(line.condition, Idle)
    first = line.condition.child
    line.heard(Said(first, "nonsense"), 2.0)
    ended = Ended(first, "killed by SIGKILL", "")
    assert line.how(ended) == "it said what makes no sense"
    line.ended(ended, 2.0)
    begin(line, "cpu")
    assert isinstance(line.condition, Idle)
    assert line.how(replace(ended, child=line.condition.child)) == "killed by SIGKILL"
