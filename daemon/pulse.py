"""Whether a thread that touches a share still moves: one that stands in a system call does not."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_SWITCHES = "voluntary_ctxt_switches:"
_LONGEST_GAP_SECONDS = 2.0
# The number of the call in which threads of one process wait for each other.
_FUTEX = {"x86_64": "202", "aarch64": "98"}.get(os.uname().machine, "")


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


def waits_for_itself(thread_id: int) -> bool:
    """Whether a thread of ours stands in no call of the file system: it waits for one of us.

    Where the kernel does not tell, no: a thread that stands, stands in a call.
    """
    with contextlib.suppress(OSError):
        call = Path(f"/proc/self/task/{thread_id}/syscall").read_text().split()
        return bool(call) and call[0] in ("running", _FUTEX)
    return False


def effort_of(process_id: int) -> int | None:
    """A number that grows while a process computes or reads; None where it has ended."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        # After the name, which may hold anything, in brackets: proc(5).
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2].split()
        major_faults, user_ticks, system_ticks = fields[9], fields[11], fields[12]
        return int(major_faults) + int(user_ticks) + int(system_ticks)
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
