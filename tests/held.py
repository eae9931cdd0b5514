"""A daemon whose child processes stand still, so that a job stands where they have it."""

import os
import signal
from dataclasses import asdict
from pathlib import Path

from harness import Daemon, HotFolder, wait_for

from daemon.control.client import ask_status
from daemon.fs.local_dirs import locate_local_dirs


class Held:
    """The child processes of one kind, stopped."""

    def __init__(self, daemon: Daemon, module: str) -> None:
        children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
        pids = map(int, children.read_text().split())
        self._pids = [it for it in pids if module in Path(f"/proc/{it}/cmdline").read_text()]
        self._send(signal.SIGSTOP)

    def let_go(self) -> None:
        """Let them go on."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End them."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        for pid in self._pids:
            os.kill(pid, number)


def held_editor(daemon: Daemon) -> Held:
    """The editor, stopped."""
    return Held(daemon, "pipeline.editor_worker")


def jobs(hot: HotFolder) -> dict[str, dict[str, object]]:
    """The jobs under way by their files, as the daemon has them."""
    return _told(hot, "jobs")


def waiting(hot: HotFolder) -> dict[str, dict[str, object]]:
    """The files of the inbox, as the daemon has them."""
    return _told(hot, "files")


def _told(hot: HotFolder, what: str) -> dict[str, dict[str, object]]:
    daemon, note = ask_status(locate_local_dirs(hot.environment), hot.root)
    assert daemon is not None, note
    return {it["file"]: it for folder in daemon.folders for it in asdict(folder)[what]}


def state(hot: HotFolder, name: str) -> object:
    """The state of a job under way; None where there is none."""
    return jobs(hot).get(name, {}).get("state")


def wait_until_running(hot: HotFolder, name: str = "cat.png") -> None:
    """Wait until the editor has a job."""
    wait_for(lambda: state(hot, name) == "running")
