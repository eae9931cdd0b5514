"""Time, from outside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time; the module `time` is one."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...

    def time(self) -> float:
        """Unix time."""
        ...


def local_time(unix_time: float) -> datetime:
    """A moment as the machine's people read it."""
    return datetime.fromtimestamp(unix_time, UTC).astimezone()


def last_midnight(unix_time: float) -> float:
    """When the day of a moment began, as the machine's people count it; Unix time."""
    now = local_time(unix_time)
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def day_of(unix_time: float) -> str:
    """The day of a moment, as the machine's people count it: 2026-11-22."""
    return local_time(unix_time).strftime("%Y-%m-%d")
