"""What people ask of the daemon beside editing: that a job be cancelled or tried again."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingRequeue:
    root: str
    folder: str  # of failed/, relative to the root
    answer_by: float  # monotonic seconds
    reply: Reply


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


class Requests:
    """Hands each to who does it, and the folder workers' replies back to who asked."""

    def __init__(self, context: Context, runner: JobRunner) -> None:
        self._cancellation, self._folders = Cancellation(context, runner), runner.folders
        self._clock, self._tell = context.clock, context.tell
        self._asked: tuple[_PendingRequeue, ...] = ()  # and wait for the answer

    def take(self, request: Request) -> bool:
        """Take a request; False where it is none of these."""
        if request.verb not in ("cancel", "retry"):
            return False
        folder = self._folders[str(request.root)]
        if folder.is_standby:
            request.reply(messages.standing_by(folder.stands.reason))
        elif request.verb == "cancel":
            self._cancellation.requested(request)
        else:
            self._ask_requeue(request)
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
            case _:
                assert_never(reply)

    # Failed jobs that are to be tried again

    def _ask_requeue(self, request: Request) -> None:
        root, folder = str(request.root), request.arguments.get("folder", "")
        answer_by = self._clock.monotonic() + PATIENCE_SECONDS
        asked = _PendingRequeue(root=root, folder=folder, answer_by=answer_by, reply=request.reply)
        self._asked += (asked,)
        self._folders[root].folder_worker.submit(messages.Requeue(folder))

    def _answer_patient(self) -> None:
        """Answer those who have waited for long enough."""
        now = self._clock.monotonic()
        for asked in self._asked:
            folder, name = self._folders[asked.root], printable(asked.folder)
            if folder.is_offline:
                text = f"{name} goes back when the share is back ({folder.stands.reason})."
                asked.reply(CommandResult(ResultCode.BEGUN, text))
            elif now >= asked.answer_by:
                asked.reply(CommandResult(ResultCode.BEGUN, f"{name} is going back."))

    def _requeued(self, root: str, reply: messages.Requeued) -> None:
        """Answer whoever asked, and tell it."""
        mine = [it for it in self._asked if (it.root, it.folder) == (root, reply.folder)]
        self._asked = tuple(it for it in self._asked if it not in mine)
        for asked in mine:
            asked.reply(told(reply))
        if reply.paths:
            self._tell(revived(self._folders[root].root, reply))
