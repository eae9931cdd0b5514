"""One editor process after the other on this machine, and which jobs it is at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from config.settings import ModelSettings
from daemon.fs.blocking import effort_of
from daemon.workers.backend import Busy, Condition, Dead, Idle, Loading, Lost
from daemon.workers.child import RESTART_SECONDS, ChildProcess, Ended, Said
from pipeline.editor import Done, EditRequest, Failed, Stage, Step
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


class EditorProcess:
    """The EditBackend of one process on this machine."""

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
        self._deaths_in_a_row = 0
        self._had_gpu = False
        # The last that we have killed, and why.
        self._killed: tuple[ChildProcess, str] | None = None
        self.child: ChildProcess | None = None  # of now; None where it is dead
        self._results: dict[str, Path] = {}  # where each picture of its batch goes, by request
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
        """See EditBackend; none is started beside a process that is leaving.

        The memory would have to hold two models.
        """
        if self._leaving and now < self._leaving[1]:
            return False
        match self.condition:
            case Dead(restart_at) if now >= restart_at or (at_once and restart_at < math.inf):
                self.child, self._prepared = self._prepared or self._started(), None
                self.child.send(self.opening)
                self.condition = Loading(now)
                return True
        return False

    def _started(self) -> ChildProcess:
        return ChildProcess(self._module, FromEditor, self._deliver)

    def edit(self, job_ids: frozenset[str], requests: tuple[EditRequest, ...], now: float) -> None:
        """See EditBackend."""
        assert isinstance(self.condition, Idle)
        self._results = {request.request_id: request.result for request in requests}
        ids = frozenset(self._results)
        self.condition = Busy(self.condition.facts, job_ids, ids, frozenset(), now, now)
        self._tell(EditBatch(requests))

    def drop(self, request_ids: frozenset[str]) -> None:
        """See EditBackend."""
        if isinstance(self.condition, Busy):
            dropped = self.condition.dropped | request_ids
            self.condition = replace(self.condition, dropped=dropped)
            self._tell(Drop(request_ids))

    def _tell(self, message: EditBatch | Drop) -> None:
        assert self.child is not None
        self.child.send(message)

    def heard(self, said: Said, now: float) -> FromEditor | None:
        """See EditBackend."""
        if said.child is not self.child or self._why_killed(said.child):
            return None
        before, message = self.condition, said.message
        after = _after(before, message, now) if isinstance(message, FromEditor) else None
        if after is None or not isinstance(message, FromEditor) or self._is_false(message):
            self._kill("it said what makes no sense")
            return None
        self._become(after)
        if isinstance(message, BatchDone):
            self._deaths_in_a_row = 0
        if isinstance(message, Ready):
            self._had_gpu |= message.facts.device == "cuda"
        return None if _is_dropped(before, message) else message

    def _is_false(self, message: FromEditor) -> bool:
        """Whether it says that a picture is done which it was not to make, or has not made.

        A pixel worker would find no file, and take that for a fault of the disk.
        """
        match self.condition, message:
            case Busy(dropped=dropped), Done(it, result) if it not in dropped:
                return result.path != self._results[it] or _is_missing(result.path)
            case _:
                return False

    def ended(self, ended: Ended, now: float) -> Lost | None:
        """See EditBackend."""
        if ended.child is not self.child:
            if self._leaving and self._leaving[0] is ended.child:
                self._leaving = None
            if self._prepared is ended.child:
                self._prepared = None
            return None
        before = self.condition
        wait = RESTART_SECONDS[min(self._deaths_in_a_row, len(RESTART_SECONDS) - 1)]
        self._deaths_in_a_row += 1
        self._become(Dead(now + wait))
        return Lost(
            job_ids=before.job_ids if isinstance(before, Busy) else frozenset(),
            how=self._why_killed(ended.child) or ended.how,
            last_words=ended.last_words,
            was_loading=isinstance(before, Loading),
            is_started=ended.is_started,
        )

    def loading_effort(self) -> int | None:
        """See EditBackend."""
        is_loading = isinstance(self.condition, Loading)
        return effort_of(self.child.pid) if self.child and is_loading else None

    def overdue_seconds(self, now: float) -> float:
        """See EditBackend."""
        match self.condition:
            case Loading(since):
                return now - since - LOAD_SECONDS
            case Busy(heard_at=heard_at):
                return now - heard_at - self.hang_seconds
            case Idle() | Dead():
                return -math.inf

    def kill_hung(self, now: float) -> None:
        """See EditBackend."""
        if self.overdue_seconds(now) > 0:
            is_loading = isinstance(self.condition, Loading)
            loads = f"still loading after {LOAD_SECONDS:g} s"
            self._kill(loads if is_loading else f"it said nothing for {self.hang_seconds:g} s")

    def _kill(self, why: str) -> None:
        assert self.child is not None
        self._killed = (self.child, why)
        self.child.kill()

    def _why_killed(self, child: ChildProcess) -> str:
        return self._killed[1] if self._killed and self._killed[0] is child else ""

    def dismiss(self, now: float) -> bool:
        """See EditBackend.

        The next one imports its libraries meanwhile: that is half of the time until it edits.
        """
        if self.child is None or isinstance(self.condition, Busy):
            return False
        self._let_leave(self.child, now)
        if self._kind != "echo":
            self._prepared = self._started()
            self._prepared.send(ImportLibraries(compiles=self.model.compile))
        return True

    def _let_leave(self, child: ChildProcess, now: float) -> None:
        child.kill()
        self._leaving = (child, now + _LEAVE_SECONDS)
        self._become(Dead(now))

    def reopen(self, model: ModelSettings, now: float) -> None:
        """See EditBackend."""
        self.model = model
        self._drop_prepared()  # it may have been prepared for other settings
        match self.condition:
            case Loading() | Idle() if self.child is not None:
                self._let_leave(self.child, now)
            case Dead(restart_at) if restart_at < math.inf:
                self.condition = Dead(now)  # what the last one died of may be mended
            case _:
                pass

    def _drop_prepared(self) -> None:
        if self._prepared is not None:
            self._prepared.kill()
            self._prepared = None

    def close(self) -> None:
        """See EditBackend."""
        self._drop_prepared()
        if self.child is not None:
            self.child.kill()
        self._become(Dead(math.inf))

    def _become(self, condition: Condition) -> None:
        self.condition = condition
        if isinstance(condition, Dead):
            self.child = None


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:  # a fault of the disk, which whoever opens the file tells
        return False
    return False


def _after(before: Condition, message: FromEditor, now: float) -> Condition | None:
    """The condition that a message leads to; None where it makes no sense."""
    after: Condition | None = None
    match before, message:
        case Loading(), Ready(facts):
            after = Idle(facts)
        case ((Loading() | Busy()), Unusable()):
            after = Dead(now)
        case ((Loading() | Idle()), Remark()):
            after = before
        case Busy(facts) as busy, BatchDone() if busy.open <= busy.dropped:
            after = Idle(facts)
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
