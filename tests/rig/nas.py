"""A hot folder on a share beside one on a local disk, both served by one daemon."""

import copy
import json
import os
import subprocess
from pathlib import Path

from harness import Daemon, HotFolder, wait_for
from rig.share import Share

_TESTS = Path(__file__).parents[1]


class Nas:
    """`far` is the hot folder on the share as its server sees it: looking there never hangs."""

    def __init__(
        self, base: Path, *, stale_seconds: float = 0.0, daemons: type[Daemon] = Daemon
    ) -> None:
        self.near = HotFolder(base / "near")
        self.share = Share(base / "far", stale_seconds=stale_seconds)
        self.root = self.share.mount
        self.far = copy.copy(self.near)
        self.far.root = self.share.backing
        self.far.inbox, self.far.outbox = self.far.root / "inbox", self.far.root / "outbox"
        self.far.make()
        tests = os.pathsep.join(filter(None, [str(_TESTS), os.environ.get("PYTHONPATH", "")]))
        self.near.environment |= {"PYTHONPATH": tests}
        self._kind, self._daemons = daemons, list[Daemon]()
        self.write_settings("settle_seconds: 0.2")

    def write_settings(self, of_the_share: str) -> None:
        """Write settings with both folders."""
        folders = [
            f"{{root: {json.dumps(str(self.root))}, poll_seconds: 0.2, {of_the_share}}}",
            f"{{root: {json.dumps(str(self.near.root))}, settle_seconds: 0.2}}",
        ]
        self.near.settings.write_text(f"folders: [{', '.join(folders)}]\n")

    def start(self, *words: object) -> Daemon:
        """Start a daemon and wait until it can edit."""
        daemon = self._kind(self.near, "--editor", "echo", *words)
        self._daemons.append(daemon)
        wait_for(lambda: daemon.said("action=editor_ready"))
        return daemon

    def close(self) -> None:
        """End all daemons and the share."""
        self.share.heal()  # whom it holds cannot end
        for daemon in self._daemons:
            daemon.process.kill()
            daemon.process.wait()
            daemon.said("")
            print(*daemon.lines, sep="")  # seen where a test has failed
            assert daemon.process.stderr is not None
            daemon.process.stderr.close()
        self.share.close()

    def ask(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.near.call(*words)


class Impatient(Daemon):
    """`hotfolder run` that finds a share silent after a second, which a busy machine may hit."""

    module = "rig.impatient"


def edits(daemon: Daemon, name: str) -> int:
    """How often a picture was edited by a daemon."""
    return len(told(daemon, "action=job_running", f"file={name}"))


def told(daemon: Daemon, *words: str) -> list[str]:
    """All lines so far that have these words."""
    daemon.said("")
    return [line for line in daemon.lines if all(word in line for word in words)]
