"""What the daemon says of itself: in one line to systemd, at length to whoever asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon import orders, status
from daemon.clock import Clock
from daemon.history import History
from daemon.job import NOTHING, FolderState
from daemon.rests import Rests
from daemon.watched import WatchedFolder
from daemon.work.active import Active, Resumable
from daemon.work.editor_line import EditorLine
from daemon.work.workshop import Workshop

_TALLY_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """What the history knows."""

    failed_today: int
    usual_seconds: float | None  # that a job takes


class Account:
    """Tells how the hot folders and their jobs stand at this moment."""

    def __init__(
        self,
        *,
        folders: Mapping[str, WatchedFolder],
        workshop: Workshop,
        editor: EditorLine,
        history: History,
        clock: Clock,
        rests: Rests,
    ) -> None:
        self._folders, self._workshop, self._rests = folders, workshop, rests
        self._editor, self._history, self._clock = editor, history, clock
        self._tally = _Tally(failed_today=0, usual_seconds=None)
        self._tallied_at, self._tallied_ends = -math.inf, 0

    def line(self) -> str:
        """All in one line."""
        folders = self._folders.values()
        if all(folder.is_standby for folder in folders):
            return "stands by: another daemon leads"
        ready = sum(len(folder.plan.ready) for folder in folders if folder.plan is not None)
        waiting = sum(folder.waiting for folder in folders)
        halt = self._workshop.restraint.reason() or self._rest()
        tally = self._tallied()
        return status.line(
            self._workshop.jobs,
            ready=ready,
            waiting=waiting,
            halt=halt,
            usual_seconds=tally.usual_seconds,
            failed_today=tally.failed_today,
            shares=status.shares({root: it.stands.state for root, it in self._folders.items()}),
        )

    def _rest(self) -> str:
        """Why no job is begun in any of them, where that is so."""
        reasons = [self._rests.reason(root) for root in self._folders]
        return reasons[0] if all(reasons) else ""

    def _tallied(self) -> _Tally:
        # Asked for every second; the history is asked where a job has ended, or a day may have.
        now, ends = self._clock.monotonic(), self._workshop.endings.ended
        if ends != self._tallied_ends or now - self._tallied_at > _TALLY_SECONDS:
            midnight = _midnight(self._clock.time())
            identities = [folder.keeper.identity for folder in self._folders.values()]
            counts = [self._history.counts_since(one, midnight) for one in identities]
            self._tally = _Tally(
                failed_today=sum(count.failed + count.quarantined for count in counts),
                usual_seconds=self._history.usual_seconds(),
            )
            self._tallied_at, self._tallied_ends = now, ends
        return self._tally

    def of(self, root: str) -> status.Document:
        """How one hot folder stands, for `hotfolder status`."""
        editor = status.editor_document(self._editor.condition, self._workshop.edits.facts)
        folder = self._folders.get(root)
        if folder is None:
            return status.document([], editor)
        plan = folder.plan or NOTHING
        now, midnight = self._clock.monotonic(), _midnight(self._clock.time())
        jobs = [
            status.job_document(job, now, self._typical_seconds(job))
            for job in self._workshop.jobs
            if job.root == root
        ]
        today = self._history.counts_since(folder.keeper.identity, midnight)
        reviews = self._workshop.endings.reviews_since(root, midnight)
        mine = status.folder_document(
            root, self.stands(folder), plan, jobs, today, reviews=reviews
        )
        return status.document([mine], editor)

    def stands(self, folder: WatchedFolder) -> orders.Stands:
        """How a hot folder stands for people: paused where no job is begun."""
        halt = self._workshop.restraint.reason() or self._rests.reason(str(folder.root))
        if halt and folder.stands.state is FolderState.ONLINE:
            return orders.Stands(FolderState.PAUSED, halt)
        return folder.stands

    def _typical_seconds(self, job: Active | Resumable) -> float | None:
        if isinstance(job, Active):
            recipe = job.task.recipe
            return self._history.typical_seconds(recipe.steps * recipe.variants)
        return None


def _midnight(unix_time: float) -> float:
    now = datetime.fromtimestamp(unix_time, UTC).astimezone()
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
