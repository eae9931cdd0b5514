"""The daemon's place among the processes: first of a container, below whoever takes on orphans."""

import socket
import subprocess
import sys

import pytest
from harness import HotFolder, unshared


def test_as_process_1_of_a_container_it_edits(hot: HotFolder) -> None:
    container = unshared("--pid", "--fork", "--kill-child", "--mount-proc")
    if not container:
        pytest.skip("no namespace of processes may be made here")
    hot.settle_fast()
    hot.drop("first.png")
    done = hot.call("run", "--once", "--editor", "echo", within=container)
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
