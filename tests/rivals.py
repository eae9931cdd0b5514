"""Rivals for one lease on paper: each in a thread that moves only when it is told to, one call."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.lease.election import LEASE_TIMINGS, Clocks, Election, ElectionState, Leader, Newcomer
from daemon.lease.owner import Liveness, Owner


class Ended(BaseException):
    """The process is no more."""


@dataclass
class Paper:
    """A share on paper."""

    terms: dict[int, str | None] = field(default_factory=dict)
    is_full: bool = False  # folders can be made, and nothing can be written

    def newest(self) -> int:
        return max(self.terms, default=0)

    def read(self, term: int) -> str | None:
        return self.terms.get(term)

    def begin(self, term: int) -> bool:
        if term in self.terms:
            return False
        self.terms[term] = None
        return True

    def write(self, term: int, text: str) -> bool:
        if term not in self.terms:
            return False
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.terms[term] = text
        return True

    def give_back(self, term: int) -> None:
        self.terms.pop(term, None)

    def clear_before(self, term: int) -> None:
        self.terms = {it: text for it, text in self.terms.items() if it >= term}


class Door:
    """The share as one rival reaches it: each call waits for its turn."""

    def __init__(self, paper: Paper, turn: Callable[[], None]) -> None:
        self._paper, self._turn = paper, turn

    def newest(self) -> int:
        self._turn()
        return self._paper.newest()

    def read(self, term: int) -> str | None:
        self._turn()
        return self._paper.read(term)

    def begin(self, term: int) -> bool:
        self._turn()
        return self._paper.begin(term)

    def write(self, term: int, text: str) -> bool:
        self._turn()
        return self._paper.write(term, text)

    def give_back(self, term: int) -> None:
        self._turn()
        self._paper.give_back(term)

    def clear_before(self, term: int) -> None:
        self._turn()
        self._paper.clear_before(term)


class Rival:
    """A daemon that wants to lead, in a process of its own."""

    def __init__(self, number: int, world: World, drift: float) -> None:
        self.number, self._world, self._drift = number, world, drift
        self.standing: ElectionState = Newcomer()
        self.has_ended = False  # killed
        self.is_leaving = False  # at its next chance
        self.is_idle = False  # between two rounds
        self.is_gone = False  # killed, or has left
        self._go, self._pause_control = threading.Semaphore(0), threading.Semaphore(0)
        self.me = Owner(
            host="paper",
            machine_id="m",
            boot_id="b",
            pid_namespace="n",
            pid=number,
            start_ticks=number,
            nonce=str(number),
        )
        self._election = Election(
            store=Door(world.paper, self._turn),
            me=self.me,
            liveness_of=world.liveness_of,
            timings=LEASE_TIMINGS,
            clocks=Clocks(elapsed=self._look_at_clock, awake=self._look_at_clock),
        )
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        self._pause_control.acquire()

    @property
    def acts(self) -> bool:
        """Whether it would change something in the hot folder at this very moment."""
        leads = isinstance(self.standing, Leader) and self._clock() < self.standing.until
        return leads and not self.has_ended

    def step(self) -> None:
        """Let it do one thing: a call to the share, or a look at its clock."""
        if not self.is_gone:
            self._go.release()
            self._pause_control.acquire()

    def round(self) -> None:
        """Let it finish what it is at, and go on once."""
        self._finish()
        self.step()
        self._finish()

    def _finish(self) -> None:
        while not self.is_gone and not self.is_idle:
            self.step()

    def end(self) -> None:
        """Kill it."""
        self.has_ended = True
        self.step()
        self._thread.join(10)

    def _live(self) -> None:
        try:
            while not self.is_leaving:
                self.is_idle = True
                self._turn()
                self.is_idle = False
                with contextlib.suppress(OSError):
                    self.standing = self._election.go_on(self.standing)
            leader, self.standing = self.standing, Newcomer()
            if isinstance(leader, Leader):
                with contextlib.suppress(OSError):
                    self._election.release(leader)
        except Ended:
            pass
        finally:
            self.is_gone = True
            self._pause_control.release()

    def _turn(self) -> None:
        self._pause_control.release()
        self._go.acquire()
        if self.has_ended:
            raise Ended

    def _look_at_clock(self) -> float:
        self._turn()
        return self._clock()

    def _clock(self) -> float:
        return self._world.now * self._drift + self.number * 1000.0


class World:
    """A share, its rivals, and the true time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.paper = Paper()
        self.rivals: list[Rival] = []
        self.is_one_machine = True

    def join(self, drift: float = 1.0) -> Rival:
        """Start another daemon, whose clock goes so fast."""
        self.rivals.append(Rival(len(self.rivals) + 1, self, drift))
        return self.rivals[-1]

    def liveness_of(self, owner: Owner) -> Liveness:
        """What a rival knows of another one's process."""
        if not self.is_one_machine:
            return Liveness.UNKNOWN
        return Liveness.ENDED if self.rivals[owner.pid - 1].has_ended else Liveness.RUNS

    def acting(self) -> list[int]:
        """Who would change something now."""
        return [rival.number for rival in self.rivals if rival.acts]

    def close(self) -> None:
        """End all."""
        for rival in self.rivals:
            rival.end()
