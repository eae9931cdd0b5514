"""What people ask of files beside editing: cancelled while they wait, filed away, or requeued."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from config.problems import Problem, UserError
from daemon.clock import Clock, day_of
from daemon.folder import messages
from daemon.fs.errors import Scope, words_of
from daemon.fs.names import Kind, kind_of, printable
from daemon.inbox.cancel_files import WaitingJob
from daemon.job import Candidate, Job, Plan, Seen, State
from daemon.spool.again import edit_again
from daemon.spool.records import new_ticket
from daemon.spool.requeue import requeue
from daemon.spool.spool import ChangedMeanwhile, NotPermitted, Spool, may_not
from daemon.spool.verdicts import Verdict, Verdicts

_TRIES = 3  # of a claim, where a copier is writing at this moment
_BEING_WRITTEN = "it is being written to; cancel it again in a moment"


class FileRequests:
    """Grants the requests that touch one hot folder; each may be granted again after an error."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool, self._clock = spool, clock

    def grant(self, request: messages.FileRequest) -> messages.FolderReply:
        """Do it and tell what came of it; raises OSError where the share does not work."""
        match request:
            case messages.CancelWaiting():
                return self._cancel_waiting(request)
            case messages.FileAway(file):
                return self._file_away(file)
            case messages.Requeue(folder):
                return self._requeue(folder)
            case messages.EditAgain() | messages.Judge():
                return self._handle_result(request)
            case _:
                assert_never(request)

    def file(self, job: Job, state: State) -> str:
        """File a job without a result; once begun it is finished, whatever ends the daemon."""
        return self._spool.file_done(self._spool.begin_ending(job, state), self._today())

    def tidied(self, plan: Plan) -> Plan:
        """Move the records of earlier failures to done/; returns the plan without them."""
        answers = [self._file_away(record) for record in plan.own_reports]
        gone = {reply.file.path for reply in answers if reply.where}
        if not gone:
            return plan
        return replace(
            plan,
            own_reports=tuple(it for it in plan.own_reports if it.path not in gone),
            ignored=tuple(it for it in plan.ignored if it.path not in gone),
        )

    def _cancel_waiting(
        self, request: messages.CancelWaiting
    ) -> messages.Filed | messages.CancelRefused:
        path = request.waiting_job.image
        drawn = new_ticket(self._clock.time(), waited_seconds=0.0)
        for _ in range(_TRIES):
            candidate = self._candidate(request.waiting_job)
            if candidate is None:
                return messages.CancelRefused(path, "it is not there any more")
            try:
                job = self._spool.claim(candidate, request.waiting_job.kept, drawn)
            except ChangedMeanwhile:
                continue
            except NotPermitted as error:
                return messages.CancelRefused(path, str(error))
            where = self.file(job, State.CANCELLED)
            return messages.Filed(job, State.CANCELLED, where, "", "")
        return messages.CancelRefused(path, _BEING_WRITTEN)

    def _candidate(self, waiting_job: WaitingJob) -> Candidate | None:
        """The files as they are now: a cancelled one need not have settled."""
        image = self._seen(waiting_job.image)
        if image is None:
            return None
        others = [it for it in map(self._seen, waiting_job.others) if it is not None]
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
            status = self._spool.tree.status(self._spool.inbox / path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return Seen(path, status.st_size, *times, status.st_ino)

    def _file_away(self, file: Seen) -> messages.FiledAway:
        try:
            where = self._spool.file_away(file, self._today())
        except (ChangedMeanwhile, FileNotFoundError):
            return messages.FiledAway(file, "", "")
        except PermissionError as error:
            return messages.FiledAway(file, "", may_not(error))
        except OSError as error:
            if self._spool.scope_of(error) is not Scope.JOB:
                raise
            what, advice = words_of(error, self._spool.root)
            return messages.FiledAway(file, "", f"{what}; {advice}")
        return messages.FiledAway(file, where, "")

    def _requeue(self, folder: str) -> messages.Requeued:
        drawn = new_ticket(self._clock.time(), waited_seconds=0.0)
        try:
            paths = requeue(self._spool, self._spool.root / folder, drawn)
            return messages.Requeued(folder, paths, ())
        except UserError as error:
            return messages.Requeued(folder, (), error.problems)
        except NotPermitted as error:
            problem = Problem(printable(folder), str(error), "or move the files back yourself")
            return messages.Requeued(folder, (), (problem,))

    def finish(self) -> Iterator[messages.ResultHandled]:
        """Carry out the verdicts on results that an earlier call has begun."""
        return map(_judged, self._verdicts.finish())

    def _handle_result(self, request: messages.ResultRequest) -> messages.ResultHandled:
        ticket = new_ticket(self._clock.time(), waited_seconds=0.0)
        try:
            match request:
                case messages.EditAgain(result, changes):
                    paths = edit_again(self._spool, result, changes, ticket)
                    return messages.ResultHandled(request, paths, ())
                case messages.Judge(result, is_accepted=True):
                    return _judged(self._verdicts.accept(result, ticket))
                case messages.Judge(result, reason=reason):
                    return _judged(self._verdicts.reject(result, reason, ticket))
        except UserError as error:
            return messages.ResultHandled(request, (), error.problems)

    @property
    def _verdicts(self) -> Verdicts:
        return Verdicts(self._spool.tree)

    def _today(self) -> str:
        return day_of(self._clock.time())


def _judged(verdict: Verdict) -> messages.ResultHandled:
    request = messages.Judge(verdict.result, verdict.is_accepted, verdict.reason)
    facts = (verdict.job_id, verdict.picture)
    return messages.ResultHandled(request, (verdict.target,), (), *facts)
