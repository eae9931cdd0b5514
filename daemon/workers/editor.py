"""The editor process as the daemon knows it: loading, idle, busy with a job, or dead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from config.settings import ModelSettings
from daemon.workers.child import RESTART_SECONDS, ChildProcess, Ended, Said
from pipeline.editor import Done, EditRequest, Failed, ModelFacts, Stage, Step
from pipeline.ipc import (
    BatchDone,
    Drop,
    EditBatch,
    FromEditor,
    ImportLibraries,
    OpenEditor,
    Ready,
    Remark,
    Unusable,
)

EDITOR_MODULE = "pipeline.editor_worker"
LOAD_SECONDS = 3600.0  # 58 GB from a slow disk
_LEAVE_SECONDS = 60.0  # that a process which was ended has to free the memory for the next


@dataclass(frozen=True, slots=True)
class Dead:
    """No process; the next one starts at `restart_at`."""

    restart_at: float


@dataclass(frozen=True, slots=True)
class Loading:
    """The process has been started and opens its model."""

    child: ChildProcess
    since: float


@dataclass(frozen=True, slots=True)
class Idle:
    """The model is loaded."""

    child: ChildProcess
    facts: ModelFacts


@dataclass(frozen=True, slots=True)
class Busy:
    """Jobs are being edited, in one pass."""

    child: ChildProcess
    facts: ModelFacts
    job_ids: frozenset[str]
    open: frozenset[str]  # the ids of the requests that have not ended
    dropped: frozenset[str]  # of those that we want no more
    since: float
    heard_at: float


Condition = Dead | Loading | Idle | Busy


class EditorProcess:
    """Starts the editor process, restarts it, and knows which job it is at."""

    def __init__(
        self,
        kind: str,
        model: ModelSettings,
        deliver: Callable[[Said | Ended], None],
        module: str = EDITOR_MODULE,
    ) -> None:
        self._kind, self._deliver, self._module = kind, deliver, module
        self.model = model  # that the process of now, or else the next one, is opened with
        self.hang_seconds = model.hang_seconds
        # One that makes room for the next, and until when the next waits for its end.
        self._leaving: tuple[ChildProcess, float] | None = None
        # The next, once one was dismissed: its libraries are imported, it has no model yet.
        self._prepared: ChildProcess | None = None
        self.deaths_in_a_row = 0
        self._had_gpu = False
        self._killed: tuple[ChildProcess, str] | None = (
            None  # the last that we have killed, and why
        )
        self.condition: Condition = Dead(restart_at=0.0)

    @property
    def name(self) -> str:
        """What is loaded, for messages."""
        return self._kind if self._kind == "echo" else str(self.model.path)

    @property
    def opening(self) -> OpenEditor:
        """What the next process is told first."""
        return OpenEditor(self._kind, self.model, needs_gpu=self._had_gpu)

    def start_if_due(self, now: float, *, at_once: bool) -> bool:
        """Start the process when there is none and its time has come; whether it was started.

        `at_once`: its time has come now, unless it has been closed. None is started beside one
        that is leaving: the memory would have to hold two models.
        """
        if self._leaving and now < self._leaving[1]:
            return False
        match self.condition:
            case Dead(restart_at) if now >= restart_at or (at_once and restart_at < math.inf):
                child, self._prepared = self._prepared or self._started(), None
                child.send(self.opening)
                self.condition = Loading(child, now)
                return True
        return False

    def _started(self) -> ChildProcess:
        return ChildProcess(self._module, FromEditor, self._deliver)

    def edit(self, job_ids: frozenset[str], requests: tuple[EditRequest, ...], now: float) -> None:
        """Hand the requests of some jobs to the idle editor."""
        assert isinstance(self.condition, Idle)
        child, facts = self.condition.child, self.condition.facts
        ids = frozenset(request.request_id for request in requests)
        self.condition = Busy(child, facts, job_ids, ids, frozenset(), now, now)
        child.send(EditBatch(requests))

    def heard(self, said: Said, now: float) -> FromEditor | None:
        """What the process says; None from one that is dead to us, and of what is dropped.

        One that says what makes no sense is ended: nothing else from it can be trusted.
        """
        if self._why_killed(said.child) or not self.is_mine(said.child):
            return None
        before, message = self.condition, said.message
        after = _after(before, message, now) if isinstance(message, FromEditor) else None
        if after is None or not isinstance(message, FromEditor):
            self._kill(said.child, "it said what makes no sense")
            return None
        self.condition = after
        if isinstance(message, BatchDone):
            self.deaths_in_a_row = 0
        if isinstance(message, Ready):
            self._had_gpu |= message.facts.device == "cuda"
        return None if _is_dropped(before, message) else message

    def drop(self, request_ids: frozenset[str]) -> None:
        """Let some requests leave the pass under way."""
        if isinstance(self.condition, Busy):
            dropped = self.condition.dropped | request_ids
            self.condition = replace(self.condition, dropped=dropped)
            self.condition.child.send(Drop(request_ids))

    def ended(self, ended: Ended, now: float) -> frozenset[str]:
        """The process is gone: the ids of the jobs that it was at.

        The next process starts at once, later each time after that.
        """
        match self.condition:
            case Loading(child) | Idle(child) | Busy(child) if child is ended.child:
                busy = self.condition if isinstance(self.condition, Busy) else None
                wait = RESTART_SECONDS[min(self.deaths_in_a_row, len(RESTART_SECONDS) - 1)]
                self.deaths_in_a_row += 1
                self.condition = Dead(now + wait)
                return busy.job_ids if busy else frozenset()
        return frozenset()

    def is_mine(self, child: ChildProcess) -> bool:
        """Whether that is the process of now."""
        match self.condition:
            case Loading(mine) | Idle(mine) | Busy(mine):
                return mine is child
            case Dead():
                return False

    @property
    def loading(self) -> ChildProcess | None:
        """The process that opens its model now."""
        return self.condition.child if isinstance(self.condition, Loading) else None

    def overdue_seconds(self, now: float) -> float:
        """For how long it should have been heard; from 0 on it is killed."""
        match self.condition:
            case Loading(since=since):
                return now - since - LOAD_SECONDS
            case Busy(heard_at=heard_at):
                return now - heard_at - self.hang_seconds
            case Idle() | Dead():
                return -math.inf

    def kill_hung(self, now: float) -> None:
        """Kill a process that has been silent for too long."""
        match self.condition:
            case Loading(child, since) if now - since > LOAD_SECONDS:
                self._kill(child, f"still loading after {LOAD_SECONDS:g} s")
            case Busy(child, heard_at=heard_at) if now - heard_at > self.hang_seconds:
                self._kill(child, f"it said nothing for {self.hang_seconds:g} s")
            case _:
                pass

    def how(self, ended: Ended) -> str:
        """How the process ended: killed by us, or by itself."""
        return self._why_killed(ended.child) or ended.how

    def _kill(self, child: ChildProcess, why: str) -> None:
        self._killed = (child, why)
        child.kill()

    def _why_killed(self, child: ChildProcess) -> str:
        return self._killed[1] if self._killed and self._killed[0] is child else ""

    def dismiss(self, now: float) -> bool:
        """End an idle process, which is no death; False where there is none.

        The next one imports its libraries meanwhile: that is half of the time until it edits.
        """
        match self.condition:
            case Loading(child) | Idle(child):
                self._let_leave(child, now)
                if self._kind != "echo":
                    self._prepared = self._started()
                    self._prepared.send(ImportLibraries(compiles=self.model.compile))
                return True
            case Busy() | Dead():
                return False

    def reopen(self, model: ModelSettings, now: float) -> None:
        """Let the next process be opened with these settings; one that is not busy makes room."""
        self.model = model
        self._drop_prepared()  # it may have been prepared for other settings
        match self.condition:
            case Loading(child) | Idle(child):
                self._let_leave(child, now)
            case Dead(restart_at) if restart_at < math.inf:
                self.condition = Dead(now)  # what the last one died of may be mended
            case Busy() | Dead():
                pass

    def _let_leave(self, child: ChildProcess, now: float) -> None:
        child.kill()
        self._leaving = (child, now + _LEAVE_SECONDS)
        self.condition = Dead(now)

    def left(self, child: ChildProcess) -> None:
        """Take note of the end of a process that is not ours any more."""
        if self._leaving and self._leaving[0] is child:
            self._leaving = None
        if self._prepared is child:
            self._prepared = None

    def _drop_prepared(self) -> None:
        if self._prepared is not None:
            self._prepared.kill()
            self._prepared = None

    def close(self) -> None:
        """End the process."""
        self._drop_prepared()
        match self.condition:
            case Loading(child) | Idle(child) | Busy(child):
                child.kill()
            case Dead():
                pass
        self.condition = Dead(math.inf)


def _after(before: Condition, message: FromEditor, now: float) -> Condition | None:
    """The condition that a message leads to; None where it makes no sense."""
    after: Condition | None = None
    match before, message:
        case Loading(child), Ready(facts):
            after = Idle(child, facts)
        case ((Loading() | Busy()), Unusable()):
            after = Dead(now)
        case ((Loading() | Idle()), Remark()):
            after = before
        case Busy(child, facts) as busy, BatchDone() if busy.open <= busy.dropped:
            after = Idle(child, facts)
        case Busy() as busy, Remark():
            after = replace(busy, heard_at=now)
        case Busy() as busy, (Stage() | Step()) if message.request_id in busy.open | busy.dropped:
            after = replace(busy, heard_at=now)
        case Busy() as busy, (Done(it) | Failed(it)) if it in busy.open | busy.dropped:
            after = replace(busy, open=busy.open - {it}, heard_at=now)
    return after


def _is_dropped(condition: Condition, message: FromEditor) -> bool:
    match condition, message:
        case Busy(dropped=dropped), (Stage(it) | Step(it) | Done(it) | Failed(it)):
            return it in dropped
        case _:
            return False
