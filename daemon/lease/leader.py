"""The lead of one hot folder: held by a thread of its own, and asked for before every act."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from daemon.lease import owner
from daemon.lease.election import (
    Clocks,
    Election,
    ElectionState,
    Follower,
    Leader,
    LeaseTimings,
    Newcomer,
    Store,
)
from daemon.lease.owner import Liveness
from daemon.lease.store import LeaseStore
from daemon.supervision import Fault, supervise

CLOCKS = Clocks(elapsed=lambda: time.clock_gettime(time.CLOCK_BOOTTIME), awake=time.monotonic)
_END_SECONDS = 1.0


class NotLeader(Exception):  # noqa: N818 - no error: another one does the work
    """Another daemon leads. Says who, in words, and whether that is certain."""

    def __init__(self, reason: str, *, is_certain: bool) -> None:
        super().__init__(reason)
        self.reason, self.is_certain = reason, is_certain


class LeaderLease:
    """Leads a hot folder, or stands by until it may.

    A long copy does not end a lead, because a thread beside it gives the signs of life.
    """

    def __init__(
        self, election: Election, on_change: Callable[[], None], tell: Callable[[Fault], None]
    ) -> None:
        self._election, self._on_change, self._tell = election, on_change, tell
        self._clocks, self._timings = election.clocks, election.timings
        self._standing: ElectionState = Newcomer()
        self._lock = threading.Lock()  # held by whoever touches the lease
        self._is_over = threading.Event()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Lead or stand by until the end of the block, and let others lead at once then."""
        name = f"lead of {self._election.me.pid}"
        keeping = threading.Thread(target=self._hold, name=name, daemon=True)
        keeping.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._release()
            keeping.join(_END_SECONDS)

    def fence(self) -> None:
        """Return where this daemon leads, and make sure of it where that is in doubt.

        Raises NotLeader where another one leads, OSError where the share does not let us know.
        """
        if self._may_act():
            return
        with self._lock:
            if not self._may_act() and not self._has_just_looked():
                self._standing = self._election.go_on(self._standing)
            standing = self._standing
        if isinstance(standing, Follower):
            raise _not_leader(standing)
        if not self._may_act():
            why = errno.ETIMEDOUT  # the share took longer than a leader may act on its answer
            raise OSError(why, os.strerror(why))

    def _may_act(self) -> bool:
        standing = self._standing
        return isinstance(standing, Leader) and self._clocks.elapsed() < standing.until

    def _has_just_looked(self) -> bool:
        standing = self._standing
        return isinstance(standing, Follower) and (
            self._clocks.awake() - standing.looked_at < self._timings.look
        )

    def _hold(self) -> None:
        # Whoever acts meets the same fault in `fence` when the time of this lead is over.
        supervise(self._keep, self._tell, lambda _, seconds: self._is_over.wait(seconds))

    def _keep(self) -> None:
        while not self._is_over.wait(self._rest_seconds()):
            before = self._words()
            # Whoever acts meets the same trouble with the share, and says so.
            with contextlib.suppress(OSError), self._lock:
                if not self._is_over.is_set():
                    self._standing = self._election.go_on(self._standing)
            if self._words() != before:
                self._on_change()

    def _rest_seconds(self) -> float:
        is_leader = isinstance(self._standing, Leader)
        return self._timings.refresh if is_leader else self._timings.look

    def _words(self) -> str:
        standing = self._standing
        return str(_not_leader(standing)) if isinstance(standing, Follower) else ""

    def _release(self) -> None:
        # A thread that hangs in a call to the share has the lock; then others wait for their time.
        if not self._lock.acquire(timeout=_END_SECONDS):
            return
        try:
            standing, self._standing = self._standing, Newcomer()
            if isinstance(standing, Leader):
                self._election.release(standing)
        except OSError:
            return  # the share is away: the same
        finally:
            self._lock.release()


def leader_lease(
    root: Path,
    identity: Callable[[], str],
    timings: LeaseTimings,
    on_change: Callable[[], None],
    tell: Callable[[Fault], None],
    *,
    socket: str = "",
) -> LeaderLease:
    """The lead of a hot folder for this process; `on_change` is called when its standing changes.

    `identity` gives the id of the hot folder that is meant, "" until it is known; `tell` is called
    for a fault of the thread that holds the lease, from there. `socket` is where it is asked.
    """
    me = owner.this_process(secrets.token_hex(8), socket)
    store: Store = LeaseStore(root, identity)
    liveness_of = partial(owner.liveness_of, me=me)
    election = Election(
        store=store, me=me, liveness_of=liveness_of, timings=timings, clocks=CLOCKS
    )
    return LeaderLease(election, on_change, tell)


def _not_leader(follower: Follower) -> NotLeader:
    is_certain = follower.liveness is Liveness.RUNS
    leader = str(follower.leader or "another daemon")
    if is_certain:
        return NotLeader(f"{leader} works on it", is_certain=True)
    last = f"{leader} worked on it last"
    reason = f"{last}; this daemon works on it when no sign of life has come for long"
    return NotLeader(reason, is_certain=False)
