"""Where and when something was measured, and how busy the machine was with other things."""

from __future__ import annotations

import os
import platform
import select
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from daemon.fs.mounts import find_mount

_TOP = Path(__file__).parents[1]
_LIBRARIES = ("hotfolder", "pillow", "numpy", "pyyaml", "watchdog", "rich")
_LOOK_SECONDS = 2.0


def hardware(folder: Path) -> dict[str, object]:
    """The machine, and the file system that `folder` lies on."""
    mount = find_mount(folder)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "kernel": platform.release(),
        "file_system": "unknown" if mount is None else mount.type,
        "python": platform.python_version(),
    }


def measured(folder: Path, tree: Path = _TOP) -> dict[str, object]:
    """When, of which commit and on what machine something is measured: each result carries it."""
    return {"date": now(), **commit(tree), "machine": hardware(folder)}


def versions() -> dict[str, str]:
    """The versions of Hotfolder and of what its daemon and pixel workers stand on."""
    return {name: version(name) for name in _LIBRARIES}


def commit(tree: Path = _TOP) -> dict[str, object]:
    """The commit that was measured, and whether anything but results differed from it.

    An archive of git's own, as one takes it to a machine without git, says its commit itself.
    """
    archived = (tree / "benchmarks" / "commit.txt").read_text(encoding="ascii").strip()
    if not archived.startswith("$"):
        return {"commit": archived, "with_changes": False}
    changed = _git(tree, "status", "--porcelain", "--", ":!benchmarks/results")
    return {"commit": _git(tree, "rev-parse", "HEAD"), "with_changes": bool(changed)}


def now() -> str:
    """The local time, for people."""
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


def load() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def cores_in_use() -> float:
    """How many cores are busy with whatever else runs, looked at for two seconds."""
    busy_before, all_before = _ticks()
    select.select([], [], [], _LOOK_SECONDS)
    busy, all_ticks = _ticks()
    share = (busy - busy_before) / (all_ticks - all_before)
    return round(share * (os.cpu_count() or 1), 2)


def _ticks() -> tuple[int, int]:
    line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    ticks = [int(number) for number in line.split()[1:9]]  # user … steal: proc_stat(5)
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _git(tree: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=tree, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
