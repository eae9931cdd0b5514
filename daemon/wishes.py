"""What people want done with files beside editing: taken back, cancelled, tidied away."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from config.problems import Problem, UserError
from daemon import orders, ticket
from daemon.clock import Clock
from daemon.inbox.cancels import Withdrawal
from daemon.inbox.names import Kind, kind_of, printable
from daemon.job import Candidate, Job, Plan, Seen, State
from daemon.revival import revive
from daemon.spool import Changed, Spool, Untouchable, may_not
from daemon.trouble import Scope, words_of

_TRIES = 3  # of a claim, where a copier is writing at this moment
_BEING_WRITTEN = "it is being written to; cancel it again in a moment"


class Wishes:
    """Grants the wishes that touch one hot folder; each may be granted again after an error."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool, self._clock = spool, clock

    def grant(self, wish: orders.Wish, day: str) -> orders.Answer:
        """Do it and tell what came of it; raises OSError where the share does not work."""
        match wish:
            case orders.Withdraw():
                return self._withdraw(wish, day)
            case orders.TakeAway(file):
                return self._take_away(file, day)
            case orders.TakeBack(folder):
                return self._take_back(folder)
            case _:
                assert_never(wish)

    def refusal(self, wish: orders.Wish, error: OSError) -> orders.Answer:
        """The answer to a wish that an error hinders which is of its own files."""
        what, advice = words_of(error, self._spool.root)
        match wish:
            case orders.Withdraw(withdrawal):
                return orders.NotWithdrawn(withdrawal.image, f"{what}; {advice}")
            case orders.TakeAway(file):
                return orders.TakenAway(file, "", f"{what}; {advice}")
            case orders.TakeBack(folder):
                return orders.TakenBack(folder, (), (Problem(printable(folder), what, advice),))
            case _:
                assert_never(wish)

    def file(self, job: Job, state: State, day: str) -> str:
        """File a job without a result; once begun it is finished, whatever ends the daemon."""
        return self._spool.file_done(self._spool.begin_ending(job, state), day)

    def tidied(self, plan: Plan, day: str) -> Plan:
        """Move the papers of earlier failures to done/; returns the plan without them."""
        answers = [self._take_away(paper, day) for paper in plan.own_papers]
        gone = {answer.file.path for answer in answers if answer.where}
        if not gone:
            return plan
        return replace(
            plan,
            own_papers=tuple(it for it in plan.own_papers if it.path not in gone),
            ignored=tuple(it for it in plan.ignored if it.path not in gone),
        )

    def _withdraw(self, wish: orders.Withdraw, day: str) -> orders.Filed | orders.NotWithdrawn:
        path, drawn = wish.withdrawal.image, ticket.draw(self._clock.time(), waited_seconds=0.0)
        for _ in range(_TRIES):
            candidate = self._candidate(wish.withdrawal)
            if candidate is None:
                return orders.NotWithdrawn(path, "it is not there any more")
            try:
                job = self._spool.claim(candidate, wish.withdrawal.kept, drawn)
            except Changed:
                continue
            except Untouchable as error:
                return orders.NotWithdrawn(path, str(error))
            where = self.file(job, State.CANCELLED, day)
            return orders.Filed(job, State.CANCELLED, where, "", "")
        return orders.NotWithdrawn(path, _BEING_WRITTEN)

    def _candidate(self, withdrawal: Withdrawal) -> Candidate | None:
        """The files as they are now: a cancelled one need not have settled."""
        image = self._seen(withdrawal.image)
        if image is None:
            return None
        others = [it for it in map(self._seen, withdrawal.others) if it is not None]
        sidecars = [it for it in others if kind_of(it.name) is Kind.SIDECAR]
        sidecar = sidecars[0] if sidecars else None
        return Candidate(
            image=image,
            sidecar=sidecar,
            companions=tuple(it for it in others if it != sidecar),
            priority=0,
            since=self._clock.monotonic(),
            problems=(),
        )

    def _seen(self, path: str) -> Seen | None:
        try:
            status = self._spool.ground.status(self._spool.inbox / path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return Seen(path, status.st_size, *times, status.st_ino)

    def _take_away(self, file: Seen, day: str) -> orders.TakenAway:
        try:
            where = self._spool.take_away(file, day)
        except (Changed, FileNotFoundError):
            return orders.TakenAway(file, "", "")
        except PermissionError as error:
            return orders.TakenAway(file, "", may_not(error))
        except OSError as error:
            if self._spool.scope_of(error) is not Scope.JOB:
                raise
            what, advice = words_of(error, self._spool.root)
            return orders.TakenAway(file, "", f"{what}; {advice}")
        return orders.TakenAway(file, where, "")

    def _take_back(self, folder: str) -> orders.TakenBack:
        drawn = ticket.draw(self._clock.time(), waited_seconds=0.0)
        try:
            paths = revive(self._spool, self._spool.root / folder, drawn)
            return orders.TakenBack(folder, paths, ())
        except UserError as error:
            return orders.TakenBack(folder, (), error.problems)
        except Untouchable as error:
            problem = Problem(printable(folder), str(error), "or move the files back yourself")
            return orders.TakenBack(folder, (), (problem,))
