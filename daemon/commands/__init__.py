"""The commands: each asks, looks or starts, and puts what it found into words and an exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What scripts and systemd read."""

    FINE = 0
    JOBS_FAILED = 1
    USAGE = 2
    CONFIGURATION = 78  # sysexits.h EX_CONFIG
