"""The thread of one hot folder: it alone touches the share, so a hanging share stops only it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from config import settings as settings_file
from config.problems import UserError
from config.settings import FolderSettings, Settings
from daemon import orders
from daemon.clerk import Clerk
from daemon.clock import Clock, day_of
from daemon.inbox.manner import Manner
from daemon.inbox.survey import Survey
from daemon.inbox.watching import Watching
from daemon.job import FolderState
from daemon.lease.campaign import PERIODS, Periods
from daemon.lease.deference import answer_to
from daemon.lease.lead import StandsBy, lead_of
from daemon.log.logbook import Logbook
from daemon.log.story import FolderDegraded, FolderNotLogged
from daemon.retention import Sweeper
from daemon.spool import Spool, folder_id
from daemon.supervision import Fault, supervise, thread_failed
from daemon.trouble import NOT_LOOKED_AT, Trouble, rest_seconds, trouble_of
from daemon.work import task

_HINT_SECONDS = 0.1  # events come in bursts: one look answers all of them
_REST_SECONDS = 0.5  # at the most, between two looks at a full inbox
_FAULT = "a fault of Hotfolder itself, please report it"
_STANDBY_SECONDS = 2.0  # between two looks whether the share is there


class Keeper(threading.Thread):
    """Does the orders of the service on one hot folder, and looks at its inbox between them."""

    def __init__(
        self,
        *,
        folder: FolderSettings,
        manner: Manner,
        survey: Survey,
        scratch: Path,
        clock: Clock,
        deliver: Callable[[orders.FromKeeper], None],
        tasks: task.Tasks,
        periods: Periods = PERIODS,
    ) -> None:
        super().__init__(name=f"keeper of {folder.root}", daemon=True)
        self.root, self.folder = str(folder.root), folder
        self.identity = ""  # of the hot folder that was there first; "" until it has answered
        self.is_at_work = False  # on an order; a share that hangs keeps it so
        wake = partial(self.submit, orders.Look())
        # Since when, in monotonic seconds, its looks have raised what nobody expects; None: not.
        self.failing_since: float | None = None
        self._order: orders.Order | None = None  # that it is at
        tell_of_lead = partial(self._tell_fault, "lead")
        self._lead = lead_of(folder.root, lambda: self.identity, periods, wake, tell_of_lead)
        self._spool = Spool(folder.root, self._lead.fence)
        self._logbook = Logbook(folder.root / "logs")
        self._sweeper = Sweeper(self._spool.ground, clock)
        self._watching = Watching(
            folder=folder,
            manner=manner,
            survey=survey,
            settings=tasks.settings,
            wake=wake,
            lost=lambda reason: self._answer(
                orders.Told(FolderDegraded(root=folder.root, reason=reason))
            ),
        )
        self._clerk = Clerk(
            root=folder.root,
            spool=self._spool,
            scratch=scratch,
            clock=clock,
            tasks=tasks,
            presets_for=self._watching.presets_for,
            answer=self._answer,
        )
        self._clock, self._deliver = clock, deliver
        self._orders: queue.SimpleQueue[orders.Order] = queue.SimpleQueue()
        self._waiting: deque[orders.Order] = deque()  # orders that a trouble holds up
        self._is_to_recover = True  # whether work/ may hold jobs that are not known
        self._stands = orders.Stands(FolderState.OFFLINE, NOT_LOOKED_AT)
        self._failures = 0  # in a row
        self._look_at = self._looked_at = clock.monotonic()  # the next one, the end of the last
        self._look_seconds = 0.0  # that it took

    @property
    def manner(self) -> Manner:
        """How its inbox is watched now."""
        return self._watching.manner

    def submit(self, order: orders.Order) -> None:
        """Put an order at the end of the queue; its answer goes to `deliver`."""
        self._orders.put(order)

    def run(self) -> None:
        """Do orders until Quit, whatever one of them raises."""
        with self._lead.held():
            supervise(self._work, partial(self._tell_fault, "keeper"), self._hold_up_over)
        self._watching.leave()

    def _work(self) -> None:
        while not isinstance(order := self._next_order(), orders.Quit):
            self._order, self.is_at_work = order, True
            self._try(order)
            self._order, self.is_at_work = None, False
            if isinstance(order, orders.Look):
                self.failing_since = None

    def _tell_fault(self, part: str, fault: Fault) -> None:
        self._answer(orders.Told(thread_failed(f"{part} of {self.root}", fault)))

    def _hold_up_over(self, fault: Fault, _rest_seconds: float) -> None:
        """Hold up the order that met a fault of ours, as one that met a trouble of the share."""
        order, self._order, self.is_at_work = self._order, None, False
        if self._waiting and self._waiting[0] is order:
            self._waiting.popleft()  # it comes to its end below, or back
        self.failing_since = self.failing_since or self._clock.monotonic()
        if isinstance(order, orders.Write):
            return  # a line less in a log
        if isinstance(order, orders.Claim):  # others go on
            with contextlib.suppress(OSError):  # what cannot be looked at is no candidate for long
                now, reason = self._clock.monotonic(), f"{_FAULT} ({fault.words})"
                self._clerk.untouchables.add(order.candidate, reason, now, is_lasting=True)
        trouble = Trouble(FolderState.OFFLINE, f"{_FAULT} ({fault.words})")
        self._hold_up(order or orders.Look(), trouble)

    def _try(self, order: orders.Order) -> None:
        try:
            if absence := self._absence():
                self._hold_up(order, absence)
            else:
                if not isinstance(order, orders.Reconfigure):  # that is for us alone
                    self._lead.fence()
                self._do(order)
        except StandsBy as other:
            self._stand_by(order, other)
        except OSError as error:
            self._hold_up(order, self._trouble(error))

    def _trouble(self, error: OSError) -> Trouble:
        """What an error means: whatever was missed, a share that went meanwhile says it all."""
        with contextlib.suppress(OSError):
            if absence := self._absence():
                return absence
        return trouble_of(error, Path(self.root))

    def _next_order(self) -> orders.Order:
        while True:
            try:
                order = self._orders.get(timeout=max(0.0, self._look_at - self._clock.monotonic()))
            except queue.Empty:
                return orders.Look()
            if isinstance(order, orders.Look):
                self._look_soon()
            elif self._waiting and not isinstance(order, orders.Quit):
                self._waiting.append(order)
            else:
                return order

    def _hold_up(self, order: orders.Order, trouble: Trouble) -> None:
        self._stand(trouble.state, trouble.reason)
        self._failures += 1
        rest = rest_seconds(self._failures, once=self._watching.once)
        self._look_at = self._clock.monotonic() + rest
        match order:
            case orders.Look():
                pass
            case orders.Claim(candidate):
                self._clerk.room.refused(trouble)
                self._answer(orders.Lost(candidate))
                self._is_to_recover = True  # some of its files may have been moved already
            case _:
                self._is_to_recover |= isinstance(order, orders.Wish)
                self._waiting.appendleft(order)

    def _stand_by(self, order: orders.Order, other: StandsBy) -> None:
        """Leave everything to the daemon that leads; what is on scratch may be wanted later."""
        self._look_at = self._clock.monotonic() + _STANDBY_SECONDS
        self._is_to_recover = True
        put_off = self._clerk.leave()
        self._watching.leave()
        for held in (order, *self._waiting, *put_off):
            if isinstance(held, orders.Reconfigure):
                self.submit(held)
            elif answer := answer_to(held, other.reason):
                self._answer(answer)
        self._waiting.clear()
        self._stand(FolderState.STANDBY, other.reason, is_passing=not other.is_certain)

    def _do(self, order: orders.Order) -> None:
        match order:
            case orders.Look():
                self._look()
            case orders.Write(event, at):
                if reason := self._logbook.write(event, at):
                    told = FolderNotLogged(root=self.folder.root, reason=reason)
                    self._answer(orders.Told(told))
            case orders.Reconfigure(settings):
                self._reconfigure(settings)
            case orders.Quit():
                raise AssertionError  # ends the loop in run
            case _:
                if isinstance(order, orders.Claim | orders.GiveBack | orders.Wish):
                    self._look_soon()
                self._clerk.do(order)
                self._look_at = min(self._look_at, self._clerk.setbacks.due_at())

    def _look_soon(self) -> None:
        # A burst of reasons to look is answered by one look, and looking never fills the day.
        rested_at = self._looked_at + min(self._look_seconds, _REST_SECONDS)
        soon = max(self._clock.monotonic() + _HINT_SECONDS, rested_at)
        self._look_at = min(self._look_at, soon)

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._is_to_recover or self._clerk.has_to_recover(now):
            self._clerk.recover()
            self._is_to_recover = False
        self._work_off()  # before the look: what a claim takes is not in its plan
        self._clerk.try_again()
        plan = self._watching.look(now)
        self._look_at = now + self.manner.poll_seconds
        plan = self._clerk.untouchables.held_in(plan, now)
        today = day_of(self._clock.time())
        plan = self._clerk.setbacks.shown_in(self._clerk.wishes.tidied(plan, today))
        # Only now: an order that fails again must not make the folder flap.
        room = self._clerk.room.look(self.folder.min_free_gib)
        self._stand(room.state, room.reason or self._logbook.reason)
        if plan.look_again_at is not None:
            self._look_at = min(self._look_at, max(plan.look_again_at, now))
        self._look_at = min(
            self._look_at,
            self._clerk.setbacks.due_at(),
            self._clerk.untouchables.next_at(now),
        )
        self._answer(orders.Looked(plan))
        for swept in self._sweeper.sweep(self.folder, today, is_quiet=not plan.ready):
            self._answer(orders.Told(swept))
        self._looked_at = self._clock.monotonic()
        self._look_seconds = self._looked_at - now
        self._failures = 0

    def _work_off(self) -> None:
        while self._waiting:
            order = self._order = self._waiting[0]
            if isinstance(order, orders.Publish):
                self._clerk.do(order, again=True)
            else:
                self._do(order)
            self._waiting.popleft()
            self._order = None

    def _absence(self) -> Trouble | None:
        """What tells that the hot folder is not there; None: it is."""
        try:
            identity = folder_id(Path(self.root))
        except UserError as error:
            return Trouble(FolderState.OFFLINE, error.problems[0].what)
        if not self.identity:
            self.identity = identity
            self._clerk.serve(identity)
        if identity != self.identity:
            return Trouble(FolderState.OFFLINE, "another hot folder is mounted in its place")
        return None

    def _reconfigure(self, settings: Settings) -> None:
        self.folder = settings_file.folder_as_written(settings, self.folder.root)
        self._watching.reconfigure(self.folder, settings)
        self._clerk.tasks = self._clerk.tasks.with_settings(settings)
        self._look_at = self._clock.monotonic()

    def _stand(self, state: FolderState, reason: str, *, is_passing: bool = False) -> None:
        if state is FolderState.OFFLINE:
            self._is_to_recover = True
            self._watching.leave()  # who comes back may be another file system
        if (state, reason) != (self._stands.state, self._stands.reason):
            self._stands = orders.Stands(state, reason, is_passing)
            self._answer(self._stands)

    def _answer(self, answer: orders.Answer) -> None:
        self._deliver(orders.FromKeeper(self.root, answer))
