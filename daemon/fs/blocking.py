"""Calls that may never come back: made in threads that can be left behind, seen to move or not."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

ANSWER_SECONDS = 3.0  # of a share, where somebody waits at a terminal


T = TypeVar("T")

_SAMPLE_SECONDS = 0.1


_SWITCHES = "voluntary_ctxt_switches:"
_LONGEST_GAP_SECONDS = 2.0
# The number of the call in which threads of one process wait for each other.
_FUTEX = {"x86_64": "202", "aarch64": "98"}.get(os.uname().machine, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StallTimeouts:
    """How long a share is waited for."""

    silent_seconds: float  # in one system call; slow ones answer within: longer means a hang
    offline_seconds: float  # by `run --once`, before it ends without it


STALL_TIMEOUTS = StallTimeouts(silent_seconds=30.0, offline_seconds=60.0)


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


class StallDetector:
    """Counts how long a thread at work has not moved, from one feeling to the next."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._sampled_at = 0.0
        self._still_seconds = 0.0

    def observe(self, count: int | None, now: float, *, is_at_work: bool) -> float:
        """For how many seconds it has stood still by `now`, in monotonic seconds.

        `count` is what `switches_of` gives. A long time between two feelings counts little: it was
        we who were stopped then.
        """
        gap = min(now - self._sampled_at, _LONGEST_GAP_SECONDS)
        is_still = is_at_work and count is not None and count == self._count
        self._still_seconds = self._still_seconds + gap if is_still else 0.0
        self._count, self._sampled_at = count, now
        return self._still_seconds


class Stalled(Exception):  # noqa: N818 - no error of ours: the share's silence
    """A call stands in a system call that does not come back."""


class BlockingCall(Generic[T]):
    """A call on its way in a thread of its own."""

    def __init__(self, act: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        # A daemon thread: one that never comes back must not keep the process from its end.
        self._thread = threading.Thread(target=_do, args=(act, self._future), daemon=True)
        self._thread.start()
        self._stall_detector = StallDetector()
        self._still_seconds = 0.0

    def is_open(self, now: float, silent_seconds: float) -> bool:
        """Whether it may still come back; felt every moment, at `now` in monotonic seconds."""
        assert self._thread.native_id is not None
        count = switches_of(self._thread.native_id)
        self._still_seconds = self._stall_detector.observe(count, now, is_at_work=True)
        return not self._future.done() and self._still_seconds < silent_seconds

    @property
    def has_come_back(self) -> bool:
        """Whether it has given or raised something."""
        return self._future.done()

    def result(self) -> T:
        """What it gave or raised; raises Stalled where it has not come back."""
        if not self.has_come_back:
            raise Stalled
        return self._future.result()


def call_all(acts: Iterable[Callable[[], T]], silent_seconds: float) -> list[BlockingCall[T]]:
    """Make calls side by side, and wait until each has come back or stands still for so long."""
    calls = [BlockingCall(act) for act in acts]
    waiting = calls
    while waiting := [it for it in waiting if it.is_open(time.monotonic(), silent_seconds)]:
        wait([it._future for it in waiting], timeout=_SAMPLE_SECONDS)
    return calls


def call_with_deadline(act: Callable[[], T], silent_seconds: float) -> T:
    """What a call gives or raises; raises Stalled where it stands still for so long."""
    return call_all([act], silent_seconds)[0].result()


def _do(act: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(act())
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(error)
