"""What the service asks of a hot folder's keeper, and what the keeper answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.problems import Problem
from config.settings import Lora, Settings
from daemon.inbox.cancels import Withdrawal
from daemon.job import Candidate, FolderState, Job, Plan, Seen, State, Task
from daemon.log.story import Event
from daemon.receipt import Finished, Why


@dataclass(frozen=True, slots=True)
class Look:
    """Look at the inbox now; sent by the watcher too."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Take a candidate's files; those in `kept` as copies."""

    candidate: Candidate
    kept: frozenset[str]


@dataclass(frozen=True, slots=True)
class Resume:
    """Begin another attempt of a job that lies in work/."""

    job: Job
    strike: bool  # whether its last end counts against it
    alone: bool  # whether it is to run alone now
    counts: bool = True  # whether its last run was an attempt


@dataclass(frozen=True, slots=True)
class Publish:
    """Put the results into the outbox and file the originals."""

    finished: Finished
    replaces: tuple[str, ...]  # results of an earlier job of the same name and content


@dataclass(frozen=True, slots=True)
class FileFailed:
    """File the originals beside a WHY.txt."""

    job: Job
    why: Why
    instruction: str


@dataclass(frozen=True, slots=True)
class FileDone:
    """File the originals of a job that needs no result."""

    job: Job
    state: State
    earlier: tuple[str, ...]  # the results that it already has


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Put the originals back into the inbox."""

    job: Job


@dataclass(frozen=True, slots=True)
class Write:
    """Write a line for people into logs/."""

    event: Event
    at: float  # Unix time


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Go on with other settings."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Quit:
    """End when all orders before this one are done."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Clear the scratch of a cancelled job: nobody is at it any more."""

    job: Job


@dataclass(frozen=True, slots=True)
class Withdraw:
    """File files of the inbox as cancelled."""

    withdrawal: Withdrawal


@dataclass(frozen=True, slots=True)
class TakeAway:
    """Move a file that has served its purpose from the inbox to done/."""

    file: Seen


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Move the originals of a failed job to where they came from."""

    folder: str  # of failed/, relative to the root


Wish = Withdraw | TakeAway | TakeBack

JobOrder = Claim | Resume | Publish | FileFailed | FileDone | GiveBack | Forget | Wish

Order = Look | JobOrder | Write | Reconfigure | Quit


@dataclass(frozen=True, slots=True)
class Stands:
    """How the hot folder stands now."""

    state: FolderState
    reason: str
    is_passing: bool = False  # whether it will stand otherwise before long, by itself


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Recovered:
    """Jobs of an earlier daemon that lie in work/."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Shelved:
    """A job of an earlier daemon whose results lie on scratch, whole."""

    finished: Finished


@dataclass(frozen=True, slots=True)
class Told:
    """Something to be told of the hot folder."""

    event: Event


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job is ours, its copies lie on scratch, its attempt is counted."""

    task: Task
    loras: Mapping[str, Lora]  # that its recipe was resolved by


@dataclass(frozen=True, slots=True)
class Invalid:
    """A job is ours, but what was written or dropped cannot be used."""

    job: Job
    problems: tuple[Problem, ...]
    instruction: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The files changed before they could be claimed; they stay where they are."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Vanished:
    """A claimed job's files were taken away by somebody."""

    job: Job


@dataclass(frozen=True, slots=True)
class Passed:
    """Another daemon leads now: a job is its, and nothing was done about it."""

    job: Job


@dataclass(frozen=True, slots=True)
class Published:
    """All results and receipts of a job are in the outbox."""

    finished: Finished
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
class GivenBack:
    """A job's originals are in the inbox again."""

    job: Job


@dataclass(frozen=True, slots=True)
class Held:
    """A job's originals can neither be used nor filed; they stay in work/; the plan says why."""

    job: Job


@dataclass(frozen=True, slots=True)
class NotWithdrawn:
    """Files of the inbox could not be cancelled, and why."""

    path: str  # of the image
    reason: str


@dataclass(frozen=True, slots=True)
class TakenAway:
    """A file that has served its purpose is in done/, or not: then there may be a reason."""

    file: Seen
    where: str  # relative to the root; "" where it is in the inbox still, or gone
    reason: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The originals of a failed job are in the inbox again, or what hinders it."""

    folder: str  # of failed/, relative to the root
    paths: tuple[str, ...]  # in the inbox
    problems: tuple[Problem, ...]


Answer = (
    Stands
    | Looked
    | Recovered
    | Shelved
    | Told
    | Claimed
    | Invalid
    | Lost
    | Vanished
    | Passed
    | Published
    | FoundPublished
    | Filed
    | GivenBack
    | Held
    | NotWithdrawn
    | TakenAway
    | TakenBack
)


@dataclass(frozen=True, slots=True)
class FromKeeper:
    """An answer, and of which hot folder."""

    root: str
    answer: Answer
