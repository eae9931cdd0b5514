"""What systemd hears while the editor moves, and while it hangs."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sample import FACTS

from config.settings import ModelSettings
from daemon.events.events import Withheld
from daemon.service.systemd import SystemdNotifier, Watchdog
from daemon.workers.backend import Busy
from daemon.workers.child import Said
from daemon.workers.editor import EditorProcess
from pipeline.ipc import Ready

HANG_SECONDS = 100.0


@pytest.fixture
def line() -> Iterator[EditorProcess]:
    one = EditorProcess("echo", ModelSettings(hang_seconds=HANG_SECONDS), lambda _: None)
    one.start_if_due(0.0, at_once=True)
    yield one
    one.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield receiver


@pytest.fixture
def watchdog(line: EditorProcess, systemd: socket.socket, tmp_path: Path) -> Watchdog:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000000"}
    return Watchdog(SystemdNotifier(environment), line)


def heard(systemd: socket.socket) -> list[str]:
    """All that has come since the last time."""
    words = []
    while True:
        try:
            words.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return words


def occupy(line: EditorProcess) -> None:
    """Have the editor at work, heard at 0."""
    assert line.child is not None
    line.heard(Said(line.child, Ready(replace(FACTS, device="cpu"), 1.0)), 0.0)
    nothing: frozenset[str] = frozenset()
    line.condition = Busy(FACTS, frozenset({"j"}), frozenset({"j.0"}), nothing, 0.0, 0.0)


def test_a_sign_is_given_a_few_times_in_the_time_that_systemd_waits(
    line: EditorProcess, watchdog: Watchdog, systemd: socket.socket
) -> None:
    occupy(line)
    for now in range(40):
        assert watchdog.keep([], float(now)) is None
    assert heard(systemd) == ["WATCHDOG=1"] * 4


def test_an_editor_that_hangs_and_does_not_end_withholds_it_until_it_moves(
    line: EditorProcess, watchdog: Watchdog, systemd: socket.socket
) -> None:
    occupy(line)
    assert watchdog.keep([], HANG_SECONDS + 29.0) is None  # it is being killed
    assert isinstance(watchdog.keep([], HANG_SECONDS + 60.0), Withheld)
    assert watchdog.keep([], HANG_SECONDS + 90.0) is None  # told once
    assert heard(systemd) == ["WATCHDOG=1"]
    assert isinstance(line.condition, Busy)
    line.condition = replace(line.condition, heard_at=HANG_SECONDS + 100.0)
    watchdog.keep([], HANG_SECONDS + 110.0)
    assert heard(systemd) == ["WATCHDOG=1"]


def test_more_time_is_asked_for_only_while_the_model_really_loads(
    line: EditorProcess, watchdog: Watchdog, systemd: socket.socket
) -> None:
    watchdog.keep([], 0.0)
    assert heard(systemd) == ["EXTEND_TIMEOUT_USEC=120000000", "WATCHDOG=1"]
    assert line.child is not None
    line.child.kill()  # whatever it did, it computes no more
    while line.loading_effort() is not None:
        pass
    for now in range(1, 200):
        watchdog.keep([], float(now))
        assert heard(systemd) in ([], ["WATCHDOG=1"])
