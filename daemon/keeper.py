"""The thread of one hot folder: it alone touches the share, so a hanging share stops only it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Protocol, assert_never

from config import settings as settings_file
from config.problems import UserError
from config.settings import FolderSettings, Settings
from daemon import ticket
from daemon.inbox.manner import Manner, manner_of, rules_of
from daemon.inbox.survey import Survey
from daemon.job import FolderState, Job, Plan, Seen, State, without
from daemon.log.logbook import Logbook
from daemon.orders import (
    Answer,
    Claim,
    Filed,
    FileDone,
    FileFailed,
    FromKeeper,
    GiveBack,
    GivenBack,
    Look,
    Looked,
    Lost,
    Order,
    Publish,
    Published,
    Quit,
    Reconfigure,
    Recovered,
    Resume,
    Stands,
    Vanished,
    Write,
)
from daemon.receipt import Finished, in_the_way
from daemon.recovery import UNKNOWN, Left
from daemon.spool import Changed, Spool, Untouchable, folder_id, may_not
from daemon.trouble import Trouble, trouble_of
from daemon.work import task

_HINT_SECONDS = 0.1  # events come in bursts: one look answers all of them
_REST_SECONDS = 0.5  # at the most, between two looks at a full inbox
_TROUBLE_SECONDS = 2.0
_FORGIVE_SECONDS = 300.0


class Clock(Protocol):
    """Time, from outside."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...

    def time(self) -> float:
        """Unix time."""
        ...


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
        deliver: Callable[[FromKeeper], None],
        tasks: task.Tasks,
    ) -> None:
        super().__init__(name=f"keeper of {folder.root}", daemon=True)
        self.root = str(folder.root)
        self.folder, self.manner = folder, manner
        self.identity = folder_id(folder.root)
        self._spool = Spool(folder.root)
        self._logbook = Logbook(folder.root / "logs")
        self._survey, self._scratch = survey, scratch
        self._clock, self._deliver, self._tasks = clock, deliver, tasks
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._waiting: deque[Order] = deque()  # orders that a trouble holds up
        self._known: set[str] = set()  # jobs that the service knows
        self._announced: set[str] = set()  # of them, those whose results are out
        self._is_to_recover = True  # whether work/ may hold jobs that are not known
        self._untouchable: Mapping[Seen, str] = {}  # images that we may not take, and why
        self._forgive_at = clock.monotonic() + _FORGIVE_SECONDS
        self._stands = Stands(FolderState.OFFLINE, "not looked at yet")
        self._look_at = clock.monotonic()
        self._looked_at = self._look_at  # the end of the last look
        self._look_seconds = 0.0  # that it took

    def submit(self, order: Order) -> None:
        """Put an order at the end of the queue; its answer goes to `deliver`."""
        self._orders.put(order)

    def run(self) -> None:
        """Do orders until Quit."""
        while not isinstance(order := self._next_order(), Quit):
            try:
                if self._is_mounted():
                    self._do(order)
                else:
                    self._hold_up(order, Trouble(self._stands.state, self._stands.reason))
            except OSError as error:
                self._hold_up(order, trouble_of(error, Path(self.root)))

    def _next_order(self) -> Order:
        while True:
            try:
                order = self._orders.get(timeout=max(0.0, self._look_at - self._clock.monotonic()))
            except queue.Empty:
                return Look()
            if isinstance(order, Look):
                self._look_soon()
            elif self._waiting and not isinstance(order, Quit):
                self._waiting.append(order)
            else:
                return order

    def _hold_up(self, order: Order, trouble: Trouble) -> None:
        self._stand(trouble.state, trouble.reason)
        self._look_at = self._clock.monotonic() + _TROUBLE_SECONDS
        match order:
            case Look():
                pass
            case Claim(candidate):
                self._answer(Lost(candidate))
                self._is_to_recover = True  # some of its files may have been moved already
            case _:
                self._waiting.appendleft(order)

    def _do(self, order: Order) -> None:  # noqa: C901 - one arm an order
        match order:
            case Look():
                self._look()
            case Claim():
                self._claim(order)
            case Resume():
                self._resume(order)
            case Publish():
                self._publish(order)
            case FileFailed():
                self._file_failed(order)
            case FileDone(job, state, earlier):
                where = self._spool.file_done(job, self._today())
                self._forget(job)
                self._answer(Filed(job, state, where, "", "", earlier))
            case GiveBack(job):
                self._look_soon()
                self._spool.give_back(job)
                self._forget(job)
                self._answer(GivenBack(job))
            case Write(event, at):
                self._logbook.write(event, at)
            case Reconfigure():
                self._reconfigure(order.settings)
            case Quit():
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
        self._look_at = now + self.manner.poll_seconds
        if self._is_to_recover:
            self._recover()
        plan = self._survey.take(now)
        plan = self._without_untouchables(plan, now)
        self._work_off()
        # Only now: an order that fails again must not make the folder flap.
        self._stand(*self._space())
        if plan.look_again_at is not None:
            self._look_at = min(self._look_at, max(plan.look_again_at, now))
        self._answer(Looked(plan))
        self._looked_at = self._clock.monotonic()
        self._look_seconds = self._looked_at - now

    def _without_untouchables(self, plan: Plan, now: float) -> Plan:
        # A file whose permissions are mended is another Seen; a folder's are tried again in time.
        if now > self._forgive_at:
            self._forgive_at, self._untouchable = now + _FORGIVE_SECONDS, {}
        return without(plan, self._untouchable) if self._untouchable else plan

    def _work_off(self) -> None:
        while self._waiting:
            self._do(self._waiting[0])
            self._waiting.popleft()

    def _is_mounted(self) -> bool:
        try:
            identity = folder_id(Path(self.root))
        except UserError as error:
            self._stand(FolderState.OFFLINE, error.problems[0].what)
            return False
        if identity != self.identity:
            self._stand(FolderState.OFFLINE, "another hot folder is mounted in its place")
            return False
        return True

    def _space(self) -> tuple[FolderState, str]:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)  # caches get emptied
        for path in (Path(self.root), self._scratch):
            free = disk_usage(path).free
            if free < self.folder.min_free_gib * 2**30:
                reason = (
                    f"{path} has {free / 2**30:.1f} GiB free,"
                    f" less than {self.folder.min_free_gib:g} GiB"
                )
                return FolderState.LOW_SPACE, reason
        return FolderState.ONLINE, ""

    def _recover(self) -> None:
        lefts = [left for left in self._spool.recover() if left.job.job_id not in self._known]
        unfinished = [left.job for left in lefts if not self._is_cleared(left)]
        self._known.update(job.job_id for job in unfinished)
        self._answer(Recovered(tuple(unfinished)))
        self._is_to_recover = False

    def _is_cleared(self, left: Left) -> bool:
        """Whether nothing is left to be done for what lay in work/."""
        job, publication = left.job, self._spool.publication(left.job.job_id)
        if not left.is_known:
            self._file_failed(FileFailed(job, UNKNOWN, "{}"))
        elif publication.is_complete(job):
            self._spool.file_done(job, self._today())
        elif not left.is_begun:
            self._spool.give_back(job)
        else:
            publication.clear_half_done(job)
            return False
        self._forget(job)
        return True

    def _claim(self, order: Claim) -> None:
        now, unix_now = self._clock.monotonic(), self._clock.time()
        self._look_soon()
        drawn = ticket.draw(unix_now, waited_seconds=now - order.candidate.since)
        try:
            job = self._spool.claim(order.candidate, order.kept, drawn)
            self._take_up(job, order.candidate.problems)
        except Changed:
            self._answer(Lost(order.candidate))
        except Untouchable as error:
            self._untouchable = {**self._untouchable, order.candidate.image: str(error)}
            self._answer(Lost(order.candidate))

    def _resume(self, order: Resume) -> None:
        try:
            job = self._spool.count_end(order.job, strike=order.strike, alone=order.alone)
        except FileNotFoundError:
            self._give_up(order.job)
            return
        with contextlib.suppress(Untouchable):  # it is in the inbox again; its next claim says why
            self._take_up(job, ())
            return
        self._answer(Vanished(job))

    def _take_up(self, job: Job, problems: task.Problems) -> None:
        scratch = self._scratch / job.job_id
        try:
            job = self._spool.begin_attempt(self._spool.copy_to_scratch(job, scratch))
        except FileNotFoundError:
            self._give_up(job)
            return
        except PermissionError as error:
            self._spool.give_back(job)
            self._forget(job)
            raise Untouchable(may_not(error)) from error
        try:
            presets = self._survey.presets_for(job.folder)
        except UserError as error:
            presets, problems = (), problems or error.problems
        self._known.add(job.job_id)
        self._answer(self._tasks.read(job, scratch, presets, problems))

    def _give_up(self, job: Job) -> None:
        self._spool.give_back(job)
        self._forget(job)
        self._answer(Vanished(job))

    def _publish(self, order: Publish) -> None:
        job = order.finished.task.job
        publication = self._spool.publication(job.job_id)
        if job.job_id not in self._announced:
            if not _is_on_scratch(order.finished):
                publication.clear_half_done(job)
                self._answer(Recovered((job,)))
                return
            try:
                results = publication.publish(
                    order.finished, self._times(), "outbox", order.replaces
                )
            except (NotADirectoryError, FileExistsError) as error:
                why = in_the_way(error)
                self._file_failed(FileFailed(job, why, order.finished.task.instruction))
                return
            self._answer(Published(order.finished, results))
            self._announced.add(job.job_id)
        where = self._spool.file_done(job, self._today())
        self._forget(job)
        self._answer(Filed(job, State.DONE, where, "", ""))

    def _file_failed(self, order: FileFailed) -> None:
        job, why = order.job, order.why
        where = self._spool.file_failed(job, self._today(), why, order.instruction)
        self._forget(job)
        self._answer(Filed(job, why.state, where, why.cause, why.advice))

    def _reconfigure(self, settings: Settings) -> None:
        self.folder = settings_file.folder(settings, self.folder.root)
        self.manner = manner_of(self.folder)
        rules = rules_of(self.folder, self.manner, final=self._survey.rules.final)
        self._survey.reconfigure(rules, settings)
        self._tasks = self._tasks.with_settings(settings)
        self._look_at = self._clock.monotonic()

    def _forget(self, job: Job) -> None:
        self._known.discard(job.job_id)
        self._announced.discard(job.job_id)
        rmtree(self._scratch / job.job_id, ignore_errors=True)

    def _stand(self, state: FolderState, reason: str) -> None:
        self._is_to_recover |= state is FolderState.OFFLINE
        if (state, reason) != (self._stands.state, self._stands.reason):
            self._stands = Stands(state, reason)
            self._answer(self._stands)

    def _times(self) -> Iterator[float]:
        while True:
            yield self._clock.time()

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock.time(), UTC).astimezone().strftime("%Y-%m-%d")

    def _answer(self, answer: Answer) -> None:
        self._deliver(FromKeeper(self.root, answer))


def _is_on_scratch(finished: Finished) -> bool:
    """Whether the results are still there; somebody may have emptied the cache."""
    return all(variant.composed.path.exists() for variant in finished.variants)
