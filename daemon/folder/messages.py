"""What the deciding thread asks of a folder worker, and what the worker replies."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from config.problems import Problem
from config.settings import Lora, Settings
from daemon.control.documents import CommandResult, Reply, ResultCode
from daemon.events.events import Event
from daemon.fs.names import printable
from daemon.inbox.cancel_files import WaitingJob
from daemon.job import (
    Candidate,
    FileState,
    FolderState,
    Job,
    Plan,
    ResolvedJob,
    Seen,
    State,
    without_image,
    without_jobs_of,
)
from daemon.spool.again import Changes
from daemon.spool.failed_jobs import FailedJob
from daemon.spool.receipts import FailureReason, FinishedJob
from pipeline.recipe import Defaults

_IN_DOUBT = "it is looked at again in a moment"
_ADVICE = "ask the daemon that works on it"


@dataclass(frozen=True, slots=True)
class Scan:
    """Scan the inbox now; sent by the watcher too."""


@dataclass(frozen=True, slots=True)
class ClaimNext:
    """Claim the best candidate of the newest plan, which the worker alone has."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Take a candidate's files; those in `kept` as copies. For the executor, by its worker."""

    candidate: Candidate
    kept: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Begin another attempt of a job that lies in work/."""

    job: Job
    strike: bool  # whether its last end counts against it
    alone: bool  # whether it is to run alone now
    counts: bool = True  # whether its last run was an attempt


@dataclass(frozen=True, slots=True)
class Publish:
    """Put the results into the outbox and file the originals."""

    finished: FinishedJob
    replaces: tuple[str, ...]  # results of an earlier job of the same name and content

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.finished.job


@dataclass(frozen=True, slots=True)
class FileFailed:
    """File the originals beside a WHY.txt."""

    job: Job
    why: FailureReason
    instruction: str


@dataclass(frozen=True, slots=True)
class FileDone:
    """File the originals of a job that needs no result."""

    job: Job
    state: State
    earlier: tuple[str, ...]  # the results that it already has


@dataclass(frozen=True, slots=True)
class Release:
    """Put the originals back into the inbox."""

    job: Job


@dataclass(frozen=True, slots=True)
class AppendLog:
    """Write a line for people into logs/."""

    event: Event
    at: float  # Unix time


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Have STATUS.txt say this of the jobs that lie in failed/ under a day."""

    day: str  # 2026-11-28
    text: Callable[[Sequence[FailedJob]], str]


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Go on with other settings, and the defaults of their model."""

    settings: Settings
    defaults: Defaults


@dataclass(frozen=True, slots=True)
class LookForPause:
    """Look whether somebody has paused the hot folder, or let it go on."""


@dataclass(frozen=True, slots=True)
class SetPause:
    """Pause the hot folder by hand, or let it go on, and answer who asked for it."""

    paused: bool
    after: str  # how the sentence that answers goes on
    reply: Reply


@dataclass(frozen=True, slots=True)
class Stop:
    """End when all commands before this one are done."""


@dataclass(frozen=True, slots=True)
class DropScratch:
    """Clear the scratch of a cancelled job: nobody is at it any more."""

    job: Job


@dataclass(frozen=True, slots=True)
class CancelWaiting:
    """File files of the inbox as cancelled."""

    waiting_job: WaitingJob


@dataclass(frozen=True, slots=True)
class FileAway:
    """Move a file that has served its purpose from the inbox to done/."""

    file: Seen


@dataclass(frozen=True, slots=True)
class Requeue:
    """Move the originals of a failed job to where they came from."""

    folder: str  # of failed/, relative to the root


@dataclass(frozen=True, slots=True)
class EditAgain:
    """Put the originals of a result into the inbox, to be edited anew."""

    result: str  # relative to the root
    changes: Changes


@dataclass(frozen=True, slots=True)
class Judge:
    """Move a result of review to where it belongs."""

    result: str  # relative to the root
    is_accepted: bool
    reason: str = ""  # of a rejection


ResultRequest = EditAgain | Judge
FileRequest = CancelWaiting | FileAway | Requeue | ResultRequest


def subject_of_request(request: FileRequest) -> str:
    """The file, or the folder of a failed job, that a request is about."""
    match request:
        case CancelWaiting(waiting_job):
            return waiting_job.image
        case FileAway(file):
            return file.path
        case Requeue(folder):
            return folder
        case EditAgain(result=path) | Judge(result=path):
            return path
        case _:
            assert_never(request)


JobCommand = Reclaim | Publish | FileFailed | FileDone | Release | DropScratch  # on a claimed job
ExecutorCommand = Claim | JobCommand | FileRequest

PauseCommand = LookForPause | SetPause
LogCommand = AppendLog | WriteStatus
FolderCommand = (
    Scan | ClaimNext | JobCommand | FileRequest | LogCommand | Reconfigure | PauseCommand | Stop
)


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """How the hot folder stands now."""

    state: FolderState
    reason: str
    is_passing: bool = False  # whether it will stand otherwise before long, by itself


@dataclass(frozen=True, slots=True)
class PauseChanged:
    """The hot folder is paused by hand now, or no more."""

    is_paused: bool


@dataclass(frozen=True, slots=True)
class Scanned:
    """A new plan of the inbox."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Recovered:
    """Jobs of an earlier daemon that lie in work/."""

    jobs: tuple[Job, ...]  # to be begun again
    finished: tuple[FinishedJob, ...] = ()  # whose results lie on scratch, whole


@dataclass(frozen=True, slots=True)
class EventRaised:
    """Something to be told of the hot folder."""

    event: Event


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job is ours, its copies lie on scratch, its attempt is counted."""

    resolved_job: ResolvedJob
    loras: Mapping[str, Lora]  # that its recipe was resolved by


@dataclass(frozen=True, slots=True)
class Rejected:
    """A job is ours, but what was written or dropped cannot be used."""

    job: Job
    problems: tuple[Problem, ...]
    instruction: str


@dataclass(frozen=True, slots=True)
class ClaimLost:
    """Nothing was ready, or the best candidate cannot be claimed now: it stays where it is."""


@dataclass(frozen=True, slots=True)
class FilesGone:
    """A claimed job's files were taken away by somebody."""

    job: Job


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Another daemon leads now: a job is its, and nothing was done about it."""

    job: Job


@dataclass(frozen=True, slots=True)
class Published:
    """All results and receipts of a job are in the outbox."""

    finished: FinishedJob
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundPublished:
    """An earlier daemon published all results of a job; more than their names nobody knows."""

    job: Job
    results: tuple[str, ...]  # relative to the root


@dataclass(frozen=True, slots=True)
class Filed:
    """A job's originals have left work/."""

    job: Job
    state: State
    where: str  # relative to the root
    cause: str
    advice: str
    earlier: tuple[str, ...] = ()  # of a duplicate: the results that it already has


@dataclass(frozen=True, slots=True)
class Released:
    """A job's originals are in the inbox again."""

    job: Job


@dataclass(frozen=True, slots=True)
class Held:
    """A job's originals can neither be used nor filed; they stay in work/; the plan says why."""

    job: Job
    reason: str  # in one phrase


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """Files of the inbox could not be cancelled, and why."""

    path: str  # of the image
    reason: str


@dataclass(frozen=True, slots=True)
class FiledAway:
    """A file that has served its purpose is in done/, or not: then there may be a reason."""

    file: Seen
    where: str  # relative to the root; "" where it is in the inbox still, or gone
    reason: str


@dataclass(frozen=True, slots=True)
class Requeued:
    """The originals of a failed job are in the inbox again, or what hinders it."""

    folder: str  # of failed/, relative to the root
    paths: tuple[str, ...]  # in the inbox
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class ResultHandled:
    """What came of a request about a result."""

    request: ResultRequest
    paths: tuple[str, ...]  # in the inbox, or where the result lies now, relative to the root
    problems: tuple[Problem, ...]
    job_id: str = ""  # of the result, where that was moved
    picture: str = ""  # that it was made of, relative to the inbox


LetGo = Released | Held | LeaseLost | FilesGone  # a job is under way no more, and not filed
JobLeft = Filed | LetGo
JobReply = Recovered | Claimed | Rejected | ClaimLost | Published | FoundPublished | JobLeft
FileRequestReply = CancelRefused | FiledAway | Requeued | ResultHandled

FolderReply = StatusChanged | PauseChanged | Scanned | EventRaised | JobReply | FileRequestReply


@dataclass(frozen=True, slots=True)
class FromFolder:
    """A reply, and from which hot folder."""

    root: str
    reply: FolderReply


def plan_after(plan: Plan, reply: FolderReply) -> Plan:
    """The plan when its best candidate was claimed, or could not be, or a file was cancelled.

    Worker and deciding thread both go by it, so that neither has a plan older than a reply.
    """
    match reply:
        case Claimed(ResolvedJob(job=job)) | Rejected(job) | Filed(job):
            return without_image(plan, job.path)
        case ClaimLost() | FilesGone() if plan.ready:
            file = FileState(plan.ready[0].image.path, State.SETTLING, _IN_DOUBT)
            return without_jobs_of(plan, [file])
        case _:
            return plan


def reply_when_standby(command: FolderCommand, leader: str) -> FolderReply | None:
    """The answer; None where none is waited for. `leader` says who leads, in words."""
    match command:
        case ClaimNext():
            return ClaimLost()
        case Reclaim() | Publish() | FileFailed() | FileDone() | Release():
            return LeaseLost(command.job)
        case CancelWaiting() | FileAway() | Requeue() | EditAgain() | Judge():
            return refusal(command, leader, _ADVICE, reason=f"{leader}: {_ADVICE}")
        case Scan() | DropScratch() | AppendLog() | WriteStatus() | Reconfigure():
            return None
        case LookForPause() | Stop():
            return None
        case SetPause(reply=reply):
            reply(standing_by(leader))
            return None
        case _:
            assert_never(command)


def standing_by(reason: str) -> CommandResult:
    """The answer of a daemon to what only the one that leads can do; the reason names that."""
    text = f"Nothing was done: this daemon, process {os.getpid()}, is on standby ({reason})."
    return CommandResult(ResultCode.STANDBY, text)


def unchanged(reason: str) -> CommandResult:
    """The answer where a hot folder is away."""
    text = f"Nothing was changed: {reason}. No job is begun meanwhile; ask again when it is over."
    return CommandResult(ResultCode.REFUSED, text)


def refusal(request: FileRequest, what: str, advice: str, *, reason: str) -> FileRequestReply:
    """The answer to a request that is not granted; `reason` says what and advice in one phrase."""
    match request:
        case CancelWaiting(waiting_job):
            return CancelRefused(waiting_job.image, reason)
        case FileAway(file):
            return FiledAway(file, "", reason)
        case Requeue(folder):
            return Requeued(folder, (), (Problem(printable(folder), what, advice),))
        case EditAgain(result=path) | Judge(result=path):
            return ResultHandled(request, (), (Problem(printable(path), what, advice),))
        case _:
            assert_never(request)
