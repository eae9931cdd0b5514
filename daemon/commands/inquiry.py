"""How hot folders stand now: their daemons are asked; where none runs, the folders are read."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon import status
from daemon.commands import papers
from daemon.commands.asking import Document, ask, folders_in
from daemon.commands.glance import glance
from daemon.commands.left import WHAT_THEY_WAIT_FOR, LeftJob, left_jobs
from daemon.commands.selection import ANSWER_SECONDS, NO_ANSWER, unmarked
from daemon.history import Counts, History
from daemon.inbox.names import printable
from daemon.job import NOTHING, FolderState, State
from daemon.orders import Stands
from daemon.patience import Silent, call_all
from daemon.places import Places
from daemon.spool import folder_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one hot folder stands, in its daemon's words or in ours."""

    root: Path
    folder: Document  # as status.folder_document gives it
    daemon: Document  # the rest of what a daemon says of itself; empty: none has answered
    note: str  # why these are not a daemon's words; "" where they are


def inquire(
    folders: Iterable[FolderSettings], settings: Settings, default_steps: int, places: Places
) -> tuple[Reply, ...]:
    """Ask after every hot folder; raises UserError with the problems of all of them."""
    folders = tuple(folders)
    replies: list[Reply] = []
    problems: list[Problem] = []
    asked = (partial(_inquire, it, settings, default_steps, places) for it in folders)
    for folder, inquiry in zip(folders, call_all(asked, ANSWER_SECONDS), strict=True):
        try:
            replies.append(inquiry.result())
        except Silent:
            replies.append(_silent(folder.root))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return tuple(replies)


def _silent(root: Path) -> Reply:
    stands = Stands(FolderState.OFFLINE, NO_ANSWER)
    document = status.folder_document(str(root), stands, NOTHING, (), Counts())
    return Reply(root=root, folder=document, daemon={}, note="no daemon has answered")


def _inquire(
    folder: FolderSettings, settings: Settings, default_steps: int, places: Places
) -> Reply:
    daemon, note = ask(places, folder.root)
    for document in folders_in(daemon):
        return Reply(root=folder.root, folder=document, daemon=daemon, note="")
    if daemon:
        note = "the daemon has not looked yet; this is what the folder holds now"
    problems = tuple(unmarked(folder.root))
    if problems:
        raise UserError(problems)
    document = _read(folder, settings, default_steps, places)
    return Reply(root=folder.root, folder=document, daemon=daemon, note=note)


def _read(
    folder: FolderSettings, settings: Settings, default_steps: int, places: Places
) -> Document:
    plan = glance(folder, settings, default_steps).plan
    jobs = map(_left_document, left_jobs(folder.root))
    stands = Stands(FolderState.ONLINE, "")
    midnight = _midnight()
    today = _counts_since(midnight, folder, places)
    reviews = papers.reviews_since(folder.root, midnight)
    return status.folder_document(str(folder.root), stands, plan, jobs, today, reviews=reviews)


def _left_document(job: LeftJob) -> Document:
    return {
        "job_id": job.job_id,
        "file": printable(job.path),
        "state": State.CLAIMED,
        "attempts": job.attempts,
        "reason": WHAT_THEY_WAIT_FOR,
    }


def _midnight() -> float:
    now = datetime.fromtimestamp(time.time(), UTC).astimezone()
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _counts_since(midnight: float, folder: FolderSettings, places: Places) -> Counts:
    history = History(places.state, _say_nothing, look=True)
    try:
        return history.counts_since(folder_id(folder.root), midnight)
    finally:
        history.close()


def _say_nothing(_trouble: str) -> None:
    """Counts of an unreadable history are zero; `hotfolder run` says why."""
