"""A share for tests: it can fail, hang, go away and come back, and be written to from afar.

Needs root, /dev/fuse, Debian's fuse3 and the package mfusepy; `unavailable` says what is missing.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness import wait_for

_SERVING = Path(__file__).with_name("serving.py")


def unavailable() -> str:
    """Why there can be no share here; "" where there can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no share rig: /dev/fuse cannot be opened (it needs root and FUSE in the kernel)"
    if shutil.which("fusermount3") is None:
        return "no share rig: fusermount3 is missing (apt-get install fuse3)"
    if importlib.util.find_spec("mfusepy") is None:
        return "no share rig: mfusepy is missing (pip install '.[dev]')"
    return ""


class Share:
    """A FUSE file system of type fuse.sharerig at `mount`, served by a process of its own.

    `backing` is the server's side: what is written there is a remote write, and what lies there
    can be looked at while the share is away or hangs.
    """

    def __init__(self, base: Path, *, stale_seconds: float = 0.0) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.backing, self.mount = base / "backing", base / "mount"
        self.backing.mkdir()
        self.mount.mkdir()
        self._rules, self._held = base / "rules", base / "held"
        self._stale_seconds = stale_seconds
        self._servers: list[subprocess.Popen[bytes]] = []  # the last one serves
        self.attach()

    def attach(self) -> None:
        """Mount it; what lies in the mount point is hidden by it."""
        before = self.mount.stat().st_dev
        words = (self.backing, self.mount, self._rules, self._held, self._stale_seconds)
        command = [sys.executable, str(_SERVING), *map(str, words)]
        self._servers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        wait_for(lambda: self.mount.stat().st_dev != before)

    def detach(self) -> None:
        """Take it away as `umount -l` does: whoever is in it stays in it, nobody else gets in."""
        subprocess.run(["umount", "-l", self.mount], check=True)

    def break_off(self) -> None:
        """Kill the server: every call fails with ENOTCONN until `close` or `attach` again."""
        self._servers[-1].kill()
        self._servers[-1].wait()

    def rule(self, wish: str, operations: str = "*", paths: str = "*") -> None:
        """Let these operations on these paths fail or hang; takes the place of earlier rules.

        `wish` is ESTALE, EIO, …, HANG, or STUCK: see serving.py.
        """
        fresh = self._rules.with_suffix(".new")
        fresh.write_text(f"{operations} {paths} {wish}\n")
        fresh.rename(self._rules)

    def heal(self) -> None:
        """Take all rules back: hanging calls go on."""
        self._rules.unlink(missing_ok=True)

    def held(self) -> list[str]:
        """The calls that hung or hang, in their order: "rename /inbox/cat.png"."""
        return self._held.read_text().splitlines() if self._held.exists() else []

    def close(self) -> None:
        """Heal and unmount it, and end its servers."""
        self.heal()
        subprocess.run(["umount", "-l", self.mount], check=False, capture_output=True)
        for server in self._servers:
            try:
                server.wait(timeout=5)  # the last file that is open in it keeps it alive
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
