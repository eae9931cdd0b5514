"""`hotfolder run` at work, watched from outside: what it says, and what it costs."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from harness import HotFolder

COMMAND = Path(sys.executable).with_name("hotfolder")
SETTLE_SECONDS = 2.0
_HEAVY = ("/torch/", "/PIL/", "/numpy/")
_DEADLINE_SECONDS = 120.0
_LOOK_SECONDS = 0.05


def wait(seconds: float) -> None:
    """Let others work for a while."""
    select.select([], [], [], seconds)


class Running:
    """A daemon with the echo editor; leaving its `with` ends it."""

    def __init__(self, hot: HotFolder) -> None:
        said = hot.cwd / "said.txt"
        self.started_at = time.time()
        with said.open("wb") as stream:
            self._process = subprocess.Popen(
                [COMMAND, "run", "--editor", "echo"],
                cwd=hot.cwd,
                env=hot.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )
        self._reader = said.open(encoding="utf-8")
        self._lines: list[str] = []
        self._begun = ""  # a line whose end has not been written yet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.close()

    def wait_for(self, *words: str, count: int = 1) -> float:
        """The Unix time of the n-th line that has all these words, by the daemon's own clock."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while len(times := self.times_of(*words)) < count:
            assert self._process.poll() is None, "\n".join(self._lines)
            assert time.monotonic() < deadline, f"not said in time: {words}"
            wait(_LOOK_SECONDS)
        return times[count - 1]

    def times_of(self, *words: str) -> list[float]:
        """The Unix times of the lines so far that have all these words."""
        *whole, self._begun = (self._begun + self._reader.read()).split("\n")
        self._lines += whole
        return [_time_of(line) for line in self._lines if all(word in line for word in words)]

    def memory_mb(self) -> float:
        """Resident memory of the daemon process itself, in 10^6 bytes."""
        return resident_mb(self._process.pid)

    def heavy_libraries(self) -> int:
        """How many mapped pieces of torch, Pillow and numpy the daemon process holds."""
        maps = Path(f"/proc/{self._process.pid}/maps").read_text(encoding="utf-8")
        return sum(any(name in line for name in _HEAVY) for line in maps.splitlines())

    def cpu_seconds(self) -> float:
        """Processor time so far of the daemon, its editor and its pixel workers together."""
        pids = [self._process.pid, *self._children()]
        return sum(map(_cpu_seconds, pids))

    def _children(self) -> Iterator[int]:
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            yield from map(int, (thread / "children").read_text(encoding="ascii").split())


def resident_mb(pid: int) -> float:
    """VmRSS of a process, in 10^6 bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def _cpu_seconds(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    # Fields 14 and 15, utime and stime; field 2, the name, may hold spaces: proc_pid_stat(5).
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _time_of(line: str) -> float:
    return datetime.fromisoformat(line.split(" ", 1)[0].removeprefix("time=")).timestamp()
