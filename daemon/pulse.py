"""Whether a thread that touches a share still moves: one that stands in a system call does not."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

_SWITCHES = "voluntary_ctxt_switches:"
_LONGEST_GAP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a share is waited for."""

    silent_seconds: float  # in one system call; slow ones answer within: longer means a hang
    offline_seconds: float  # by `run --once`, before it ends without it


PATIENCE = Patience(silent_seconds=30.0, offline_seconds=60.0)


def switches_of(thread_id: int) -> int | None:
    """How often a thread of ours has waited for something so far; None where it has ended.

    Each call that waits for a disk or a server counts, so that a long copy is told from a hang.
    """
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/self/task/{thread_id}/status").read_text().splitlines():
            if line.startswith(_SWITCHES):
                return int(line.removeprefix(_SWITCHES))
    return None


class Pulse:
    """Counts how long a thread at work has not moved, from one feeling to the next."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._felt_at = 0.0
        self._still_seconds = 0.0

    def feel(self, count: int | None, now: float, *, is_at_work: bool) -> float:
        """For how many seconds it has stood still by `now`, in monotonic seconds.

        `count` is what `switches_of` gives. A long time between two feelings counts little: it was
        we who were stopped then.
        """
        gap = min(now - self._felt_at, _LONGEST_GAP_SECONDS)
        is_still = is_at_work and count is not None and count == self._count
        self._still_seconds = self._still_seconds + gap if is_still else 0.0
        self._count, self._felt_at = count, now
        return self._still_seconds
