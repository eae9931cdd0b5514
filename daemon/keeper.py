"""The thread of one hot folder: it alone touches the share, so a hanging share stops only it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import assert_never

from config import settings as settings_file
from config.problems import UserError
from config.settings import FolderSettings, Settings
from daemon import orders, shelf, ticket
from daemon.clock import Clock
from daemon.inbox.manner import Manner
from daemon.inbox.survey import Survey
from daemon.inbox.watching import Watching
from daemon.job import FolderState, Job, State
from daemon.lease.campaign import PERIODS, Periods
from daemon.lease.deference import answer_to
from daemon.lease.lead import StandsBy, lead_of
from daemon.log.logbook import Logbook
from daemon.log.story import FolderDegraded
from daemon.receipt import in_the_way
from daemon.recovery import UNKNOWN, Left
from daemon.retention import Sweeper
from daemon.room import Room
from daemon.scratch import Scratch
from daemon.spool import Changed, Spool, Untouchable, folder_id, may_not
from daemon.trouble import NOT_LOOKED_AT, Trouble, rest_seconds, trouble_of
from daemon.untouchables import Untouchables
from daemon.wishes import Wishes
from daemon.work import task

_HINT_SECONDS = 0.1  # events come in bursts: one look answers all of them
_REST_SECONDS = 0.5  # at the most, between two looks at a full inbox
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
        self._lead = lead_of(folder.root, lambda: self.identity, periods, wake)
        self._spool = Spool(folder.root, self._lead.fence)
        self._wishes = Wishes(self._spool, clock)
        self._logbook = Logbook(folder.root / "logs")
        self._scratch = Scratch(scratch, self.identity)
        self._room = Room(folder.root, scratch, clock)
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
        self._clock, self._deliver, self._tasks = clock, deliver, tasks
        self._orders: queue.SimpleQueue[orders.Order] = queue.SimpleQueue()
        self._waiting: deque[orders.Order] = deque()  # orders that a trouble holds up
        self._known: set[str] = set()  # jobs that the service knows
        self._announced: set[str] = set()  # of them, those whose results are out
        self._is_to_recover = True  # whether work/ may hold jobs that are not known
        self._untouchables = Untouchables(clock.monotonic())
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
        """Do orders until Quit."""
        with self._lead.held():
            while not isinstance(order := self._next_order(), orders.Quit):
                self.is_at_work = True
                self._try(order)
                self.is_at_work = False
        self._watching.leave()

    def _try(self, order: orders.Order) -> None:
        try:
            if self._is_mounted():
                if not isinstance(order, orders.Reconfigure):  # that is for us alone
                    self._lead.fence()
                self._do(order)
            else:
                self._hold_up(order, Trouble(self._stands.state, self._stands.reason))
        except StandsBy as other:
            self._stand_by(order, other)
        except OSError as error:
            self._hold_up(order, trouble_of(error, Path(self.root)))

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
                self._room.refused(trouble)
                self._answer(orders.Lost(candidate))
                self._is_to_recover = True  # some of its files may have been moved already
            case _:
                self._is_to_recover |= isinstance(order, orders.Wish)
                self._waiting.appendleft(order)

    def _stand_by(self, order: orders.Order, other: StandsBy) -> None:
        """Leave everything to the daemon that leads; what is on scratch may be wanted later."""
        self._look_at = self._clock.monotonic() + _STANDBY_SECONDS
        self._is_to_recover = True
        self._known, self._announced = set(), set()
        self._watching.leave()
        for held in (order, *self._waiting):
            if isinstance(held, orders.Reconfigure):
                self.submit(held)
            elif answer := answer_to(held, other.reason):
                self._answer(answer)
        self._waiting.clear()
        self._stand(FolderState.STANDBY, other.reason, is_passing=not other.is_certain)

    def _do(self, order: orders.Order) -> None:  # noqa: C901 - one arm an order
        match order:
            case orders.Look():
                self._look()
            case orders.Claim():
                self._claim(order)
            case orders.Resume():
                self._resume(order)
            case orders.Publish():
                self._publish(order)
            case orders.FileFailed():
                self._file_failed(order)
            case orders.FileDone():
                self._file_done(order)
            case orders.Forget() | orders.Withdraw() | orders.TakeAway() | orders.TakeBack():
                self._grant(order)
            case orders.GiveBack(job):
                self._look_soon()
                self._spool.give_back(job)
                self._forget(job)
                self._answer(orders.GivenBack(job))
            case orders.Write(event, at):
                self._logbook.write(event, at)
            case orders.Reconfigure():
                self._reconfigure(order.settings)
            case orders.Quit():
                raise AssertionError  # ends the loop in run
            case _:
                assert_never(order)

    def _look_soon(self) -> None:
        # A burst of reasons to look is answered by one look, and looking never fills the day.
        rested_at = self._looked_at + min(self._look_seconds, _REST_SECONDS)
        soon = max(self._clock.monotonic() + _HINT_SECONDS, rested_at)
        self._look_at = min(self._look_at, soon)

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._is_to_recover:
            self._recover()
        plan = self._watching.look(now)
        self._look_at = now + self.manner.poll_seconds
        plan = self._untouchables.held_in(plan, now)
        self._work_off()
        plan = self._wishes.tidied(plan, self._today())
        # Only now: an order that fails again must not make the folder flap.
        room = self._room.look(self.folder.min_free_gib)
        self._stand(room.state, room.reason)
        self._failures = 0
        if plan.look_again_at is not None:
            self._look_at = min(self._look_at, max(plan.look_again_at, now))
        self._answer(orders.Looked(plan))
        for swept in self._sweeper.sweep(self.folder, self._today(), is_quiet=not plan.ready):
            self._answer(orders.Told(swept))
        self._looked_at = self._clock.monotonic()
        self._look_seconds = self._looked_at - now

    def _work_off(self) -> None:
        while self._waiting:
            order = self._waiting[0]
            if isinstance(order, orders.Publish):  # half of it may be out since the last try
                job = order.finished.task.job
                self._spool.publication(job.job_id).clear_half_done(job)
            self._do(order)
            self._waiting.popleft()

    def _is_mounted(self) -> bool:
        try:
            identity = folder_id(Path(self.root))
        except UserError as error:
            self._stand(FolderState.OFFLINE, error.problems[0].what)
            return False
        if not self.identity:
            self.identity = identity
            self._scratch = Scratch(self._scratch.base, identity)
        if identity != self.identity:
            self._stand(FolderState.OFFLINE, "another hot folder is mounted in its place")
            return False
        return True

    def _recover(self) -> None:
        lefts = [left for left in self._spool.recover() if left.job.job_id not in self._known]
        unfinished = [left.job for left in lefts if not self._is_cleared(left)]
        self._known.update(job.job_id for job in unfinished)
        found = (shelf.find(job, self._scratch.of(job.job_id)) for job in unfinished)
        finished = {it.task.job.job_id: it for it in found if it is not None}
        begun = tuple(job for job in unfinished if job.job_id not in finished)
        self._answer(orders.Recovered(begun))
        for it in finished.values():
            self._answer(orders.Shelved(it))
        self._scratch.keep_only(self._known)
        self._is_to_recover = False

    def _is_cleared(self, left: Left) -> bool:
        """Whether nothing is left to be done for what lay in work/."""
        job, publication = left.job, self._spool.publication(left.job.job_id)
        if not left.is_known:
            self._file_failed(orders.FileFailed(job, UNKNOWN, "{}"))
        elif job.ending is not None:
            where = self._wishes.file(job, job.ending, self._today())
            self._answer(orders.Filed(job, job.ending, where, "", ""))
        elif publication.is_complete(job):
            self._spool.file_done(job, self._today())
        elif not left.is_begun:
            self._spool.give_back(job)
        else:
            publication.clear_half_done(job)
            return False
        self._forget(job)
        return True

    def _claim(self, order: orders.Claim) -> None:
        now, unix_now = self._clock.monotonic(), self._clock.time()
        self._look_soon()
        drawn = ticket.draw(unix_now, waited_seconds=now - order.candidate.since)
        try:
            job = self._spool.claim(order.candidate, order.kept, drawn)
            self._take_up(job, order.candidate.problems)
            self._room.sufficed()
        except Changed:
            self._answer(orders.Lost(order.candidate))
        except Untouchable as error:
            self._untouchables.add(order.candidate.image, str(error))
            self._answer(orders.Lost(order.candidate))

    def _resume(self, order: orders.Resume) -> None:
        try:
            job = self._spool.count_end(
                order.job, strike=order.strike, alone=order.alone, counts=order.counts
            )
        except FileNotFoundError:
            self._give_up(order.job)
            return
        with contextlib.suppress(Untouchable):  # it is in the inbox again; its next claim says why
            self._take_up(job, ())
            return
        self._answer(orders.Vanished(job))

    def _take_up(self, job: Job, problems: task.Problems) -> None:
        scratch = self._scratch.of(job.job_id)
        try:
            job = self._spool.begin_attempt(self._spool.copy_to_scratch(job, scratch))
        except (FileNotFoundError, Changed):
            self._give_up(job)
            return
        except PermissionError as error:
            self._spool.give_back(job)
            self._forget(job)
            raise Untouchable(may_not(error)) from error
        try:
            presets = self._watching.presets_for(job.folder)
        except UserError as error:
            presets, problems = (), problems or error.problems
        self._known.add(job.job_id)
        self._answer(self._tasks.read(job, scratch, presets, problems))

    def _give_up(self, job: Job) -> None:
        self._spool.give_back(job)
        self._forget(job)
        self._answer(orders.Vanished(job))

    def _publish(self, order: orders.Publish) -> None:
        job = order.finished.task.job
        publication = self._spool.publication(job.job_id)
        if job.job_id not in self._announced:
            if not shelf.is_there(order.finished):
                publication.clear_half_done(job)
                self._answer(orders.Recovered((job,)))
                return
            try:
                results = publication.publish(
                    order.finished, self._times(), "outbox", order.replaces
                )
            except (NotADirectoryError, FileExistsError) as error:
                if Path(str(error.filename)).parent == Path(self.root):
                    raise  # the outbox itself: no job is to blame
                why = in_the_way(error)
                self._file_failed(orders.FileFailed(job, why, order.finished.task.instruction))
                return
            self._answer(orders.Published(order.finished, results))
            self._announced.add(job.job_id)
        where = self._spool.file_done(job, self._today())
        self._forget(job)
        self._answer(orders.Filed(job, State.DONE, where, "", ""))

    def _file_done(self, order: orders.FileDone) -> None:
        job, state = order.job, order.state
        where = self._wishes.file(job, state, self._today())
        if state is not State.CANCELLED:  # somebody may still be at its scratch
            self._forget(job)
        self._answer(orders.Filed(job, state, where, "", "", order.earlier))

    def _grant(self, wish: orders.Forget | orders.Wish) -> None:
        if isinstance(wish, orders.Forget):
            self._forget(wish.job)
            return
        self._look_soon()
        self._answer(self._wishes.grant(wish, self._today()))

    def _file_failed(self, order: orders.FileFailed) -> None:
        job, why = order.job, order.why
        where = self._spool.file_failed(job, self._today(), why, order.instruction)
        self._forget(job)
        self._answer(orders.Filed(job, why.state, where, why.cause, why.advice))

    def _reconfigure(self, settings: Settings) -> None:
        self.folder = settings_file.folder_as_written(settings, self.folder.root)
        self._watching.reconfigure(self.folder, settings)
        self._tasks = self._tasks.with_settings(settings)
        self._look_at = self._clock.monotonic()

    def _forget(self, job: Job) -> None:
        self._known.discard(job.job_id)
        self._announced.discard(job.job_id)
        self._scratch.drop(job.job_id)

    def _stand(self, state: FolderState, reason: str, *, is_passing: bool = False) -> None:
        if state is FolderState.OFFLINE:
            self._is_to_recover = True
            self._watching.leave()  # who comes back may be another file system
        if (state, reason) != (self._stands.state, self._stands.reason):
            self._stands = orders.Stands(state, reason, is_passing)
            self._answer(self._stands)

    def _times(self) -> Iterator[float]:
        while True:
            yield self._clock.time()

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock.time(), UTC).astimezone().strftime("%Y-%m-%d")

    def _answer(self, answer: orders.Answer) -> None:
        self._deliver(orders.FromKeeper(self.root, answer))
