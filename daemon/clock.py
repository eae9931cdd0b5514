"""Time, from outside."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """What tells the time; the module `time` is one."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...

    def time(self) -> float:
        """Unix time."""
        ...
