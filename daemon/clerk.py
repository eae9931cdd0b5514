"""Does the orders on the job files of one hot folder, and tells what came of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import assert_never

from config.keys import Written
from config.problems import UserError
from daemon import orders, shelf, ticket
from daemon.clock import Clock, day_of
from daemon.job import Job, State
from daemon.receipt import hindered, in_the_way
from daemon.recovery import UNKNOWN, Left
from daemon.room import Room
from daemon.scratch import Scratch
from daemon.setbacks import Setbacks, job_of_order, stray_reason
from daemon.spool import Changed, Spool, Untouchable
from daemon.trouble import Scope, words_of
from daemon.untouchables import Untouchables, traits_of
from daemon.wishes import Wishes
from daemon.work import task


class Clerk:
    """Works for a keeper, in its thread; raises OSError where the share does not work."""

    def __init__(
        self,
        *,
        root: Path,
        spool: Spool,
        scratch: Path,
        clock: Clock,
        tasks: task.Tasks,
        presets_for: Callable[[str], tuple[Written, ...]],
        answer: Callable[[orders.Answer], None],
    ) -> None:
        self._root, self._spool, self._clock = root, spool, clock
        self.tasks = tasks
        self.room = Room(root, scratch, clock)
        self.untouchables = Untouchables(partial(traits_of, spool.ground))
        self.wishes = Wishes(spool, clock)
        self.setbacks = Setbacks()
        self._scratch = Scratch(scratch, "")
        self._presets_for, self._answer = presets_for, answer
        self._known: set[str] = set()  # jobs that the service knows
        self._announced: set[str] = set()  # of them, those whose results are out
        self._is_to_recover = False  # whether work/ may hold files of no job that is known

    def serve(self, identity: str) -> None:
        """Work from now on for the hot folder of this id."""
        self._scratch = Scratch(self._scratch.base, identity)

    def leave(self) -> tuple[orders.JobOrder, ...]:
        """Know of no job any more; what is on scratch may be wanted later.

        Gives the orders that were put off.
        """
        left = self.setbacks.put_off_orders()
        self._known, self._announced = set(), set()
        self.setbacks.clear()
        return left

    def do(self, order: orders.JobOrder, *, again: bool = False) -> None:
        """Do an order, and answer it; where one job alone is in trouble, now or later.

        `again`: it was begun before.
        """
        job = job_of_order(order)
        try:
            if again and isinstance(order, orders.Publish):
                self._clear_half_done(order)  # half of it may be out
            self._do(order)
        except OSError as error:
            if isinstance(order, orders.Claim) or self._scope_of(error, order) is not Scope.JOB:
                raise
            if job is not None:
                self._set_back(job, order, error)
            elif isinstance(order, orders.Wish):
                self._is_to_recover = True  # some of its files may have been moved already
                self._answer(self.wishes.refusal(order, error))
        else:
            if job is not None:
                self.setbacks.over(job.job_id)

    def try_again(self) -> None:
        """Do the orders that were put off until now; raises what is the hot folder's trouble."""
        for order in self.setbacks.due(self._clock.monotonic()):
            self.do(order, again=True)

    def _scope_of(self, error: OSError, order: orders.JobOrder) -> Scope:
        sizes: tuple[int, ...] = ()
        if isinstance(order, orders.Publish):
            with contextlib.suppress(FileNotFoundError):  # the cache was emptied: it is seen soon
                sizes = shelf.sizes(order.finished)
        return self._spool.scope_of(error, sum(sizes))

    def _set_back(self, job: Job, order: orders.JobOrder, error: OSError) -> None:
        """Put an order off; where that was of no use, the job fails, or is held at least."""
        now = self._clock.monotonic()
        if self.setbacks.put_off(job, order, now):
            return
        what, advice = words_of(error, self._root)
        match order:
            case orders.Publish(finished) if job.job_id not in self._announced:
                with contextlib.suppress(OSError):
                    self._clear_half_done(order)
                why = hindered(f"the result cannot be written to {what}", advice)
                self.do(orders.FileFailed(job, why, finished.task.instruction))
            case orders.Resume():
                why = hindered(f"its files cannot be used: {what}", advice)
                self.do(orders.FileFailed(job, why, "{}"))
            case _:
                self._hold(job, error)

    def _hold(self, job: Job, error: OSError) -> None:
        what, advice = words_of(error, self._root)
        reason = stray_reason(job.job_id, what, advice)
        self.setbacks.hold(job.job_id, job.path, reason, self._clock.monotonic())
        self._known.discard(job.job_id)
        self._announced.discard(job.job_id)
        self._answer(orders.Held(job))

    def _do(self, order: orders.JobOrder) -> None:  # noqa: C901 - one arm an order
        match order:
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
            case orders.Forget(job):
                self._forget(job)
            case orders.Withdraw() | orders.TakeAway() | orders.TakeBack():
                self._answer(self.wishes.grant(order, self._today()))
            case orders.GiveBack(job):
                self._spool.give_back(job)
                self._forget(job)
                self._answer(orders.GivenBack(job))
            case _:
                assert_never(order)

    def _clear_half_done(self, order: orders.Publish) -> None:
        job = order.finished.task.job
        self._spool.publication(job.job_id).clear_half_done(job)

    def _claim(self, order: orders.Claim) -> None:
        now, unix_now = self._clock.monotonic(), self._clock.time()
        drawn = ticket.draw(unix_now, waited_seconds=now - order.candidate.since)
        try:
            job = self._spool.claim(order.candidate, order.kept, drawn)
            self._take_up(job, order.candidate.problems)
            self.room.sufficed()
        except Changed:
            self._answer(orders.Lost(order.candidate))
        except Untouchable as error:
            now = self._clock.monotonic()
            self.untouchables.add(order.candidate, str(error), now, is_lasting=error.is_lasting)
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
        except OSError as error:
            own = self._spool.untouchable(error, job)
            self._spool.give_back(job)
            self._forget(job)
            raise own from error
        try:
            presets = self._presets_for(job.folder)
        except UserError as error:
            presets, problems = (), problems or error.problems
        self._known.add(job.job_id)
        self._answer(self.tasks.read(job, scratch, presets, problems))

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
                results = publication.publish(order.finished, self._times(), order.replaces)
            except (NotADirectoryError, FileExistsError) as error:
                if Path(str(error.filename)).parent == self._root:
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
        where = self.wishes.file(job, state, self._today())
        if state is not State.CANCELLED:  # somebody may still be at its scratch
            self._forget(job)
        self._answer(orders.Filed(job, state, where, "", "", order.earlier))

    def _file_failed(self, order: orders.FileFailed) -> None:
        job, why = order.job, order.why
        where = self._spool.file_failed(job, self._today(), why, order.instruction)
        self._forget(job)
        self._answer(orders.Filed(job, why.state, where, why.cause, why.advice))

    def has_to_recover(self, now: float) -> bool:
        """Whether there may be something in work/ that it is time to look after."""
        return self._is_to_recover or self.setbacks.has_due_strays(now)

    def recover(self) -> None:
        """Tell of the jobs that lie in work/ and are not known; finish what needs no editor."""
        self._is_to_recover = False
        found_there = self._spool.recover(self._unreadable)
        lefts = [left for left in found_there if left.job.job_id not in self._known]
        unfinished = [left.job for left in lefts if not self._is_over(left)]
        self._known.update(job.job_id for job in unfinished)
        found = (shelf.find(job, self._scratch.of(job.job_id)) for job in unfinished)
        finished = {it.task.job.job_id: it for it in found if it is not None}
        begun = tuple(job for job in unfinished if job.job_id not in finished)
        self._answer(orders.Recovered(begun))
        for it in finished.values():
            self._answer(orders.Shelved(it))
        self._scratch.keep_only(self._known | self.setbacks.strays())

    def _unreadable(self, folder: Path, error: OSError) -> None:
        """Leave alone what lies in work/ and cannot be looked at; raises what is not its own."""
        if self._spool.scope_of(error) is not Scope.JOB:
            raise error
        reason = stray_reason(folder.name, *words_of(error, self._root))
        path = str(folder.relative_to(self._root))
        self.setbacks.hold(folder.name, path, reason, self._clock.monotonic())

    def _is_over(self, left: Left) -> bool:
        """Whether nothing is left to be done now for what lay in work/."""
        job_id = left.job.job_id
        try:
            is_cleared = self._is_cleared(left)
        except OSError as error:
            if self._spool.scope_of(error) is not Scope.JOB:
                raise
            self._hold(left.job, error)
            return True
        if is_cleared:
            self.setbacks.over(job_id)
        else:
            self.setbacks.taken_up(job_id)
        return is_cleared

    def _is_cleared(self, left: Left) -> bool:
        job, publication = left.job, self._spool.publication(left.job.job_id)
        if not left.is_known:
            self._file_failed(orders.FileFailed(job, UNKNOWN, "{}"))
        elif (failing := left.failing) is not None:
            self._file_failed(orders.FileFailed(job, failing.why, failing.instruction))
        elif job.ending is not None:
            where = self.wishes.file(job, job.ending, self._today())
            self._answer(orders.Filed(job, job.ending, where, "", ""))
        elif publication.is_complete(job):
            if shelf.find(job, self._scratch.of(job.job_id)) is not None:
                return False  # it ends as any other: published, told of, filed
            self._answer(orders.FoundPublished(job, publication.results(job)))
            self._spool.file_done(job, self._today())
        elif not left.is_begun:
            self._spool.give_back(job)
        else:
            publication.clear_half_done(job)
            return False
        self._forget(job)
        return True

    def _forget(self, job: Job) -> None:
        self._known.discard(job.job_id)
        self._announced.discard(job.job_id)
        self._scratch.drop(job.job_id)

    def _times(self) -> Iterator[float]:
        while True:
            yield self._clock.time()

    def _today(self) -> str:
        return day_of(self._clock.time())
