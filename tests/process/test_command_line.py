"""What people expect of any command line, and a status that is watched."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import DEADLINE_SECONDS, HotFolder, wait_for

from daemon import own_version


@pytest.fixture
def hot(tmp_path: Path) -> HotFolder:
    return HotFolder(tmp_path)


def test_the_version_is_told(hot: HotFolder) -> None:
    done = hot.call("--version")
    assert (done.returncode, done.stdout) == (0, f"hotfolder {own_version()}\n")


def test_without_a_command_the_help_is_shown_and_it_is_a_mistake(hot: HotFolder) -> None:
    done = hot.call()
    assert done.returncode == 2
    assert done.stdout == hot.call("--help").stdout


@pytest.mark.parametrize("words", [("--config", "{}", "status"), ("status", "--config", "{}")])
def test_settings_are_named_before_the_command_or_after_it(
    hot: HotFolder, tmp_path: Path, words: tuple[str, ...]
) -> None:
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(f"folders: [{{root: {hot.root}}}]\n")
    (hot.cwd / "hotfolder.yaml").write_text("modell: {}\n")
    done = hot.call(*(it.format(elsewhere) for it in words))
    assert done.returncode == 0, done.stderr
    assert str(hot.root) in done.stdout


def watching(hot: HotFolder, stdout: int) -> subprocess.Popen[bytes]:
    # What a script starts in the background ignores Ctrl-C, with all that it starts itself.
    ctrl_c = ["env", "--default-signal=INT"]
    return subprocess.Popen(
        [*ctrl_c, sys.executable, "-m", "daemon", "status", "--watch", "--root", str(hot.root)],
        cwd=hot.cwd,
        env={**os.environ, **hot.environment, "TERM": "xterm"},
        stdout=stdout,
    )


def test_a_status_that_is_watched_is_drawn_anew_until_ctrl_c(hot: HotFolder) -> None:
    ours, theirs = pty.openpty()
    process, shown = watching(hot, theirs), b""

    def shows(text: bytes) -> bool:
        nonlocal shown
        shown += os.read(ours, 65536)
        return text in shown

    wait_for(lambda: shows(b"Ctrl-C ends this"))
    (hot.inbox / "lone.txt").write_text("Make it red")
    wait_for(lambda: shows(b"lone.txt"))
    process.send_signal(signal.SIGINT)
    wait_for(lambda: shows(b"\x1b[?1049l"))  # the shell's own screen is back
    assert process.wait(DEADLINE_SECONDS) == 0
    os.close(theirs)
    os.close(ours)
    assert shown.count(b"\x1b[H") >= 2


def test_elsewhere_a_watched_status_is_written_when_it_is_new(
    hot: HotFolder, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = watching(hot, stream.fileno())
    wait_for(lambda: "no daemon is running" in log.read_text())
    (hot.inbox / "lone.txt").write_text("Make it red")
    wait_for(lambda: "lone.txt" in log.read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_SECONDS) == 0
    assert "\x1b" not in log.read_text()
