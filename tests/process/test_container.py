"""The daemon's place among the processes: first of a container, below whoever takes on orphans."""

import shutil
import socket
import subprocess
import sys

import pytest
from harness import HotFolder


def first_process() -> tuple[str, ...]:
    """A command that makes another one process 1 of a namespace, where that is allowed."""
    words = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else ()


def test_as_process_1_of_a_container_it_edits(hot: HotFolder) -> None:
    if not first_process():
        pytest.skip("no namespace of processes may be made here")
    hot.settle_fast()
    hot.drop("first.png")
    done = subprocess.run(
        [*first_process(), sys.executable, "-m", "daemon", "run", "--once", "--editor", "echo"],
        cwd=hot.cwd,
        env=hot.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert hot.receipt("first.png")["status"] == "done"


@pytest.mark.parametrize("module", ["pipeline.pixel_worker", "pipeline.editor_worker"])
def test_a_child_whose_daemon_has_died_ends_whoever_took_it_on(module: str) -> None:
    died = subprocess.Popen(["true"])
    died.wait()
    ours, theirs = socket.socketpair()
    with ours, theirs:  # an open line alone would keep it waiting
        line = theirs.fileno()
        command = [sys.executable, "-m", module, str(line), str(died.pid)]
        ended = subprocess.run(command, pass_fds=(line,), check=False, timeout=60)
        assert ended.returncode == 0
