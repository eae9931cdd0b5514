"""What passes between the daemon and those who ask it: requests, results, how things stand.

The names of the fields are the keys of what `--json` writes; what is None is left out there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.events.text import duration, ordinal, roughly
from daemon.fs.names import Kind, kind_of
from daemon.history import Counts
from daemon.job import FolderState, State

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPreview:
    """A job that has not begun."""

    prompt: str  # its beginning, in quotes
    choices: str  # "10 steps, seed drawn, size original"
    results: tuple[str, ...]  # relative to the root; "_s…" where the seed is still to be drawn
    notes: tuple[str, ...]  # plain sentences: which limits were applied
    recipe: Mapping[str, object] | None = None  # a valid sidecar; None: nobody has asked for it


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a waiting job comes, and when it is done."""

    ahead: int  # jobs that come before it
    queued: int  # jobs that wait, this one included
    eta_seconds: float | None  # until its results are there; None: nobody knows

    def __str__(self) -> str:
        place = f"{ordinal(self.ahead + 1)} of {self.queued}"
        if self.eta_seconds is None:
            return place
        return f"{place}, in about {roughly(self.eta_seconds)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """One file of the inbox."""

    file: str
    state: State
    reason: str
    problems: tuple[str, ...] = ()
    job: JobPreview | None = None  # that it would make, as far as that is asked for and known
    read_as: str | None = None  # the name for which it stands: its own has an ending too many
    ahead: int | None = None  # of an image that is ready: jobs that come before it
    queued: int | None = None  # jobs that wait
    eta_seconds: float | None = None  # until its results are there

    @property
    def text(self) -> str:
        """Its reason, and where it comes: "ready, 3rd of 12, in about 4 min"."""
        return self.reason if self.turn is None else f"{self.reason}, {self.turn}"

    @property
    def turn(self) -> Turn | None:
        """Where it comes, as far as it waits for its turn."""
        return turn_of(self)

    @property
    def kind(self) -> Kind:
        """What its name says that it is."""
        return kind_of(self.file.rpartition("/")[2])

    @property
    def is_worth_a_line(self) -> bool:
        """Whether it says more than the lines of the images do."""
        if self.read_as is not None:
            return True
        match self.kind:
            case Kind.SIDECAR:  # one that serves an image stands as its image does
                return self.state is State.WAITING_SIDECAR
            case Kind.PRESET:
                return self.state is not State.SEEN
            case _:
                return True


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredFile:
    """One file of the inbox that is left alone."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStatus:
    """A result that needs a look."""

    file: str  # the original, relative to the inbox
    result: str  # relative to the root
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job under way."""

    job_id: str
    file: str
    state: State
    attempts: int
    reason: str | None = None
    variant: int | None = None
    step: int | None = None
    steps: int | None = None
    seconds: float | None = None
    eta_seconds: float | None = None
    retry_in_seconds: float | None = None
    ahead: int | None = None  # of one that waits for the editor: jobs that come before it
    queued: int | None = None  # jobs that wait

    @property
    def text(self) -> str:
        """How far it is: "step 3 of 10, about 12 s more"; may be empty."""
        return ", ".join(self._progress())

    def _progress(self) -> Iterator[str]:
        if self.reason:
            yield self.reason
        if self.steps:
            yield f"step {self.step} of {self.steps}"
        if self.variant is not None and self.variant > 1:
            yield f"variant {self.variant}"
        if (turn := turn_of(self)) is not None:
            yield str(turn)
        elif self.eta_seconds is not None:
            yield f"about {roughly(self.eta_seconds)} more"
        if self.retry_in_seconds is not None:
            yield f"tried again in {duration(self.retry_in_seconds)}"
        if self.attempts > 1:
            yield f"attempt {self.attempts}"


def turn_of(one: FileStatus | JobStatus) -> Turn | None:
    """Where a picture or a claimed job comes; None where it does not wait for its turn."""
    if one.ahead is None or one.queued is None:
        return None
    return Turn(one.ahead, one.queued, one.eta_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatus:
    """One hot folder, as far as is asked for."""

    root: str
    state: FolderState
    reason: str
    counts: Mapping[str, int]  # of files and jobs, by their states
    today: Counts
    reviews: tuple[ReviewStatus, ...] = ()
    jobs: tuple[JobStatus, ...] = ()
    files: tuple[FileStatus, ...] = ()
    ignored: tuple[IgnoredFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStatus:
    """All that a running daemon says of itself."""

    schema: int
    running: bool
    pid: int
    version: str
    editor: Mapping[str, str]  # its state and, where it is open, its model
    folders: tuple[FolderStatus, ...]  # none where the daemon does not know of its files yet


class ResultCode(StrEnum):
    """How a request stands."""

    DONE = "done"
    BEGUN = "begun"  # it will be done, whoever asks may go
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no such job or file
    STANDBY = "standby"  # another daemon leads the hot folder: ask that one


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of it, and one or more plain sentences about it."""

    how: ResultCode
    text: str
    roots: tuple[str, ...] = ()  # of all hot folders, where it is not about one alone

    @property
    def is_fine(self) -> bool:
        """Whether what was asked for is done, or will be."""
        return self.how in (ResultCode.DONE, ResultCode.BEGUN)


Document = Mapping[str, object] | DaemonStatus | CommandResult
# From any thread; the first reply counts, and one with the key "error" is a refusal. A large one
# is made by who sends it: the thread that replies decides for all.
Reply = Callable[[Document | Callable[[], Document]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks of the daemon about one hot folder."""

    verb: str
    root: Path
    arguments: Mapping[str, str]
    reply: Reply
