"""What the deciding thread needs of an editor, wherever it runs: how it stands, what it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from config.settings import ModelSettings
from daemon.workers.child import Ended, Said
from pipeline.editor import EditRequest, ModelFacts
from pipeline.ipc import FromEditor


@dataclass(frozen=True, slots=True)
class Dead:
    """There is no editor; the next one starts at `restart_at`."""

    restart_at: float


@dataclass(frozen=True, slots=True)
class Loading:
    """It has been started and opens its model."""

    since: float


@dataclass(frozen=True, slots=True)
class Idle:
    """The model is loaded."""

    facts: ModelFacts


@dataclass(frozen=True, slots=True)
class Busy:
    """Jobs are being edited, in one pass."""

    facts: ModelFacts
    job_ids: frozenset[str]
    open: frozenset[str]  # the ids of the requests that have not ended
    dropped: frozenset[str]  # of those that we want no more
    since: float
    heard_at: float


Condition = Dead | Loading | Idle | Busy


@dataclass(frozen=True, slots=True)
class Lost:
    """The editor is gone, and how."""

    job_ids: frozenset[str]  # that it was at
    how: str  # "killed by SIGSEGV", "it said nothing for 600 s"
    last_words: str
    was_loading: bool
    is_started: bool  # False: it could not even be started


class EditBackend(Protocol):
    """Opens one editor after the other, and edits with it; no call waits for it.

    Times are monotonic seconds. What an editor says, and its end, come by the mailbox of the
    deciding thread, which hands them over to `heard` and `ended`.
    """

    hang_seconds: float  # of silence, after which an editor at work is taken for hung

    @property
    def condition(self) -> Condition:
        """How it stands."""

    @property
    def model(self) -> ModelSettings:
        """What the editor of now is opened with, or else the next one."""

    @property
    def name(self) -> str:
        """What is loaded, for messages."""

    def start_if_due(self, now: float, *, at_once: bool) -> bool:
        """Start an editor when there is none and its time has come; whether it was started.

        `at_once`: its time has come now, unless the backend has been closed.
        """

    def edit(self, job_ids: frozenset[str], requests: tuple[EditRequest, ...], now: float) -> None:
        """Hand the requests of some jobs to the idle editor."""

    def drop(self, request_ids: frozenset[str]) -> None:
        """Let some requests leave the pass under way."""

    def heard(self, said: Said, now: float) -> FromEditor | None:
        """What the editor says; None from one that is dead to us, and of what is dropped.

        One that says what makes no sense is ended: nothing else from it can be trusted.
        """

    def ended(self, ended: Ended, now: float) -> Lost | None:
        """What was lost with an editor; None where its end was wanted.

        The next one starts at once, later each time after that.
        """

    def kill_hung(self, now: float) -> None:
        """End an editor that has been silent for too long."""

    def overdue_seconds(self, now: float) -> float:
        """For how long it should have been heard; from 0 on it is ended."""

    def loading_effort(self) -> int | None:
        """A number that grows while a model is really loaded; None where nothing can be seen."""

    def dismiss(self, now: float) -> bool:
        """End an editor that is not at work, which is no death; False where there is none."""

    def reopen(self, model: ModelSettings, now: float) -> None:
        """Open the next editor with these settings; one that is not at work makes room."""

    def close(self) -> None:
        """End the editor; none is started any more."""
