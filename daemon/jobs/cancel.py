"""Cancels what people want cancelled, by command or by a cancel file, wherever the job stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import assert_never

from daemon.clock import Clock
from daemon.control.documents import CommandResult, Reply, Request, ResultCode
from daemon.events import job_events
from daemon.events.events import Event
from daemon.folder import messages
from daemon.folder.view import FolderView
from daemon.folder.worker import FolderWorker
from daemon.fs.names import printable
from daemon.inbox.cancel_files import WaitingJob, matches, targets, waiting_job_of
from daemon.job import EMPTY_PLAN, Job, Plan, Seen, State
from daemon.jobs import job_run
from daemon.jobs.find_job import JobMatch, Nothing, Unclear, UnderWay, Waiting, find_job
from daemon.jobs.job_run import Editing, JobRun, JobTable, ParkedJob, Publishing, Reclaiming
from daemon.workers.backend import Busy, EditBackend
from daemon.workers.pixel_pool import PixelPool

_PATIENCE_SECONDS = 0.9  # the control socket waits for two, and a tick may take one
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
    is_leaving: bool = False  # it is being moved away
    is_stuck: bool = False  # it could not be, and counts no more


class Cancellation:
    """Goes on with every request at each `advance`, until nothing is left of what it means."""

    def __init__(
        self,
        *,
        jobs: JobTable,
        termination: JobTermination,
        folders: Mapping[str, FolderView],
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._jobs, self._termination, self._folders = jobs, termination, folders
        self._clock, self._tell = clock, tell
        self._asked: tuple[_PendingCancel, ...] = ()
        self._files: dict[tuple[str, Seen], _CancelFile] = {}
        self._cancels_sent: set[tuple[str, str]] = (
            set()
        )  # root and path; the folder worker is at it
        # The plan of when a withdrawal was answered: what it shows is older than the answer.
        self._answered_in: dict[tuple[str, str], Plan | None] = {}

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
            reason = f"This daemon stands by: {folder.stands.reason}. Ask the one that leads."
            request.reply(CommandResult(ResultCode.REFUSED, reason).as_json())
            return
        word, path = (request.arguments.get(key, "") for key in ("word", "path"))
        mine = [job.job for job in self._jobs if job.root == root]
        asked = _PendingCancel(
            root=root,
            path=path,
            job_id="",
            older=frozenset(job.job_id for job in mine),
            answer_by=self._clock.monotonic() + _PATIENCE_SECONDS,
            reply=request.reply,
        )
        match self._found(word, path, folder, mine):
            case Waiting(there):
                self._asked += (replace(asked, path=there),)
            case UnderWay(job):
                of_it = replace(asked, path=job.path, job_id=job.job_id, older=frozenset())
                self._asked += (of_it,)
            case Unclear(text):
                request.reply(CommandResult(ResultCode.REFUSED, text).as_json())
            case Nothing():
                request.reply(CommandResult(ResultCode.UNKNOWN, "").as_json())

    def _found(self, word: str, path: str, folder: FolderView, jobs: list[Job]) -> JobMatch:
        found = find_job(word, path, folder.plan or EMPTY_PLAN, jobs)
        if isinstance(found, Waiting) and any(
            it.path == found.path for it in folder.claims.answered
        ):
            # The plan is older than its claim.
            mine = [job for job in jobs if job.path == found.path]
            return UnderWay(max(mine, key=lambda job: job.job_id)) if mine else found
        return found

    def advance(self) -> None:
        """Do whatever can be done now."""
        self._answered_in = {
            key: plan
            for key, plan in self._answered_in.items()
            if self._folders[key[0]].plan is plan
        }
        for asked in self._asked:
            self._advance_request(asked)
        for root, folder in self._folders.items():
            if folder.plan is not None and not folder.is_away:
                for cancel in folder.plan.cancels:
                    self._serve(root, cancel, folder.plan)
                self._forget_files(root, folder.plan)
        self._termination.advance()

    def _advance_request(self, asked: _PendingCancel) -> None:
        job = self._job_of(asked)
        plan = self._folders[asked.root].plan or EMPTY_PLAN
        if job is not None:
            self._end(asked, job)
        elif not asked.job_id and any(file.path == asked.path for file in plan.states):
            taken = {seen.path for seen in self._folders[asked.root].claims.taken}
            self._cancel_waiting(asked.root, waiting_job_of(plan, asked.path, gone=taken))
            self._say_begun(asked)
        elif (asked.root, asked.path) not in self._cancels_sent:
            self._close(
                asked, ResultCode.REFUSED, f"{printable(asked.path)} is not there any more."
            )

    def _job_of(self, asked: _PendingCancel) -> Job | None:
        # One that was asked for in the inbox may have been claimed since.
        mine = (job.job for job in self._jobs if asked.is_about(job.root, job.job))
        return next(mine, None)

    def _end(self, asked: _PendingCancel, job: Job) -> None:
        found = self._jobs.get(job.job_id)
        assert found is not None
        match self._termination.end(found):
            case Progress.TOO_LATE:
                text = f"{printable(job.path)} is being published or filed: it is too late."
                self._close(asked, ResultCode.REFUSED, text)
            case Progress.ENDING | Progress.LATER:
                now_known = replace(asked, job_id=job.job_id)
                self._asked = tuple(now_known if it is asked else it for it in self._asked)
                self._say_begun(now_known)

    def _say_begun(self, asked: _PendingCancel) -> None:
        folder, name = self._folders[asked.root], printable(asked.path)
        if folder.is_away:
            reason = folder.stands.reason or "the share lets us wait"
            text = f"{name} will be cancelled when the share is back ({reason})."
            asked.reply(CommandResult(ResultCode.BEGUN, text).as_json())
        elif self._clock.monotonic() >= asked.answer_by:
            asked.reply(CommandResult(ResultCode.BEGUN, f"{name} is being cancelled.").as_json())

    def _close(self, asked: _PendingCancel, how: ResultCode, text: str) -> None:
        self._asked = tuple(it for it in self._asked if it is not asked)
        asked.reply(CommandResult(how, text).as_json())

    # Cancel files

    def _serve(self, root: str, cancel: Seen, plan: Plan) -> None:
        file = self._file(root, cancel)
        if file.is_leaving or file.is_stuck:
            return
        is_pending = [self._end_by_file(file, job) for job in self._namesakes(root, cancel)]
        for one in targets(cancel, plan):
            if self._cancel_waiting(root, one):
                is_pending.append(True)
                file.has_cancelled = True
        if not any(is_pending):
            file.is_leaving = True
            self._folders[root].folder_worker.submit(messages.FileAway(cancel))

    def _namesakes(self, root: str, cancel: Seen) -> Iterator[Job]:
        for job in self._jobs:
            is_near = job.root == root and job.job.folder == cancel.folder
            if is_near and matches(cancel.name, job.job.image.name):
                yield job.job

    def _end_by_file(self, file: _CancelFile, job: Job) -> bool:
        """End a job; whether it is still on its way out."""
        found = self._jobs.get(job.job_id)
        assert found is not None
        match self._termination.end(found):
            case Progress.TOO_LATE:
                reason = f"{printable(job.path)} is being published or filed already"
                if reason not in file.hindrances:
                    file.hindrances.append(reason)
                return False
            case Progress.LATER | Progress.ENDING:
                file.has_cancelled = True
                return True

    def _cancel_waiting(self, root: str, one: WaitingJob) -> bool:
        """Let files leave the inbox; whether they are still about to."""
        folder, key = self._folders[root], (root, one.image)
        if key in self._cancels_sent:
            return True
        if folder.plan is not None and self._answered_in.get(key) is folder.plan:
            return False  # answered; the next look knows of it
        claimed = folder.claims.under_way | folder.claims.answered
        if any(seen.path == one.image for seen in claimed):
            return True  # claimed a moment ago: it is a job now, or is soon
        self._cancels_sent.add(key)
        folder.folder_worker.submit(messages.CancelWaiting(one))
        return True

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
        self._termination.filed(reply.job)
        if reply.state is not State.CANCELLED:
            return
        self._answered(root, reply.job.path)
        text = f"{printable(reply.job.path)} was cancelled; the originals are in {reply.where}."
        for asked in [it for it in self._asked if it.is_about(root, reply.job)]:
            self._close(asked, ResultCode.DONE, text)

    def cancel_refused(self, root: str, reply: messages.CancelRefused) -> None:
        """Tell that files stay in the inbox, or are not there any more."""
        self._answered(root, reply.path)
        reason = f"{printable(reply.path)} cannot be cancelled: {reply.reason}"
        for asked in self._asked:
            if not asked.job_id and (asked.root, asked.path) == (root, reply.path):
                self._close(asked, ResultCode.REFUSED, f"{reason}.")
        self._hinder_files(root, reply.path, reason)

    def let_go(self, root: str, reply: messages.LetGo) -> None:
        """Tell that a job that was to end is under way no more, and was not filed."""
        path, job_id = reply.job.path, reply.job.job_id
        reason = f"{printable(path)} was not cancelled: {_why_let_go(reply)}"
        for asked in self._asked:
            if asked.job_id == job_id:
                self._close(asked, ResultCode.REFUSED, f"{reason}.")
        if self._termination.let_go(reply.job):
            self._hinder_files(root, path, reason)

    def _hinder_files(self, root: str, path: str, reason: str) -> None:
        folder, _, name = path.rpartition("/")
        for (at, cancel), file in self._files.items():
            if at == root and cancel.folder == folder and matches(cancel.name, name):
                file.has_cancelled = False
                file.hindrances.append(reason)

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

    def _answered(self, root: str, path: str) -> None:
        if (root, path) in self._cancels_sent:
            self._cancels_sent.discard((root, path))
            self._answered_in[root, path] = self._folders[root].plan


def _why_let_go(reply: messages.LetGo) -> str:
    match reply:
        case messages.Held(reason=reason):
            return f"{reason}; then cancel it again"
        case messages.LeaseLost():
            return "another daemon leads now and has it; cancel it again there"
        case messages.Released() | messages.FilesGone():
            return "its files went back to the inbox, but for those that were taken away"
        case _:
            assert_never(reply)


class Progress(Enum):
    """What becomes of a job that is to end."""

    ENDING = auto()  # it is being filed
    LATER = auto()  # its files are being fetched: ask again
    TOO_LATE = auto()  # it is being published, or filed as something else


class JobTermination:
    """Lets workers and editor go on with the other jobs unharmed."""

    def __init__(
        self,
        *,
        jobs: JobTable,
        editor: EditBackend,
        pixels: PixelPool,
        folder_workers: Mapping[str, FolderWorker],
    ) -> None:
        self._jobs, self._editor, self._pixels, self._folder_workers = (
            jobs,
            editor,
            pixels,
            folder_workers,
        )
        self._ending: set[str] = set()  # ids of jobs whose filing is not answered yet
        self._left: dict[str, tuple[str, Job]] = {}  # root and job, whose scratch is still there

    def end(self, job: JobRun | ParkedJob) -> Progress:
        """File a job as cancelled, unless it is too late; a second time does nothing."""
        job_id = job.job.job_id
        if job_id in self._ending:
            return Progress.ENDING
        match job.phase:
            case Publishing():
                return Progress.TOO_LATE
            case Reclaiming():
                return Progress.LATER
            case Editing() if isinstance(job, JobRun):
                self._editor.drop(job_run.request_ids(job.resolved_job))
            case _:
                pass
        self._pixels.forget(job_id)
        self._jobs.put(replace(job, phase=Publishing()))
        self._ending.add(job_id)
        self._left[job_id] = (job.root, job.job)
        self._folder_workers[job.root].submit(messages.FileDone(job.job, State.CANCELLED, ()))
        return Progress.ENDING

    def filed(self, job: Job) -> None:
        """Take note that a job has left work/."""
        self._ending.discard(job.job_id)

    def let_go(self, job: Job) -> bool:
        """Take note that a job is not filed; whether it was to be. It may be ended again.

        Its scratch may be used by another attempt, and is not cleared here any more.
        """
        was_ending = job.job_id in self._ending
        self._ending.discard(job.job_id)
        self._left.pop(job.job_id, None)
        return was_ending

    def advance(self) -> None:
        """Clear the scratch of those that the editor and the pixel workers have let go."""
        for job_id, (root, job) in tuple(self._left.items()):
            if not self._is_at_work_on(job_id):
                del self._left[job_id]
                self._folder_workers[root].submit(messages.DropScratch(job))

    def _is_at_work_on(self, job_id: str) -> bool:
        condition = self._editor.condition
        is_edited = isinstance(condition, Busy) and job_id in condition.job_ids
        return is_edited or self._pixels.is_at(job_id)
