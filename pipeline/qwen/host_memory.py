"""The computer's own memory: how much of it there is, and how much this process has."""

from __future__ import annotations

from pathlib import Path

from pipeline.qwen import control_groups


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"), process: Path = Path("/proc/self")
) -> int:
    """What this process can still take without swapping: of the machine, and of its groups."""
    of_machine = _kibibytes(meminfo, "MemAvailable") * 1024
    return min([of_machine, *control_groups.available_bytes(process)])


def total_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """What the machine has."""
    return _kibibytes(meminfo, "MemTotal") * 1024


def resident_bytes(process: Path = Path("/proc/self")) -> int:
    """What this process has in main memory now."""
    return _kibibytes(process / "status", "VmRSS") * 1024


def _kibibytes(path: Path, key: str) -> int:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    message = f"{path} has no line {key}"
    raise RuntimeError(message)
