"""Cancels what people want cancelled, by command or by a cancel file, wherever the job stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from daemon import orders
from daemon.clock import Clock
from daemon.control import Request
from daemon.inbox.cancels import Withdrawal, means, meant, withdrawal
from daemon.inbox.names import printable
from daemon.job import NOTHING, Job, Plan, Seen, State
from daemon.log import wishing
from daemon.log.story import Event
from daemon.outcome import How, Outcome, Reply
from daemon.watched import WatchedFolder
from daemon.work.dismissal import Dismissal, Progress
from daemon.work.jobs import Jobs
from daemon.work.wanted import Nothing, Unclear, UnderWay, Waiting, Wanted, find

_PATIENCE_SECONDS = 0.9  # the control socket waits for two, and a tick may take one
_NO_NAMESAKE = "no picture that waits and no job under way has its name"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
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
class _File:
    """What has come of a cancel file so far."""

    has_cancelled: bool = False
    hindrances: list[str] = field(default_factory=list)  # reasons, as sentences without full stop
    is_leaving: bool = False  # it is being moved away
    is_stuck: bool = False  # it could not be, and counts no more


class Cancelling:
    """Goes on with every wish at each `advance`, until nothing is left of what it means."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        dismissal: Dismissal,
        folders: Mapping[str, WatchedFolder],
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._jobs, self._dismissal, self._folders = jobs, dismissal, folders
        self._clock, self._tell = clock, tell
        self._asked: tuple[_Asked, ...] = ()
        self._files: dict[tuple[str, Seen], _File] = {}
        self._withdrawing: set[tuple[str, str]] = set()  # root and path; the keeper is at it
        # The plan of when a withdrawal was answered: what it shows is older than the answer.
        self._answered_in: dict[tuple[str, str], Plan | None] = {}

    def is_busy_in(self, root: str) -> bool:
        """Whether a wish is still to be done in a hot folder."""
        plan = self._folders[root].plan or NOTHING
        waiting = any(not self._file(root, cancel).is_stuck for cancel in plan.cancels)
        return waiting or any(it[0] == root for it in self._withdrawing)

    # What people want

    def requested(self, request: Request) -> None:
        """Take a wish of `hotfolder cancel`; it is answered soon, done or not."""
        root = str(request.root)
        folder = self._folders[root]
        if folder.is_standby:
            reason = f"This daemon stands by: {folder.stands.reason}. Ask the one that leads."
            request.reply(Outcome(How.REFUSED, reason).as_json())
            return
        word, path = (request.arguments.get(key, "") for key in ("word", "path"))
        mine = [job.job for job in self._jobs if job.root == root]
        asked = _Asked(
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
                request.reply(Outcome(How.REFUSED, text).as_json())
            case Nothing():
                request.reply(Outcome(How.UNKNOWN, "").as_json())

    def _found(self, word: str, path: str, folder: WatchedFolder, jobs: list[Job]) -> Wanted:
        found = find(word, path, folder.plan or NOTHING, jobs)
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
            self._pursue(asked)
        for root, folder in self._folders.items():
            if folder.plan is not None and not folder.is_away:
                for cancel in folder.plan.cancels:
                    self._serve(root, cancel, folder.plan)
                self._forget_files(root, folder.plan)
        self._dismissal.advance()

    def _pursue(self, asked: _Asked) -> None:
        job = self._job_of(asked)
        plan = self._folders[asked.root].plan or NOTHING
        if job is not None:
            self._end(asked, job)
        elif not asked.job_id and any(file.path == asked.path for file in plan.states):
            taken = {seen.path for seen in self._folders[asked.root].claims.taken}
            self._withdraw(asked.root, withdrawal(plan, asked.path, gone=taken))
            self._say_begun(asked)
        elif (asked.root, asked.path) not in self._withdrawing:
            self._close(asked, How.REFUSED, f"{printable(asked.path)} is not there any more.")

    def _job_of(self, asked: _Asked) -> Job | None:
        # One that was asked for in the inbox may have been claimed since.
        mine = (job.job for job in self._jobs if asked.is_about(job.root, job.job))
        return next(mine, None)

    def _end(self, asked: _Asked, job: Job) -> None:
        found = self._jobs.get(job.job_id)
        assert found is not None
        match self._dismissal.end(found):
            case Progress.TOO_LATE:
                text = f"{printable(job.path)} is being published or filed: it is too late."
                self._close(asked, How.REFUSED, text)
            case Progress.ENDING | Progress.LATER:
                now_known = replace(asked, job_id=job.job_id)
                self._asked = tuple(now_known if it is asked else it for it in self._asked)
                self._say_begun(now_known)

    def _say_begun(self, asked: _Asked) -> None:
        folder, name = self._folders[asked.root], printable(asked.path)
        if folder.is_away:
            reason = folder.stands.reason or "the share lets us wait"
            text = f"{name} will be cancelled when the share is back ({reason})."
            asked.reply(Outcome(How.BEGUN, text).as_json())
        elif self._clock.monotonic() >= asked.answer_by:
            asked.reply(Outcome(How.BEGUN, f"{name} is being cancelled.").as_json())

    def _close(self, asked: _Asked, how: How, text: str) -> None:
        self._asked = tuple(it for it in self._asked if it is not asked)
        asked.reply(Outcome(how, text).as_json())

    # Cancel files

    def _serve(self, root: str, cancel: Seen, plan: Plan) -> None:
        file = self._file(root, cancel)
        if file.is_leaving or file.is_stuck:
            return
        is_pending = [self._end_by_file(file, job) for job in self._namesakes(root, cancel)]
        for one in meant(cancel, plan):
            if self._withdraw(root, one):
                is_pending.append(True)
                file.has_cancelled = True
        if not any(is_pending):
            file.is_leaving = True
            self._folders[root].keeper.submit(orders.TakeAway(cancel))

    def _namesakes(self, root: str, cancel: Seen) -> Iterator[Job]:
        for job in self._jobs:
            is_near = job.root == root and job.job.folder == cancel.folder
            if is_near and means(cancel.name, job.job.image.name):
                yield job.job

    def _end_by_file(self, file: _File, job: Job) -> bool:
        """End a job; whether it is still on its way out."""
        found = self._jobs.get(job.job_id)
        assert found is not None
        match self._dismissal.end(found):
            case Progress.TOO_LATE:
                reason = f"{printable(job.path)} is being published or filed already"
                if reason not in file.hindrances:
                    file.hindrances.append(reason)
                return False
            case Progress.LATER | Progress.ENDING:
                file.has_cancelled = True
                return True

    def _withdraw(self, root: str, one: Withdrawal) -> bool:
        """Let files leave the inbox; whether they are still about to."""
        folder, key = self._folders[root], (root, one.image)
        if key in self._withdrawing:
            return True
        if folder.plan is not None and self._answered_in.get(key) is folder.plan:
            return False  # answered; the next look knows of it
        claimed = folder.claims.under_way | folder.claims.answered
        if any(seen.path == one.image for seen in claimed):
            return True  # claimed a moment ago: it is a job now, or is soon
        self._withdrawing.add(key)
        folder.keeper.submit(orders.Withdraw(one))
        return True

    def _file(self, root: str, cancel: Seen) -> _File:
        return self._files.setdefault((root, cancel), _File())

    def _forget_files(self, root: str, plan: Plan) -> None:
        gone = [it for it in self._files if it[0] == root and it[1] not in plan.cancels]
        for key in gone:
            if not self._files[key].is_leaving:
                del self._files[key]

    # What the keepers answer

    def filed(self, root: str, answer: orders.Filed) -> None:
        """Take note that a job was filed."""
        self._dismissal.filed(answer.job)
        if answer.state is not State.CANCELLED:
            return
        self._answered(root, answer.job.path)
        text = f"{printable(answer.job.path)} was cancelled; the originals are in {answer.where}."
        for asked in [it for it in self._asked if it.is_about(root, answer.job)]:
            self._close(asked, How.DONE, text)

    def not_withdrawn(self, root: str, answer: orders.NotWithdrawn) -> None:
        """Tell that files stay in the inbox, or are not there any more."""
        self._answered(root, answer.path)
        reason = f"{printable(answer.path)} cannot be cancelled: {answer.reason}"
        for asked in self._asked:
            if not asked.job_id and (asked.root, asked.path) == (root, answer.path):
                self._close(asked, How.REFUSED, f"{reason}.")
        for (at, cancel), file in self._files.items():
            is_near = at == root and cancel.folder == answer.path.rpartition("/")[0]
            if is_near and means(cancel.name, answer.path.rpartition("/")[2]):
                file.has_cancelled = False
                file.hindrances.append(reason)

    def taken_away(self, root: str, answer: orders.TakenAway) -> None:
        """Tell what is to be told of a cancel file that has done its work."""
        file = self._files.pop((root, answer.file), _File())
        path, at = printable(answer.file.path), self._folders[root].root
        if answer.reason:
            self._files[root, answer.file] = replace(file, is_leaving=False, is_stuck=True)
            self._tell(wishing.CancelStuck(root=at, path=path, reason=answer.reason))
        elif answer.where and not file.has_cancelled:
            reason = "; ".join(file.hindrances) or _NO_NAMESAKE
            where = printable(answer.where)
            self._tell(wishing.NothingCancelled(root=at, path=path, reason=reason, where=where))

    def _answered(self, root: str, path: str) -> None:
        if (root, path) in self._withdrawing:
            self._withdrawing.discard((root, path))
            self._answered_in[root, path] = self._folders[root].plan
