"""The editor process as the daemon keeps it, from one process to the next."""

import os
import queue
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from harness import DEADLINE_SECONDS, wait_for
from sample import FACTS

from config.settings import ModelSettings
from daemon.workers.backend import Dead, Idle
from daemon.workers.child import ChildProcess, Ended, Said
from daemon.workers.editor import EditorProcess
from pipeline.checkpoint import EDIT
from pipeline.editor import Done, EditError, EditRequest, EditResult, Failed, Failure
from pipeline.ipc import OpenEditor, Ready, Remark

T = TypeVar("T")
NONSENSE = "it said what makes no sense"
RESULT = EditResult(
    path=Path("/scratch/it.png"),
    encode_seconds=0.0,
    denoise_seconds=0.0,
    decode_seconds=0.0,
    peak_vram_gib=0.0,
)
REQUEST = EditRequest(
    request_id="a.0",
    images=(),
    prompt="make it blue",
    negative_prompt="",
    steps=1,
    cfg=1.0,
    seed=7,
    lora=None,
    result=RESULT.path,
)


@pytest.fixture
def line() -> Iterator[EditorProcess]:
    one = EditorProcess("echo", ModelSettings(), lambda _: None)
    yield one
    one.close()


def child_of(line: EditorProcess) -> ChildProcess:
    """The process of now."""
    assert line.child is not None
    return line.child


def begin(line: EditorProcess, device: str) -> None:
    """Start a process that says that it computes on that device."""
    assert line.start_if_due(0.0, at_once=True)
    ready = Ready(replace(FACTS, device=device), 1.0)
    assert line.heard(Said(child_of(line), ready), 1.0) == ready
    assert line.condition == Idle(ready.facts)


def lose(line: EditorProcess) -> None:
    child = child_of(line)
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
    first = child_of(line)
    assert line.heard(Said(first, "nonsense"), 2.0) is None  # it is killed, and not gone yet
    assert line.heard(Said(first, Remark(10, "and more")), 2.0) is None
    assert line.dismiss(2.0)
    assert line.ended(Ended(first, "killed by SIGKILL", ""), 3.0) is None
    begin(line, "cpu")
    assert line.child is not first


def test_none_is_started_beside_one_that_makes_room(line: EditorProcess) -> None:
    begin(line, "cpu")
    first = child_of(line)
    line.reopen(ModelSettings(), 10.0)
    assert not line.start_if_due(10.0, at_once=True)  # a trial of the circuit breaker
    line.reopen(ModelSettings(), 11.0)  # the settings are read once more
    assert not line.start_if_due(11.0, at_once=False)
    assert not line.start_if_due(69.0, at_once=True)
    assert line.ended(Ended(first, "killed by SIGKILL", ""), 3.0) is None
    assert line.start_if_due(69.0, at_once=False)


def test_one_that_does_not_leave_in_time_is_waited_for_no_longer(line: EditorProcess) -> None:
    begin(line, "cpu")
    line.reopen(ModelSettings(), 10.0)
    assert line.start_if_due(70.0, at_once=False)


def test_none_is_started_beside_one_that_was_dismissed(line: EditorProcess) -> None:
    begin(line, "cpu")
    first = child_of(line)
    assert line.dismiss(10.0)
    assert not line.start_if_due(10.0, at_once=True)
    assert line.ended(Ended(first, "killed by SIGKILL", ""), 3.0) is None
    assert line.start_if_due(10.0, at_once=False)


def test_how_a_process_was_killed_is_told_of_that_one_alone(line: EditorProcess) -> None:
    begin(line, "cpu")
    first = child_of(line)
    line.heard(Said(first, "nonsense"), 2.0)
    lost = line.ended(Ended(first, "killed by SIGKILL", ""), 2.0)
    assert lost is not None
    assert lost.how == NONSENSE
    begin(line, "cpu")
    lost = line.ended(Ended(child_of(line), "killed by SIGKILL", ""), 3.0)
    assert lost is not None
    assert lost.how == "killed by SIGKILL"


def edit_one(line: EditorProcess, result: Path) -> Done:
    """Have one picture edited; what it says when it is done."""
    begin(line, "cpu")
    request = replace(REQUEST, result=result)
    line.edit(frozenset({"a"}), (request,), 2.0)
    return Done(request.request_id, replace(RESULT, path=result))


def how_lost(line: EditorProcess, *messages: object) -> str:
    """How the process ends that says this; "" where nobody ends it."""
    child = child_of(line)
    for message in messages:
        line.heard(Said(child, message), 3.0)
    lost = line.ended(Ended(child, "", ""), 4.0)
    assert lost is not None
    return lost.how


def test_a_picture_is_done_only_where_it_was_wanted_and_is(
    line: EditorProcess, tmp_path: Path
) -> None:
    done = edit_one(line, tmp_path / "it.png")
    assert how_lost(line, done) == NONSENSE  # there is none yet
    another = tmp_path / "another.png"
    another.touch()
    edit_one(line, tmp_path / "it.png")
    assert how_lost(line, replace(done, result=replace(RESULT, path=another))) == NONSENSE
    (tmp_path / "it.png").touch()
    edit_one(line, tmp_path / "it.png")
    assert not how_lost(line, done)


def test_a_picture_that_nobody_wants_any_more_need_not_be_there(
    line: EditorProcess, tmp_path: Path
) -> None:
    done = edit_one(line, tmp_path / "it.png")
    line.drop(frozenset({done.request_id}))
    assert not how_lost(line, done)  # it was cancelled, and its scratch cleared


def test_what_is_done_cannot_fail_any_more(line: EditorProcess, tmp_path: Path) -> None:
    (tmp_path / "it.png").touch()
    done = edit_one(line, tmp_path / "it.png")
    failed = Failed(done.request_id, EditError("No room.", "Make some.", Failure.ENVIRONMENT))
    assert how_lost(line, done, failed) == NONSENSE


def test_who_was_dismissed_is_followed_by_one_that_has_imported_its_libraries(
    tiny_models: dict[str, Path],
) -> None:
    mail: queue.SimpleQueue[Said | Ended] = queue.SimpleQueue()
    line = EditorProcess("qwen", ModelSettings(path=tiny_models[EDIT]), mail.put)
    with closing(line):
        line.start_if_due(0.0, at_once=True)
        before = children()
        line.dismiss(0.0)
        (prepared,) = wait_for(lambda: children() - before)
        wait_for(lambda: "libtorch" in Path(f"/proc/{prepared}/maps").read_text())
        assert line.ended(taken(mail, Ended), 0.0) is None
        assert line.start_if_due(0.0, at_once=True)
        assert child_of(line).pid == prepared
        while not isinstance((said := taken(mail, Said)).message, Ready):
            pass
        assert said.child is line.child


def test_one_prepared_for_other_settings_is_ended(tiny_models: dict[str, Path]) -> None:
    mail: queue.SimpleQueue[Said | Ended] = queue.SimpleQueue()
    model = ModelSettings(path=tiny_models[EDIT])
    line = EditorProcess("qwen", model, mail.put)
    with closing(line):
        line.start_if_due(0.0, at_once=True)
        before = children()
        line.dismiss(0.0)
        (prepared,) = wait_for(lambda: children() - before)
        assert line.ended(taken(mail, Ended), 0.0) is None
        line.reopen(replace(model, compile=True), 1.0)
        assert taken(mail, Ended).child.pid == prepared


def children() -> set[int]:
    """The processes that this one has started and that have not been waited for."""
    return {int(it.name) for it in Path("/proc").glob("[0-9]*") if is_ours(it)}


def is_ours(process: Path) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended just now
        words = (process / "stat").read_text(encoding="utf-8", errors="replace")
        return words.rpartition(")")[2].split()[1] == str(os.getpid())
    return False


def taken(mail: queue.SimpleQueue[Said | Ended], kind: type[T]) -> T:
    """The next of a kind that is said; the others are passed over."""
    while not isinstance(one := mail.get(timeout=DEADLINE_SECONDS), kind):
        pass
    return one
