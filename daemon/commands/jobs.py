"""`hotfolder cancel` and `retry`: the daemon is asked; where none runs, it is done here."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, folder_settings
from daemon.commands import ExitCode, select
from daemon.commands.inquiry import Inquiry
from daemon.commands.offline import read_inbox
from daemon.commands.output import Output
from daemon.commands.traces import failed_job
from daemon.commands.why import Explainer
from daemon.control.client import send_command
from daemon.control.documents import CommandResult, ResultCode
from daemon.events.events import Event
from daemon.events.folder_log import FolderLog
from daemon.events.job_events import JobCancelled
from daemon.folder import messages
from daemon.folder.file_requests import FileRequests
from daemon.fs.access import as_a_daemon_would, not_permitted
from daemon.fs.errors import trouble_of
from daemon.fs.hot_folder import folder_id
from daemon.fs.local_dirs import STATE_OF_THE_SERVICE
from daemon.fs.names import printable
from daemon.history import History
from daemon.inbox.cancel_files import WaitingJob, waiting_job_of
from daemon.job import Job, State
from daemon.jobs.completion import entry_of_ending
from daemon.jobs.find_job import Unclear, Waiting, find_job
from daemon.jobs.job_run import about
from daemon.jobs.requests import revived, told
from daemon.lease.election import LEASE_TIMINGS
from daemon.lease.leader import NotLeader, leader_lease
from daemon.spool.spool import Spool

_TOO_LATE = "its results are published: it is too late"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineFolder:
    """One hot folder without a daemon, and us in its place."""

    inquiry: Inquiry  # knows settings and local folders
    folder: FolderSettings
    spool: Spool
    say: Callable[[str], None]  # troubles with the history, which end nothing

    def cancel(self, word: str, path: str) -> CommandResult:
        """Cancel what is meant by `word`, or by `path` in the inbox."""
        by = self.inquiry
        plan = read_inbox(self.folder, by.settings, by.defaults).plan
        jobs = [left.job for left in self.spool.recover() if left.is_known]
        match find_job(word, path, plan, jobs):
            case Waiting(there):
                return self._cancel_waiting(waiting_job_of(plan, there, gone=()))
            case Job() as job:
                return self._end(job)
            case Unclear(text):
                return CommandResult(ResultCode.REFUSED, text)
            case None:
                return CommandResult(ResultCode.UNKNOWN, "")

    def requeue(self, failed: str) -> CommandResult:
        """Move the originals of a folder of failed/ back; it is relative to the root."""
        reply = self._file_requests.grant(messages.Requeue(failed))
        assert isinstance(reply, messages.Requeued)
        if reply.paths:
            self._tell(revived(self.folder.root, reply))
        return told(reply)

    @property
    def _file_requests(self) -> FileRequests:
        return FileRequests(self.spool, time)

    def _cancel_waiting(self, waiting: WaitingJob) -> CommandResult:
        reply = self._file_requests.grant(messages.CancelWaiting(waiting))
        match reply:
            case messages.Filed(job=job, where=where):
                return self._cancelled(job, where)
            case messages.CancelRefused(path, reason):
                text = f"{printable(path)} cannot be cancelled: {reason}."
                return CommandResult(ResultCode.REFUSED, text)
            case _:
                raise AssertionError(reply)

    def _end(self, job: Job) -> CommandResult:
        publication = self.spool.publication(job.job_id)
        if publication.is_complete(job):
            return CommandResult(ResultCode.REFUSED, f"{printable(job.path)}: {_TOO_LATE}.")
        publication.clear_half_done(job)
        return self._cancelled(job, self._file_requests.file(job, State.CANCELLED))

    def _cancelled(self, job: Job, where: str) -> CommandResult:
        self._remember(job)
        event = JobCancelled(originals=where, **about(str(self.folder.root), job))
        self._tell(event)
        return CommandResult(ResultCode.DONE, str(event))

    def _remember(self, job: Job) -> None:
        """Keep it in the history where there is one for us: it is an index, and nobody's truth."""
        own = self.inquiry.local_dirs.state
        with contextlib.suppress(OSError):
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Root is the service's user here, who has no way to root's own folder.
        mine = (it for it in (own, STATE_OF_THE_SERVICE) if _is_writable(it))
        if (state := next(mine, None)) is not None:
            history = History(state, self.say)
            identity = folder_id(self.folder.root)
            history.record(entry_of_ending(identity, job, State.CANCELLED, time.time()))
            history.close()

    def _tell(self, event: Event) -> None:
        FolderLog(self.spool.tree).write(event, time.time())


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


@contextmanager
def offline_folder(
    inquiry: Inquiry, root: Path, say: Callable[[str], None]
) -> Iterator[OfflineFolder]:
    """Be the only one who moves the files of a hot folder, and leave it as a daemon would.

    Raises UserError where a daemon is, on this machine or another, and where the share fails.
    """
    folder = folder_settings(inquiry.settings, root)
    root = folder.root
    try:
        identity = folder_id(root)
        lead = leader_lease(
            root, lambda: identity, LEASE_TIMINGS, lambda: None, lambda it: say(it.words)
        )
        with as_a_daemon_would(root), lead.held():
            lead.fence()
            spool = Spool(root, lead.fence)
            yield OfflineFolder(inquiry=inquiry, folder=folder, spool=spool, say=say)
    except NotLeader as error:
        advice = "ask on the machine of that daemon, or wait until it has ended"
        raise UserError([Problem(str(root), error.reason, advice)]) from error
    except PermissionError as error:
        raise UserError(
            [not_permitted(root, Path(error.filename or root), writing=True)]
        ) from error
    except OSError as error:
        advice = "mend that and call again: what was begun is finished then"
        reason = trouble_of(error, root).reason
        raise UserError([Problem(str(root), reason, advice)]) from error


_IN_FAILED = 3  # failed, the day, the job


def cancel(arguments: argparse.Namespace) -> ExitCode:
    """End one job without a result; USAGE where there is none, and where it is too late."""
    output, word = Output(sys.stdout, os.environ), str(arguments.job)
    settings, roots = select.folders_around(arguments, arguments.job, select.named)
    inquiry = Inquiry.by(settings)
    path = select.name_in_inbox(arguments.job, Path.cwd(), roots)
    request = {"verb": "cancel", "word": word, "path": path}
    for root in roots:
        came = _ask(inquiry, output, root, request, lambda it: it.cancel(word, path))
        if came.how is not ResultCode.UNKNOWN:
            output.line(came.text)
            return ExitCode.FINE if came.is_fine else ExitCode.USAGE
    output.line(f"{printable(word)} is no job that waits or is under way.")
    for line in Explainer(inquiry).explain(
        select.locate_file(arguments.job, Path.cwd(), roots), roots
    ):
        output.line(line)
    return ExitCode.USAGE


def retry(arguments: argparse.Namespace) -> ExitCode:
    """Have failed jobs tried again; USAGE where one of them is none."""
    output, outcomes = Output(sys.stdout, os.environ), []
    for failed in arguments.failed:
        settings, roots = select.folders_around(arguments, failed, select.named)
        outcomes.append(_retry(Inquiry.by(settings), output, failed, roots))
        output.line(outcomes[-1].text)
    return ExitCode.FINE if all(it.is_fine for it in outcomes) else ExitCode.USAGE


def _retry(
    inquiry: Inquiry, output: Output, failed: Path, roots: tuple[Path, ...]
) -> CommandResult:
    found, shown = _failed_jobs(failed, roots), printable(str(failed))
    if not found:
        for root in roots:
            select.require_marked(root)  # else nobody knows what lies there
        what = "is no failed job: name its folder below failed/, a file in it, or the job's id"
        return CommandResult(ResultCode.UNKNOWN, f"{shown} {what}.")
    if len(found) > 1:
        names = " or ".join(printable(folder) for _, folder in found)
        return CommandResult(ResultCode.REFUSED, f"{shown} may be {names}: name one of them.")
    ((root, folder),) = found
    request = {"verb": "retry", "folder": folder}
    return _ask(inquiry, output, root, request, lambda it: it.requeue(folder))


def _failed_jobs(failed: Path, roots: Iterable[Path]) -> list[tuple[Path, str]]:
    """The roots and folders of what is named: by a path, else by the beginning of an id."""
    match select.locate_file(failed, Path.cwd(), roots):
        case select.Located(root=root) as there if there.area == "failed":
            return [(root, "/".join(there.path.split("/")[:_IN_FAILED]))]
        case _:
            return [(at, one) for at in roots for one in failed_job(at, str(failed))]


def _ask(
    inquiry: Inquiry,
    output: Output,
    root: Path,
    request: Mapping[str, str],
    do_alone: Callable[[OfflineFolder], CommandResult],
) -> CommandResult:
    """Ask the daemon; where none runs, do it here."""
    if came := send_command(request, root, inquiry.local_dirs):
        return came
    select.require_marked(root)
    with offline_folder(inquiry, root, output.line) as alone:
        return do_alone(alone)
