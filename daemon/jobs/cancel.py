"""Cancels what people want cancelled, by command or by a cancel file, wherever the job stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

from daemon.context import Context
from daemon.control.documents import CommandResult, Reply, Request, ResultCode
from daemon.events import job_events
from daemon.folder import messages
from daemon.fs.names import printable
from daemon.inbox.cancel_files import WaitingJob, matches, targets, waiting_job_of
from daemon.job import EMPTY_PLAN, Job, Plan, Seen, State
from daemon.jobs.find_job import Unclear, Waiting, find_job
from daemon.jobs.job_run import JobRun, ParkedJob, Publishing, Reclaiming
from daemon.jobs.runner import JobRunner

PATIENCE_SECONDS = 0.9  # the control socket waits for two, and a tick may take one
_NO_NAMESAKE = "no picture that waits and no job under way has its name"


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingCancel:
    """Somebody waits for a job's end: by its id or, while it lies in the inbox, by its path."""

    root: str
    path: str
    job_id: str  # "" until it is under way
    older: frozenset[str]  # ids of jobs that are not meant: their file is another one
    answer_by: float  # monotonic seconds
    reply: Reply

    def is_about(self, root: str, job: Job) -> bool:
        if root != self.root or job.job_id in self.older:
            return False
        return self.job_id == job.job_id if self.job_id else self.path == job.path


@dataclass(slots=True)
class _CancelFile:
    """What has come of a cancel file so far."""

    has_cancelled: bool = False
    hindrances: list[str] = field(default_factory=list)  # reasons, as sentences without full stop
    refused: set[str] = field(default_factory=set)  # files of the inbox that cannot be cancelled
    is_leaving: bool = False  # it is being moved away
    is_stuck: bool = False  # it could not be, and counts no more


class Cancellation:
    """Goes on with every request at each `advance`, until nothing is left of what it means."""

    def __init__(self, context: Context, runner: JobRunner) -> None:
        self._jobs, self._folders = runner.jobs, runner.folders
        self._clock, self._tell = context.clock, context.tell
        self._asked: tuple[_PendingCancel, ...] = ()
        self._files: dict[tuple[str, Seen], _CancelFile] = {}
        # Root and path of what the folder workers are at.
        self._cancels_sent: set[tuple[str, str]] = set()
        self._ending: set[str] = set()  # ids of jobs whose filing is not answered yet
        self._left: dict[str, tuple[str, Job]] = {}  # root and job, whose scratch is still there

    def is_busy_in(self, root: str) -> bool:
        """Whether a request is still to be done in a hot folder."""
        plan = self._folders[root].plan or EMPTY_PLAN
        waiting = any(not self._file(root, cancel).is_stuck for cancel in plan.cancels)
        return waiting or any(it[0] == root for it in self._cancels_sent)

    # What people want

    def requested(self, request: Request) -> None:
        """Take a request of `hotfolder cancel`; it is answered soon, done or not."""
        root = str(request.root)
        folder = self._folders[root]
        if folder.is_standby:
            reason = f"This daemon is on standby: {folder.stands.reason}. Ask that one."
            request.reply(CommandResult(ResultCode.REFUSED, reason))
            return
        word, path = (request.arguments.get(key, "") for key in ("word", "path"))
        mine = [job.job for job in self._jobs if job.root == root]
        asked = _PendingCancel(
            root=root,
            path=path,
            job_id="",
            older=frozenset(job.job_id for job in mine),
            answer_by=self._clock.monotonic() + PATIENCE_SECONDS,
            reply=request.reply,
        )
        match find_job(word, path, folder.plan or EMPTY_PLAN, mine):
            case Waiting(there):
                self._asked += (replace(asked, path=there),)
            case Job() as job:
                of_it = replace(asked, path=job.path, job_id=job.job_id, older=frozenset())
                self._asked += (of_it,)
            case Unclear(text):
                request.reply(CommandResult(ResultCode.REFUSED, text))
            case None:
                request.reply(CommandResult(ResultCode.UNKNOWN, ""))

    def advance(self) -> None:
        """Do whatever can be done now."""
        for asked in self._asked:
            self._advance_request(asked)
        for root, folder in self._folders.items():
            if folder.plan is not None and not folder.is_away:
                for cancel in folder.plan.cancels:
                    self._serve(root, cancel, folder.plan)
                self._forget_files(root, folder.plan)
        self._drop_scratch()

    def _advance_request(self, asked: _PendingCancel) -> None:
        job = self._job_of(asked)
        plan = self._folders[asked.root].plan or EMPTY_PLAN
        if job is not None:
            self._end_for(asked, job)
        elif not asked.job_id and any(file.path == asked.path for file in plan.states):
            self._cancel_waiting(asked.root, waiting_job_of(plan, asked.path, gone=()))
            self._say_begun(asked)
        elif (asked.root, asked.path) not in self._cancels_sent:
            self._close(
                asked, ResultCode.REFUSED, f"{printable(asked.path)} is not there any more."
            )

    def _job_of(self, asked: _PendingCancel) -> JobRun | ParkedJob | None:
        # One that was asked for in the inbox may have been claimed since.
        return next((job for job in self._jobs if asked.is_about(job.root, job.job)), None)

    def _end_for(self, asked: _PendingCancel, job: JobRun | ParkedJob) -> None:
        if not self._end(job):
            text = f"{printable(job.job.path)} is being published or filed: it is too late."
            self._close(asked, ResultCode.REFUSED, text)
            return
        now_known = replace(asked, job_id=job.job.job_id)
        self._asked = tuple(now_known if it is asked else it for it in self._asked)
        self._say_begun(now_known)

    def _end(self, job: JobRun | ParkedJob) -> bool:
        """File a job as cancelled; False where it is too late. A second time does nothing."""
        job_id = job.job.job_id
        if job_id in self._ending:
            return True
        match job.phase:
            case Publishing():
                return False
            case Reclaiming():
                return True  # when its files have been fetched: it is asked again until then
            case _:
                self._ending.add(job_id)
                self._left[job_id] = (job.root, job.job)
                self._jobs.hand_over(job, messages.FileDone(job.job, State.CANCELLED, ()))
                return True

    def _drop_scratch(self) -> None:
        """Clear the scratch of those that the editor and the pixel workers have let go."""
        for job_id, (root, job) in tuple(self._left.items()):
            if not self._jobs.is_worked_on(job_id):
                del self._left[job_id]
                self._jobs.worker_of(root).submit(messages.DropScratch(job))

    def _say_begun(self, asked: _PendingCancel) -> None:
        folder, name = self._folders[asked.root], printable(asked.path)
        if folder.is_away:
            reason = folder.stands.reason or "the share lets us wait"
            text = f"{name} will be cancelled when the share is back ({reason})."
            asked.reply(CommandResult(ResultCode.BEGUN, text))
        elif self._clock.monotonic() >= asked.answer_by:
            asked.reply(CommandResult(ResultCode.BEGUN, f"{name} is being cancelled."))

    def _close(self, asked: _PendingCancel, how: ResultCode, text: str) -> None:
        self._asked = tuple(it for it in self._asked if it is not asked)
        asked.reply(CommandResult(how, text))

    # Cancel files

    def _serve(self, root: str, cancel: Seen, plan: Plan) -> None:
        file = self._file(root, cancel)
        if file.is_leaving or file.is_stuck:
            return
        is_pending = [self._end_by_file(file, job) for job in self._namesakes(root, cancel)]
        for one in targets(cancel, plan):
            if one.image not in file.refused:
                self._cancel_waiting(root, one)
                is_pending.append(True)
                file.has_cancelled = True
        if not any(is_pending):
            file.is_leaving = True
            self._folders[root].folder_worker.submit(messages.FileAway(cancel))

    def _namesakes(self, root: str, cancel: Seen) -> Iterator[JobRun | ParkedJob]:
        for job in self._jobs:
            is_near = job.root == root and job.job.folder == cancel.folder
            if is_near and matches(cancel.name, job.job.image.name):
                yield job

    def _end_by_file(self, file: _CancelFile, job: JobRun | ParkedJob) -> bool:
        """End a job; whether it is still on its way out."""
        if self._end(job):
            file.has_cancelled = True
            return True
        reason = f"{printable(job.job.path)} is being published or filed already"
        if reason not in file.hindrances:
            file.hindrances.append(reason)
        return False

    def _cancel_waiting(self, root: str, one: WaitingJob) -> None:
        """Let files leave the inbox; one that is claimed before is refused, and is a job then."""
        if (root, one.image) not in self._cancels_sent:
            self._cancels_sent.add((root, one.image))
            self._folders[root].folder_worker.submit(messages.CancelWaiting(one))

    def _file(self, root: str, cancel: Seen) -> _CancelFile:
        return self._files.setdefault((root, cancel), _CancelFile())

    def _forget_files(self, root: str, plan: Plan) -> None:
        gone = [it for it in self._files if it[0] == root and it[1] not in plan.cancels]
        for key in gone:
            if not self._files[key].is_leaving:
                del self._files[key]

    # What the folder workers answer

    def filed(self, root: str, reply: messages.Filed) -> None:
        """Take note that a job was filed."""
        self._ending.discard(reply.job.job_id)
        if reply.state is not State.CANCELLED:
            return
        self._cancels_sent.discard((root, reply.job.path))
        text = f"{printable(reply.job.path)} was cancelled; the originals are in {reply.where}."
        for asked in [it for it in self._asked if it.is_about(root, reply.job)]:
            self._close(asked, ResultCode.DONE, text)

    def cancel_refused(self, root: str, reply: messages.CancelRefused) -> None:
        """Tell that files stay in the inbox, or are not there any more."""
        self._cancels_sent.discard((root, reply.path))
        for file in self._files_about(root, reply.path):
            file.refused.add(reply.path)
        reason = f"{printable(reply.path)} cannot be cancelled: {reply.reason}"
        for asked in self._asked:
            is_meant = not asked.job_id and (asked.root, asked.path) == (root, reply.path)
            if is_meant and self._job_of(asked) is None:  # else it was claimed a moment ago
                self._close(asked, ResultCode.REFUSED, f"{reason}.")
        if not any((it.root, it.job.path) == (root, reply.path) for it in self._jobs):
            self._hinder_files(root, reply.path, reason)

    def let_go(self, root: str, reply: messages.LetGo) -> None:
        """Tell that a job that was to end is under way no more, and was not filed."""
        path, job_id = reply.job.path, reply.job.job_id
        reason = f"{printable(path)} was not cancelled: {_why_let_go(reply)}"
        for asked in self._asked:
            if asked.job_id == job_id:
                self._close(asked, ResultCode.REFUSED, f"{reason}.")
        self._left.pop(job_id, None)  # its scratch may be used by another attempt
        if job_id in self._ending:
            self._ending.discard(job_id)  # it may be ended again
            self._hinder_files(root, path, reason)

    def _hinder_files(self, root: str, path: str, reason: str) -> None:
        for file in self._files_about(root, path):
            file.has_cancelled = False
            file.hindrances.append(reason)

    def _files_about(self, root: str, path: str) -> Iterator[_CancelFile]:
        folder, _, name = path.rpartition("/")
        for (at, cancel), file in self._files.items():
            if at == root and cancel.folder == folder and matches(cancel.name, name):
                yield file

    def filed_away(self, root: str, reply: messages.FiledAway) -> None:
        """Tell what is to be told of a cancel file that has done its work."""
        file = self._files.pop((root, reply.file), _CancelFile())
        path, at = printable(reply.file.path), self._folders[root].root
        if reply.reason:
            self._files[root, reply.file] = replace(file, is_leaving=False, is_stuck=True)
            self._tell(job_events.CancelStuck(root=at, path=path, reason=reply.reason))
        elif reply.where and not file.has_cancelled:
            reason = "; ".join(file.hindrances) or _NO_NAMESAKE
            where = printable(reply.where)
            self._tell(job_events.NothingCancelled(root=at, path=path, reason=reason, where=where))


def _why_let_go(reply: messages.LetGo) -> str:
    match reply:
        case messages.Held(reason=reason):
            return f"{reason}; then cancel it again"
        case messages.LeaseLost():
            return "another daemon works on the hot folder now and has it; cancel it again there"
        case messages.Released() | messages.FilesGone():
            return "its files went back to the inbox, but for those that were removed"
        case _:
            assert_never(reply)
