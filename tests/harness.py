"""A hot folder with its own local state, and the real command running on it."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image

from config.settings_file import default_text
from daemon.fs.hot_folder import make_hot_folder

DEADLINE_SECONDS = 180.0  # on a busy machine, too
T = TypeVar("T")


def wait_for(condition: Callable[[], T]) -> T:
    """The first true value of a condition; fails when the deadline has passed."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        select.select([], [], [], 0.02)
    return value


def within(seconds: float, act: Callable[[], T]) -> T:
    """What is given by something that takes less than so long.

    A busy machine holds up this try or that one, so one of a few will do.
    """
    for _ in range(5):
        began = time.monotonic()
        given = act()
        if time.monotonic() - began < seconds:
            return given
    raise AssertionError("it takes longer")  # noqa: TRY003 - as an assertion says it


def unshared(*flags: str) -> tuple[str, ...]:
    """A command before another one that gives it namespaces of its own; () where not allowed."""
    words = ("unshare", *flags)
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else ()


@contextmanager
def sealed(path: Path) -> Iterator[None]:
    """A file or folder in which nobody, not even root, may write."""
    command = subprocess.run(["chattr", "+i", path], capture_output=True, check=False)
    if command.returncode:
        pytest.skip(f"{path} cannot be sealed: {command.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


class HotFolder:
    """A hot folder, with local state of its own."""

    def __init__(self, base: Path) -> None:
        self.root = base / "hot"
        self.inbox, self.outbox = self.root / "inbox", self.root / "outbox"
        self.environment = {
            **os.environ,
            "XDG_STATE_HOME": str(base / "state"),
            "XDG_CACHE_HOME": str(base / "cache"),
            "HOME": str(base),
            "NUM_STEPS": "2",
            "OMP_NUM_THREADS": "1",  # two spinning threads starve where a core is busy
        }
        self.cwd = base / "elsewhere"
        self.cwd.mkdir(parents=True)
        self.settings = self.cwd / "hotfolder.yaml"
        self.make()

    def make(self) -> None:
        """Do what `hotfolder init` does."""
        make_hot_folder(self.root, str(uuid.uuid4()))
        if not self.settings.exists():
            self.settings.write_text(default_text(self.root), encoding="utf-8")
            self.settings.chmod(0o644)

    def call(
        self, *words: object, within: Sequence[str] = (), seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run `hotfolder` to its end, as what another command runs where one is given."""
        return subprocess.run(
            [*within, sys.executable, "-m", "daemon", *map(str, words)],
            cwd=self.cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def once(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Work what lies in the inbox with the echo editor."""
        self.settle_fast()
        return self.call("run", "--once", "--editor", "echo", *words)

    def settle_fast(self) -> None:
        """Let files settle in a moment."""
        text = self.settings.read_text()
        if "settle_seconds: 0.2" not in text:
            self.write_settings("defaults: {settle_seconds: 0.2, sidecar_grace_seconds: 0}")

    def write_settings(self, *lines: str) -> None:
        """Replace the settings."""
        folders = f"folders: [{{root: {json.dumps(str(self.root))}}}]"
        self.settings.write_text("\n".join([*lines, folders, ""]), encoding="utf-8")

    def drop(self, name: str, prompt: str = "Make it blue", **keys: object) -> Path:
        """Drop a small picture and its sidecar."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((96, 64), 60).convert("RGB").save(path)
        path.with_suffix(".yaml").write_text(
            json.dumps({"prompt": prompt, **keys}, ensure_ascii=False), encoding="utf-8"
        )
        return path

    def receipt(self, name: str) -> dict[str, Any]:
        """The receipt of a result in the outbox."""
        content = (self.outbox / f"{name}.json").read_text(encoding="utf-8")
        receipt: dict[str, Any] = json.loads(content)
        return receipt

    def why(self, stem: str) -> str:
        """The WHY.txt of a failed job."""
        (path,) = self.root.glob(f"failed/*/{stem}*/WHY.txt")
        return path.read_text(encoding="utf-8")

    def files(self, folder: str) -> set[str]:
        """The files below one of the visible folders, without those of the date."""
        base = self.root / folder
        while True:
            try:
                return {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}
            except FileNotFoundError:  # a folder was filed while it was looked into
                continue


class Daemon:
    """`hotfolder run` at work."""

    module = "daemon"
    prefix: tuple[str, ...] = ()  # of its command

    def __init__(self, hot: HotFolder, *words: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*self.prefix, sys.executable, "-m", self.module, "run", *map(str, words)],
            cwd=hot.cwd,
            env={**hot.environment, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.hot = hot
        self.lines: list[str] = []
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)

    def said(self, *words: str) -> str | None:
        """The first line on stderr so far that has all these words."""
        assert self.process.stderr is not None
        self.lines += self.process.stderr.readlines()
        matching = (line for line in self.lines if all(word in line for word in words))
        return next(matching, None)

    def children(self) -> Mapping[str, int]:
        """The module and process id of each child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()]
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in pids}
        return {words[3].decode(): pid for pid, words in commands.items() if len(words) > 3}

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=DEADLINE_SECONDS)
