"""How one of several daemons comes to lead a hot folder, for a term at a time, and stops in time.

Terms are numbered and never come twice. To begin the next one is to make its folder, which only
one can. A leader writes its record anew every while, and looks whether a later term has begun.
Everybody else watches that record, by a clock of its own, and begins the next term when it has
rested for long. The leader acts for a shorter time after each of its signs of life, by its clock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from daemon.lease import owner
from daemon.lease.owner import LeaseRecord, Liveness, Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimings:
    """How long everything takes, in seconds.

    What lies between `act` and `take_over` is for the call that was under way when the time to act
    was over, and for clocks that do not run alike.
    """

    refresh: float = 10.0  # between two signs of life of a leader
    act: float = 30.0  # that a leader acts after its last sign of life
    look: float = 2.0  # between two looks of those who stand by
    take_over: float = 60.0  # that a record rests before another one leads

    @property
    def blink(self) -> float:
        """For how long one who stands by may look away and still have watched."""
        return self.take_over / 4


LEASE_TIMINGS = LeaseTimings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Two clocks: both only ever go on."""

    elapsed: Callable[[], float]  # counts the sleep of the machine: others are awake meanwhile
    awake: Callable[[], float]  # does not: one who sleeps does not watch


class Store(Protocol):
    """The terms of one hot folder, on its share; every method may raise OSError."""

    def newest(self) -> int:
        """The newest term, 0 where there was none."""
        ...

    def read(self, term: int) -> str | None:
        """The record of a term, None where it has none."""
        ...

    def begin(self, term: int) -> bool:
        """Begin a term; False where somebody did already."""
        ...

    def write(self, term: int, text: str) -> bool:
        """Write the record of a term in place of the last one; False where the term is gone."""
        ...

    def give_back(self, term: int) -> None:
        """Remove a term that was begun and has no record, as far as that can be removed."""
        ...

    def clear_before(self, term: int) -> None:
        """Remove what earlier terms left."""
        ...


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Has not looked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Stands by, and watches the record of the newest term."""

    term: int
    text: str | None
    leader: Owner | None  # who leads, or did; None where that is not known
    since: float  # on the clock `awake`: it has been the same at every look
    looked_at: float  # on the clock `awake`
    liveness: Liveness  # of the leader
    is_free: bool  # nobody acts in this term, nor will


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """Leads, and acts until its time is over."""

    term: int
    counter: int
    until: float  # on the clock `elapsed`


ElectionState = Newcomer | Follower | Leader


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """What a daemon does to lead one hot folder; its standing goes in and comes out."""

    store: Store
    me: Owner
    liveness_of: Callable[[Owner], Liveness]
    timings: LeaseTimings
    clocks: Clocks

    def go_on(self, standing: ElectionState) -> ElectionState:
        """Give a sign of life, or look for one; begin a term where that is right."""
        if isinstance(standing, Leader):
            return self._refresh(standing)
        follower = self._follow(standing)
        return self._take_over(follower) if self._is_due(follower) else follower

    def release(self, leader: Leader) -> None:
        """Say that this term is over; its leader must not act any more."""
        self._write(leader.term, leader.counter + 1, is_released=True)

    def _refresh(self, leader: Leader) -> ElectionState:
        began, counter = self.clocks.elapsed(), leader.counter + 1
        # First the sign of life, then the look: whoever begins a term does it the other way round,
        # so that one of the two sees the other.
        is_there = self._write(leader.term, counter)
        if not is_there or self.store.newest() != leader.term:
            return self.go_on(Newcomer())
        return Leader(term=leader.term, counter=counter, until=began + self.timings.act)

    def _follow(self, before: Newcomer | Follower) -> Follower:
        sight = self._look()
        term, text, now = sight.term, sight.text, sight.looked_at
        match before:
            case Newcomer():
                return replace(sight, is_free=sight.is_free or term == 0)
            case Follower() if (term, text) != (before.term, before.text):
                return replace(sight, liveness=Liveness.RUNS)
            case Follower() if now - before.looked_at > self.timings.blink:
                return replace(sight, liveness=before.liveness)
            case Follower():
                return replace(sight, liveness=before.liveness, since=before.since)

    def _look(self) -> Follower:
        """The newest term as it is found, its watch begun at this moment."""
        term = self.store.newest()
        text = self.store.read(term)
        now = self.clocks.awake()
        record = None if text is None else owner.read(text)
        liveness = self.liveness_of(record.owner) if record else Liveness.UNKNOWN
        is_released = record is not None and record.is_released
        return Follower(
            term=term,
            text=text,
            leader=record.owner if record else None,
            since=now,
            looked_at=now,
            liveness=liveness,
            is_free=is_released or liveness is Liveness.ENDED,
        )

    def _is_due(self, follower: Follower) -> bool:
        return follower.is_free or (follower.looked_at - follower.since >= self.timings.take_over)

    def _take_over(self, follower: Follower) -> ElectionState:
        began, term = self.clocks.elapsed(), follower.term + 1
        if not self.store.begin(term):
            return self._follow(follower)
        # The old leader may have come back while we decided. Its next look finds our term, and
        # this one, without a record, is nobody's until somebody has watched it for long.
        if self.store.read(follower.term) != follower.text or self.store.newest() != term:
            return self._follow(follower)
        try:
            is_written = self._write(term, 0)
        except OSError:  # on a full disk, say: a term without a record would seem somebody's
            self.store.give_back(term)
            raise
        if not is_written:
            return self._follow(Newcomer())
        with contextlib.suppress(OSError):  # what is left lies there until the next term
            self.store.clear_before(term)
        return Leader(term=term, counter=0, until=began + self.timings.act)

    def _write(self, term: int, counter: int, *, is_released: bool = False) -> bool:
        record = LeaseRecord(owner=self.me, counter=counter, is_released=is_released)
        return self.store.write(term, record.text())
