"""A hot folder read in place of its daemon: its inbox, its jobs left in work/, its day."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon.clock import last_midnight
from daemon.commands.traces import WHAT_THEY_WAIT_FOR, claimed_jobs, reviews_since
from daemon.control.documents import FolderStatus, JobStatus
from daemon.folder.documents import FolderSnapshot
from daemon.folder.messages import StatusChanged
from daemon.fs.errors import trouble_of
from daemon.fs.hot_folder import folder_id
from daemon.fs.local_dirs import LocalDirs
from daemon.fs.names import printable
from daemon.history import Counts, History
from daemon.inbox.inbox import Inbox, settle_rules, watch_mode_of
from daemon.job import FolderState, Job, Plan, State


@dataclass(frozen=True, slots=True)
class OfflineReader:
    """Says of one hot folder what its daemon would, and changes nothing.

    Raises UserError where the inbox cannot be read.
    """

    folder: FolderSettings
    settings: Settings
    default_steps: int
    local_dirs: LocalDirs

    def status(self) -> FolderStatus:
        """How it stands."""
        midnight, root = last_midnight(time.time()), self.folder.root
        return replace(
            self._snapshot(),
            jobs=tuple(map(_claimed, claimed_jobs(root))),
            today=self._counts_since(midnight),
            reviews=tuple(reviews_since(root, midnight)),
        ).status()

    def forecast(self, *, is_whole: bool) -> FolderStatus:
        """What would happen to its files, as a FolderSnapshot tells it."""
        return self._snapshot().forecast(is_whole=is_whole)

    def about(self, path: str) -> FolderStatus:
        """What is known of one file, by its path relative to the inbox."""
        return self._snapshot().about(path)

    def _snapshot(self) -> FolderSnapshot:
        plan = scan_offline(self.folder, self.settings, self.default_steps)
        stands = StatusChanged(FolderState.ONLINE, "")
        return FolderSnapshot(root=str(self.folder.root), stands=stands, plan=plan)

    def _counts_since(self, midnight: float) -> Counts:
        history = History(self.local_dirs.state, _say_nothing, look=True)
        try:
            return history.counts_since(folder_id(self.folder.root), midnight)
        finally:
            history.close()


def _say_nothing(_trouble: str) -> None:
    """Counts of an unreadable history are zero; `hotfolder run` says why."""


def _claimed(job: Job) -> JobStatus:
    return JobStatus(
        job_id=job.job_id,
        file=printable(job.path),
        state=State.CLAIMED,
        attempts=job.attempts,
        reason=WHAT_THEY_WAIT_FOR,
    )


def scan_offline(folder: FolderSettings, settings: Settings, default_steps: int) -> Plan:
    """Look at an inbox and change nothing; raises UserError where it cannot be read."""
    inbox = folder.root / "inbox"
    try:
        watch_mode = watch_mode_of(folder)
        opened_inbox = Inbox(
            inbox,
            replace(settle_rules(folder, watch_mode, final=False), settle_seconds=0.0),
            settings=settings,
            default_steps=default_steps,
            trust_inodes=not watch_mode.is_share,
        )
        return opened_inbox.scan(time.monotonic())
    except OSError as error:
        advice = f"mount the share, or run `hotfolder init {folder.root}`"
        problem = Problem(str(inbox), trouble_of(error, folder.root).reason, advice)
        raise UserError([problem]) from error
