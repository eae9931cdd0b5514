"""Measures how long `why`, `plan` and `status` take beside a running daemon on a full inbox.

Run it from the project's environment:

    .venv/bin/python benchmarks/explaining.py [--out FILE] [--tree DIR]

It takes about a minute and writes below $TMPDIR only. `--tree` is another checkout, such as the
one before a change: its commands and its daemon run, this script measures.

5,000 pairs of a picture and its sidecar lie in the inbox of a local hot folder, and `run --editor
echo` has them settled and read, but is paused. Each command is a process of its own, its time that
from its start to its end. Beside them somebody asks the daemon again and again to have a job tried
again that is none, which takes the deciding thread and the folder's worker one after the other:
how long that takes while nobody looks, and while one plan after the other is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

# Before the folder of this file, where `import daemon` would find a file beside this one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.measure import Measure, table
from benchmarks.pictures import small, write_pair
from daemon.control.client import ask
from daemon.fs.local_dirs import locate_local_dirs

_OUT = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "explaining.json"
_PAIRS = 5000
_RUNS = 5
_PINGS = 20
_DEADLINE_SECONDS = 180.0
_PROMISED_SECONDS = 0.5  # of why and plan, by the changelog
_NO_JOB = {"verb": "retry", "folder": "failed/2026-01-01/none"}


def main() -> int:
    """Measure, show, write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=_OUT)
    parser.add_argument("--tree", type=Path, default=Path(__file__).resolve().parents[1])
    arguments = parser.parse_args()
    tree = arguments.tree.resolve()
    load, busy = machine.load(), machine.cores_in_use()
    with tempfile.TemporaryDirectory(prefix="hotfolder-benchmark-") as base:
        measures = [*_measure(_Folder(tree, Path(base)))]
        stamp = machine.measured(Path(base), tree)
    document = {
        "schema": 1,
        "what": "looks at a full inbox beside a daemon, by benchmarks/explaining.py",
        **stamp,
        "versions": machine.versions(),
        "load_average_before": load,
        "cores_busy_with_other_things_before": busy,
        "files": 2 * _PAIRS,
        "measures": [measure.as_json() for measure in measures],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    arguments.out.write_text(text, encoding="utf-8")
    print(table(measures))
    return 0


class _Folder:
    """A full hot folder, and a checkout's commands on it."""

    def __init__(self, tree: Path, base: Path) -> None:
        self.root, self._cwd = base / "hot", base / "elsewhere"
        self._cwd.mkdir()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "XDG_STATE_HOME": str(base / "state"),
            "XDG_CACHE_HOME": str(base / "cache"),
            "HOME": str(base),
            "NUM_STEPS": "2",
        }
        self.call("init", self.root)
        for number in range(_PAIRS):
            words = f"prompt: Make the sky of picture {number} red\nseed: {number}\n"
            write_pair(self.root / "inbox", f"picture{number}", small(), words)

    def call(self, *words: object) -> str:
        """Run a command to its end; gives what it wrote."""
        return subprocess.run(
            self._words(*words),
            cwd=self._cwd,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    @contextmanager
    def served(self) -> Iterator[None]:
        """A daemon that has read everything, and begins nothing."""
        self.call("pause")
        with (self._cwd / "said.txt").open("wb") as said:
            words = self._words("run", "--editor", "echo")
            process = subprocess.Popen(
                words, cwd=self._cwd, env=self.environment, stdout=said, stderr=said
            )
        try:
            _wait_for(lambda: self._ready() == _PAIRS)
            yield
        finally:
            process.terminate()
            process.wait(timeout=_DEADLINE_SECONDS)

    def _ready(self) -> int:
        (folder,) = json.loads(self.call("status", "--json"))["folders"]
        names = [it["file"] for it in folder["files"] if it["state"] == "ready"]
        return sum(name.endswith(".jpg") for name in names)

    def _words(self, *words: object) -> list[str]:
        return [sys.executable, "-P", "-m", "daemon", *map(str, words)]


def _measure(folder: _Folder) -> Iterator[Measure]:
    name = f"picture{_PAIRS // 2}.jpg"
    looks = {
        "hotfolder why FILE": (("why", name), _PROMISED_SECONDS),
        "hotfolder plan": (("plan",), _PROMISED_SECONDS),
        "hotfolder plan --json": (("plan", "--json"), None),
        "hotfolder status": (("status",), None),
    }
    local_dirs = locate_local_dirs(folder.environment)
    ping = partial(ask, local_dirs, folder.root, _NO_JOB, _DEADLINE_SECONDS)
    with folder.served():
        for what, (words, floor) in looks.items():
            how = "wall time of the process, beside a daemon"
            yield _timed(what, partial(folder.call, *words), _RUNS, how, floor)
        how = "a request that the deciding thread and the folder's worker answer"
        yield _timed("an answer, nobody looks", ping, _PINGS, how)
        with _repeated(lambda: folder.call("plan")):
            yield _timed("an answer while plans are asked for", ping, _PINGS, how)


def _timed(
    name: str, act: Callable[[], object], runs: int, how: str, floor: float | None = None
) -> Measure:
    samples = tuple(_seconds(act) for _ in range(runs))
    return Measure(name=name, unit="s", samples=samples, floor=floor, how=how)


@contextmanager
def _repeated(act: Callable[[], object]) -> Iterator[None]:
    """Do it again and again, beside what is done meanwhile."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "the daemon did not read everything in time"


if __name__ == "__main__":
    raise SystemExit(main())
