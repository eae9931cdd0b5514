import os
import queue
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for

from daemon.workers.child import ChildProcess, Ended, Said
from pipeline.ipc import Remark

Mailbox = queue.SimpleQueue[Said | Ended]
Begin = Callable[[str], ChildProcess]


@pytest.fixture
def mailbox() -> Mailbox:
    return queue.SimpleQueue()


@pytest.fixture
def begin(mailbox: Mailbox) -> Iterator[Begin]:
    """Starts wretched children, and ends them with the test."""
    children: list[ChildProcess] = []

    def start(way: str) -> ChildProcess:
        children.append(ChildProcess("tests.wretched", Remark, mailbox.put))
        children[-1].send(Remark(0, way))
        return children[-1]

    yield start
    for child in children:
        child.kill()


def end_of(mailbox: Mailbox) -> Ended:
    """The next message, which is an end, and nothing follows it."""
    ended = mailbox.get(timeout=30)
    assert isinstance(ended, Ended)
    with pytest.raises(queue.Empty):
        mailbox.get(timeout=0.05)
    return ended


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_a_child_says_comes_with_its_name(begin: Begin, mailbox: Mailbox) -> None:
    children = [begin("answer") for _ in range(2)]
    for child in reversed(children):
        child.send(Remark(child.pid, "a message"))
        assert mailbox.get(timeout=30) == Said(child, Remark(child.pid, "a message"))


@pytest.mark.parametrize(
    ("way", "how", "words"),
    [
        ("leave", "exit status 3", "out of patience"),
        ("crash", "killed by SIGSEGV", "Segmentation fault"),
        ("hang_up", "killed by SIGKILL", ""),
        ("leave_in_a_message", "exit status 0", ""),
        ("die_in_a_message", "killed by SIGKILL", ""),
        ("die_of_a_signal_without_a_name", "killed by signal 35", ""),
        ("talk_nonsense", "its message could not be read (JSONDecodeError)", ""),
        ("announce_too_much", "its message could not be read (ValueError)", ""),
        ("say_what_is_not_heard", "its message could not be read (ValueError)", ""),
        ("no such way", "exit status 1", "KeyError"),
    ],
)
def test_its_end_is_reported_once_with_its_last_words(
    begin: Begin, mailbox: Mailbox, way: str, how: str, words: str
) -> None:
    child = begin(way)
    ended = end_of(mailbox)
    assert (ended.child, ended.how) == (child, how)
    assert words in ended.last_words
    assert is_gone(child.pid)


def test_of_a_flood_of_words_only_the_last_are_kept(begin: Begin, mailbox: Mailbox) -> None:
    child = begin("flood")
    assert mailbox.get(timeout=30) == Said(child, Remark(0, "flooded"))
    ended = end_of(mailbox)
    assert ended.how == "exit status 0"
    assert ended.last_words.endswith("the very last words")
    assert len(ended.last_words) <= 4096


def test_a_killed_child_is_reported_like_any_other(begin: Begin, mailbox: Mailbox) -> None:
    child = begin("answer")
    child.send(Remark(0, "are you there"))
    mailbox.get(timeout=30)
    child.kill()
    assert end_of(mailbox).how == "killed by SIGKILL"


def test_speaking_to_a_dead_child_raises_nothing(begin: Begin, mailbox: Mailbox) -> None:
    child = begin("leave")
    end_of(mailbox)
    child.send(Remark(0, "hello"))
    child.kill()


def test_a_child_gets_no_file_of_ours_but_its_line(begin: Begin, mailbox: Mailbox) -> None:
    with Path(os.devnull).open("rb") as secret:
        os.set_inheritable(secret.fileno(), True)
        child = begin("answer")
        child.send(Remark(0, "are you there"))
        mailbox.get(timeout=30)
        targets = {path.readlink().name for path in Path(f"/proc/{child.pid}/fd").iterdir()}
    assert len([target for target in targets if target.startswith("socket:")]) == 1


def test_a_child_that_cannot_be_started_has_ended_before_it_began(mailbox: Mailbox) -> None:
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (lowest_free + 2, usual[1])
    )  # for a line, and no more
    try:
        child = ChildProcess("tests.wretched", Remark, mailbox.put)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    ended = end_of(mailbox)
    assert ended.child is child
    assert not ended.is_started
    assert ended.how == "it could not be started: Too many open files"
    child.send(Remark(0, "hello"))
    child.kill()


def test_all_children_of_a_killed_daemon_end(tmp_path: Path) -> None:
    daemon = Daemon(HotFolder(tmp_path), "--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    pids = [int(pid) for pid in children.read_text().split()]
    daemon.process.kill()
    daemon.process.wait()
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()
    assert len(pids) == 3
    assert wait_for(lambda: all(map(is_gone, pids)))
