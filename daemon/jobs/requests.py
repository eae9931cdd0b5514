"""What people ask of the daemon beside editing: of a job, a failed one, or a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from daemon.context import Context
from daemon.control.documents import CommandResult, Reply, Request, ResultCode
from daemon.events import job_events
from daemon.folder import messages
from daemon.fs.names import printable
from daemon.jobs.cancel import PATIENCE_SECONDS, Cancellation
from daemon.jobs.runner import JobRunner
from daemon.spool.again import Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    root: str
    request: messages.Requeue | messages.ResultRequest
    answer_by: float  # monotonic seconds
    reply: Reply

    @property
    def name(self) -> str:
        """What it is about, for people."""
        return printable(messages.subject_of_request(self.request))


def told(reply: messages.Requeued) -> CommandResult:
    """What came of it, for who asked."""
    folder, paths = printable(reply.folder), ", ".join(map(printable, reply.paths))
    if reply.problems:
        return CommandResult(ResultCode.REFUSED, "; ".join(map(str, reply.problems)))
    if paths:
        return CommandResult(ResultCode.DONE, f"{folder}: {paths} went back to the inbox.")
    return CommandResult(
        ResultCode.DONE,
        f"{folder}: no originals were left there; its WHY.txt and report.json were removed.",
    )


def revived(root: Path, reply: messages.Requeued) -> job_events.JobRevived:
    """What came of it, for the logs."""
    folder, paths = printable(reply.folder), tuple(map(printable, reply.paths))
    return job_events.JobRevived(root=root, folder=folder, paths=paths)


RESULT_VERBS = ("again", "accept", "reject")


def result_request(verb: str, arguments: Mapping[str, str]) -> messages.ResultRequest | None:
    """What is asked about a result; None where that cannot be read."""
    result, seed = arguments.get("result", ""), arguments.get("seed", "")
    if verb != "again":
        return messages.Judge(result, verb == "accept", arguments.get("reason", ""))
    if seed and not (seed.isascii() and seed.isdecimal()):
        return None
    changes = Changes(prompt=arguments.get("prompt"), seed=int(seed) if seed else None)
    return messages.EditAgain(result, changes)


def told_of_result(reply: messages.ResultHandled) -> CommandResult:
    """What came of a request about a result, for who asked."""
    if reply.problems:
        return CommandResult(ResultCode.REFUSED, "; ".join(map(str, reply.problems)))
    return CommandResult(ResultCode.DONE, _sentence(reply))


def event_of_result(root: Path, reply: messages.ResultHandled) -> job_events.ResultHandled | None:
    """What came of it, for the logs; None where nothing did."""
    if reply.problems:
        return None
    result = printable(messages.subject_of_request(reply.request))
    return job_events.ResultHandled(root=root, result=result, text=_sentence(reply))


def _sentence(reply: messages.ResultHandled) -> str:
    result = printable(messages.subject_of_request(reply.request))
    paths = ", ".join(map(printable, reply.paths))
    match reply.request:
        case messages.EditAgain():
            return f"{result} is edited anew: {paths} are in the inbox."
        case messages.Judge(is_accepted=True):
            return f"{result} was accepted: it is {paths} now."
        case messages.Judge(reason=reason):
            why = f" ({printable(reason)})" if reason else ""
            return f"{result} was rejected{why}: it is {paths} now."
        case _:
            assert_never(reply.request)


class Requests:
    """Hands each to who does it, and the folder workers' replies back to who asked."""

    def __init__(self, context: Context, runner: JobRunner) -> None:
        self._cancellation, self._folders = Cancellation(context, runner), runner.folders
        self._clock, self._tell = context.clock, context.tell
        self._history, self._completion = context.history, runner.completion
        self._asked: tuple[_Pending, ...] = ()  # and wait for the answer

    def take(self, request: Request) -> bool:
        """Take a request; False where it is none of these."""
        if request.verb not in ("cancel", "retry", *RESULT_VERBS):
            return False
        folder = self._folders[str(request.root)]
        if folder.is_standby:
            request.reply(messages.standing_by(folder.stands.reason))
        elif request.verb == "cancel":
            self._cancellation.requested(request)
        elif request.verb == "retry":
            self._ask(request, messages.Requeue(request.arguments.get("folder", "")))
        elif (wanted := result_request(request.verb, request.arguments)) is not None:
            self._ask(request, wanted)
        else:
            request.reply({"error": "what is asked cannot be read"})
        return True

    def advance(self) -> None:
        """Do whatever can be done now."""
        self._cancellation.advance()
        self._answer_patient()

    def is_busy_in(self, root: str) -> bool:
        """Whether something is still to be done in a hot folder."""
        return self._cancellation.is_busy_in(root)

    def folder_replied(
        self, root: str, reply: messages.JobLeft | messages.FileRequestReply
    ) -> None:
        """Take note that a job has left, or of what came of a request."""
        match reply:
            case messages.Filed():
                self._cancellation.filed(root, reply)
            case (
                messages.Released() | messages.Held() | messages.LeaseLost() | messages.FilesGone()
            ):
                self._cancellation.let_go(root, reply)
            case messages.CancelRefused():
                self._cancellation.cancel_refused(root, reply)
            case messages.FiledAway():
                self._cancellation.filed_away(root, reply)
            case messages.Requeued():
                self._requeued(root, reply)
            case messages.ResultHandled():
                self._result_handled(root, reply)
            case _:
                assert_never(reply)

    # Failed jobs that are to be tried again, and results that somebody has looked at

    def _ask(self, request: Request, wanted: messages.Requeue | messages.ResultRequest) -> None:
        answer_by = self._clock.monotonic() + PATIENCE_SECONDS
        root = str(request.root)
        self._asked += (
            _Pending(root=root, request=wanted, answer_by=answer_by, reply=request.reply),
        )
        self._folders[root].folder_worker.submit(wanted)

    def _answer_patient(self) -> None:
        """Answer those who have waited for long enough."""
        now = self._clock.monotonic()
        for asked in self._asked:
            folder, name = self._folders[asked.root], asked.name
            if folder.is_offline:
                text = f"{name} goes back when the share is back ({folder.stands.reason})."
                asked.reply(CommandResult(ResultCode.BEGUN, text))
            elif now >= asked.answer_by:
                asked.reply(CommandResult(ResultCode.BEGUN, f"{name} is going back."))

    def _requeued(self, root: str, reply: messages.Requeued) -> None:
        """Answer whoever asked, and tell it."""
        for asked in self._pop(root, messages.Requeue(reply.folder)):
            asked.reply(told(reply))
        if reply.paths:
            self._tell(revived(self._folders[root].root, reply))

    def _result_handled(self, root: str, reply: messages.ResultHandled) -> None:
        """Answer whoever asked, note it and tell it."""
        for asked in self._pop(root, reply.request):
            asked.reply(told_of_result(reply))
        if event := event_of_result(self._folders[root].root, reply):
            self._tell(event)
        if reply.job_id and isinstance(reply.request, messages.Judge):
            (where,) = reply.paths
            self._history.moved(reply.job_id, reply.request.result, where)
            self._completion.reviewed(root, reply.request.result)

    def _pop(
        self, root: str, request: messages.Requeue | messages.ResultRequest
    ) -> Iterator[_Pending]:
        mine = [it for it in self._asked if (it.root, it.request) == (root, request)]
        self._asked = tuple(it for it in self._asked if it not in mine)
        return iter(mine)
