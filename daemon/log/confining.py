"""What is told of the network: that none can be reached, or that one could be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daemon.log.story import DaemonEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineVerified(DaemonEvent):
    """No network can be reached."""

    for_the_day: ClassVar[bool] = False  # of the machine, and not of the pictures
    reason: str  # "no socket but local ones may be made"

    def __str__(self) -> str:
        return f"Offline verified: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class NotConfined(DaemonEvent):
    """A network could be reached."""

    for_the_day: ClassVar[bool] = False
    reason: str  # "there is a network interface, eth0"

    def __str__(self) -> str:
        return (
            f"Not confined: {self.reason}. Hotfolder uses no network; the systemd unit sees to it."
        )
