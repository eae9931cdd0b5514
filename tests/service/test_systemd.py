import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.service.systemd import SystemdNotifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5.0)
        yield receiver


def _notifier(tmp_path: Path) -> SystemdNotifier:
    return SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})


def _heard(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().split("\n")


def test_every_word_reaches_systemd(systemd: socket.socket, tmp_path: Path) -> None:
    notifier = _notifier(tmp_path)
    notifier.ready("watching /srv/hot")
    notifier.status("hero.png step 3/10")
    notifier.reloading(12.5)
    notifier.stopping("giving jobs back")
    assert [_heard(systemd) for _ in range(4)] == [
        ["READY=1", "STATUS=watching /srv/hot"],
        ["STATUS=hero.png step 3/10"],
        ["RELOADING=1", "MONOTONIC_USEC=12500000"],
        ["STOPPING=1", "STATUS=giving jobs back"],
    ]


def test_an_odd_name_cannot_add_a_line(systemd: socket.socket, tmp_path: Path) -> None:
    _notifier(tmp_path).status("a\nWATCHDOG=1\udcff.png")
    assert _heard(systemd) == ["STATUS=a\\nWATCHDOG=1\\xff.png"]


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        name = f"hotfolder-test-{os.getpid()}"
        receiver.bind(f"\0{name}")
        receiver.settimeout(5.0)
        SystemdNotifier({"NOTIFY_SOCKET": f"@{name}"}).status("idle")
        assert receiver.recv(99) == b"STATUS=idle"


def test_without_systemd_or_with_a_deaf_one_nothing_happens(tmp_path: Path) -> None:
    SystemdNotifier({}).ready("x")
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "missing")}).ready("x")
    SystemdNotifier({"NOTIFY_SOCKET": "/" + "x" * 300}).ready("x")


@pytest.mark.parametrize("without", ["", "sys.modules['systemd'] = None; "])
def test_a_process_started_by_systemd_is_heard(
    systemd: socket.socket, tmp_path: Path, without: str
) -> None:
    program = f"import os, sys; {without}from daemon.service.systemd import SystemdNotifier; "
    program += "SystemdNotifier(os.environ).ready('人像')"
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert _heard(systemd) == ["READY=1", "STATUS=人像"]


def test_signs_of_life_more_time_and_failure_reach_systemd(
    systemd: socket.socket, tmp_path: Path
) -> None:
    notifier = _notifier(tmp_path)
    notifier.alive()
    notifier.more_time(120.0)
    notifier.failed(22, "hotfolder.yaml: no model")
    assert [_heard(systemd) for _ in range(3)] == [
        ["WATCHDOG=1"],
        ["EXTEND_TIMEOUT_USEC=120000000"],
        ["STATUS=hotfolder.yaml: no model", "ERRNO=22"],
    ]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "90000000"}, 90.0),
        ({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_where_it_means_us(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert SystemdNotifier(environment).watchdog_seconds == seconds
