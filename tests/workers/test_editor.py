"""The editor process as the daemon keeps it, from one process to the next."""

import queue
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from harness import DEADLINE_SECONDS, wait_for
from sample import FACTS

from config.settings import ModelSettings
from daemon.workers.child import Ended, Said
from daemon.workers.editor import Dead, EditorProcess, Idle, Loading
from pipeline.checkpoint import EDIT
from pipeline.ipc import OpenEditor, Ready, Remark

T = TypeVar("T")


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


def test_who_was_dismissed_is_followed_by_one_that_has_imported_its_libraries(
    tiny_models: dict[str, Path],
) -> None:
    mail: queue.SimpleQueue[Said | Ended] = queue.SimpleQueue()
    line = EditorProcess("qwen", ModelSettings(path=tiny_models[EDIT]), mail.put)
    with closing(line):
        line.start_if_due(0.0, at_once=True)
        assert line.loading is not None
        before = children()
        line.dismiss(0.0)
        (prepared,) = wait_for(lambda: children() - before)
        wait_for(lambda: "libtorch" in Path(f"/proc/{prepared}/maps").read_text())
        line.left(taken(mail, Ended).child)
        assert line.start_if_due(0.0, at_once=True)
        assert line.loading is not None
        assert line.loading.pid == prepared
        while not isinstance((said := taken(mail, Said)).message, Ready):
            pass
        assert said.child is line.loading


def test_one_prepared_for_other_settings_is_ended(tiny_models: dict[str, Path]) -> None:
    mail: queue.SimpleQueue[Said | Ended] = queue.SimpleQueue()
    model = ModelSettings(path=tiny_models[EDIT])
    line = EditorProcess("qwen", model, mail.put)
    with closing(line):
        line.start_if_due(0.0, at_once=True)
        before = children()
        line.dismiss(0.0)
        (prepared,) = wait_for(lambda: children() - before)
        line.left(taken(mail, Ended).child)
        line.reopen(replace(model, compile=True), 1.0)
        assert taken(mail, Ended).child.pid == prepared


def children() -> set[int]:
    """The processes that this one has started and that have not been waited for."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def taken(mail: queue.SimpleQueue[Said | Ended], kind: type[T]) -> T:
    """The next of a kind that is said; the others are passed over."""
    while not isinstance(one := mail.get(timeout=DEADLINE_SECONDS), kind):
        pass
    return one
