"""A hot folder read in place of its daemon: its inbox, its jobs left in work/, its day."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon.clock import last_midnight, local_time
from daemon.commands.traces import WHAT_THEY_WAIT_FOR, claimed_jobs, reviews_since
from daemon.control.documents import JobStatus
from daemon.folder.documents import FolderSnapshot
from daemon.folder.messages import StatusChanged
from daemon.fs.errors import trouble_of
from daemon.fs.hot_folder import folder_id
from daemon.fs.local import nearest_existing
from daemon.fs.local_dirs import LocalDirs
from daemon.fs.names import printable
from daemon.history import Counts, History
from daemon.inbox.inbox import Inbox, watch_mode_of
from daemon.job import FolderState, Job, State
from daemon.service.pause import PauseFlags, why_paused
from daemon.service.queue import places_of
from daemon.spool.disk_space import room
from pipeline.recipe import Defaults, RecipeRules


def read_inbox(folder: FolderSettings, settings: Settings, defaults: Defaults) -> FolderSnapshot:
    """Look into an inbox and change nothing; raises UserError where it cannot be read."""
    try:
        at_once = replace(watch_mode_of(folder), settle_seconds=0.0)
        rules = RecipeRules.of(settings, defaults, folder.keys)
        plan = Inbox.of(folder, at_once, rules, final=False).scan(time.monotonic())
    except OSError as error:
        advice = f"mount the share, or run `hotfolder init {folder.root}`"
        problem = Problem(
            str(folder.root / "inbox"), trouble_of(error, folder.root).reason, advice
        )
        raise UserError([problem]) from error
    stands = StatusChanged(FolderState.ONLINE, "")
    return FolderSnapshot(root=str(folder.root), stands=stands, plan=plan, turns=places_of(plan))


def stands_without_daemon(folder: FolderSettings, local_dirs: LocalDirs) -> StatusChanged:
    """How a hot folder stands that no daemon tells of: online, low on space or paused."""
    now = time.time()
    try:
        trouble = room((folder.root, nearest_existing(local_dirs.scratch)), folder.min_free_gib)
    except OSError as error:
        trouble = trouble_of(error, folder.root)
    paused = why_paused(folder, PauseFlags(local_dirs.state), local_time(now))
    if paused and trouble.state is FolderState.ONLINE:
        return StatusChanged(FolderState.PAUSED, paused)
    return StatusChanged(trouble.state, trouble.reason)


def with_its_day(snapshot: FolderSnapshot, root: Path, local_dirs: LocalDirs) -> FolderSnapshot:
    """The same with its jobs, how those of today ended, and what needs a look."""
    midnight = last_midnight(time.time())
    return replace(
        snapshot,
        jobs=tuple(map(_claimed, claimed_jobs(root))),
        today=_counts_since(midnight, root, local_dirs),
        reviews=tuple(reviews_since(root, midnight)),
    )


def _counts_since(midnight: float, root: Path, local_dirs: LocalDirs) -> Counts:
    # Counts of an unreadable history are zero; `hotfolder run` says why.
    history = History(local_dirs.state, lambda _: None, look=True)
    try:
        return history.counts_since(folder_id(root), midnight)
    finally:
        history.close()


def _claimed(job: Job) -> JobStatus:
    return JobStatus(
        job_id=job.job_id,
        file=printable(job.path),
        state=State.CLAIMED,
        attempts=job.attempts,
        reason=WHAT_THEY_WAIT_FOR,
    )
