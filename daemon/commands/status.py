"""`hotfolder status`: how hot folders stand; without a daemon, what lies in them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon.clock import last_midnight
from daemon.commands import ExitCode
from daemon.commands.output import JSON_SCHEMA, Output, write_json
from daemon.commands.preview import scan_offline
from daemon.commands.select import NO_ANSWER, default_steps, find_folders, read_settings, unmarked
from daemon.commands.traces import WHAT_THEY_WAIT_FOR, ClaimedJob, claimed_jobs, reviews_since
from daemon.control.client import ask_status, folders_in
from daemon.control.documents import Document, FolderStatus, read_folder_status
from daemon.folder.documents import folder_document
from daemon.folder.messages import StatusChanged
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_all
from daemon.fs.hot_folder import folder_id
from daemon.fs.local_dirs import LocalDirs, locate_local_dirs
from daemon.fs.names import Kind, kind_of, printable
from daemon.history import Counts, History
from daemon.job import EMPTY_PLAN, FolderState, State

_FILES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one hot folder stands, in its daemon's words or in ours."""

    root: Path
    folder: Document  # as service.status.folder_document gives it
    daemon: Document  # the rest of what a daemon says of itself; empty: none has answered
    note: str  # why these are not a daemon's words; "" where they are


def collect_status(
    folders: Iterable[FolderSettings],
    settings: Settings,
    default_steps: int,
    local_dirs: LocalDirs,
) -> tuple[Reply, ...]:
    """Ask after every hot folder; raises UserError with the problems of all of them."""
    folders = tuple(folders)
    replies: list[Reply] = []
    problems: list[Problem] = []
    asked = (partial(_collect_one, it, settings, default_steps, local_dirs) for it in folders)
    for folder, inquiry in zip(folders, call_all(asked, ANSWER_SECONDS), strict=True):
        try:
            replies.append(inquiry.result())
        except Stalled:
            replies.append(_silent(folder.root))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return tuple(replies)


def _silent(root: Path) -> Reply:
    stands = StatusChanged(FolderState.OFFLINE, NO_ANSWER)
    document = folder_document(str(root), stands, EMPTY_PLAN, (), Counts())
    return Reply(root=root, folder=document, daemon={}, note="no daemon has answered")


def _collect_one(
    folder: FolderSettings, settings: Settings, default_steps: int, local_dirs: LocalDirs
) -> Reply:
    daemon, note = ask_status(local_dirs, folder.root)
    for document in folders_in(daemon):
        return Reply(root=folder.root, folder=document, daemon=daemon, note="")
    if daemon:
        note = "the daemon has not looked yet; this is what the folder holds now"
    problems = tuple(unmarked(folder.root))
    if problems:
        raise UserError(problems)
    document = _read_folder(folder, settings, default_steps, local_dirs)
    return Reply(root=folder.root, folder=document, daemon=daemon, note=note)


def _read_folder(
    folder: FolderSettings, settings: Settings, default_steps: int, local_dirs: LocalDirs
) -> Document:
    plan = scan_offline(folder, settings, default_steps).plan
    jobs = map(_claimed_document, claimed_jobs(folder.root))
    stands = StatusChanged(FolderState.ONLINE, "")
    midnight = last_midnight(time.time())
    today = _counts_since(midnight, folder, local_dirs)
    reviews = reviews_since(folder.root, midnight)
    return folder_document(str(folder.root), stands, plan, jobs, today, reviews=reviews)


def _claimed_document(job: ClaimedJob) -> Document:
    return {
        "job_id": job.job_id,
        "file": printable(job.path),
        "state": State.CLAIMED,
        "attempts": job.attempts,
        "reason": WHAT_THEY_WAIT_FOR,
    }


def _counts_since(midnight: float, folder: FolderSettings, local_dirs: LocalDirs) -> Counts:
    history = History(local_dirs.state, _say_nothing, look=True)
    try:
        return history.counts_since(folder_id(folder.root), midnight)
    finally:
        history.close()


def _say_nothing(_trouble: str) -> None:
    """Counts of an unreadable history are zero; `hotfolder run` says why."""


def status(arguments: argparse.Namespace) -> ExitCode:
    """Say how every hot folder and its daemon stand."""
    settings, path = read_settings(arguments.config, Path.cwd())
    # Their markers are asked for only where no daemon answers: it may know that a share is away.
    folders = find_folders(settings, path, arguments.root, Path.cwd())
    replies = collect_status(
        folders, settings, default_steps(os.environ), locate_local_dirs(os.environ)
    )
    if arguments.json:
        about = next((dict(it.daemon) for it in replies if it.daemon), {})
        standing = [{**it.folder, "running": bool(it.daemon)} for it in replies]
        write_json({"schema": JSON_SCHEMA, "running": bool(about), **about, "folders": standing})
        return ExitCode.FINE
    output = Output(sys.stdout, os.environ)
    for it in replies:
        write_status(output, it)
    return ExitCode.FINE


def write_status(output: Output, reply: Reply) -> None:
    """Write how one hot folder stands."""
    news = read_folder_status(reply.folder)
    for line in _head(news, reply):
        output.line(line)
    output.table([(job.file, job.state, job.text) for job in news.jobs])
    output.table(list(_files(news)))
    output.table([(it.file, it.state, it.reason) for it in news.reviews[-_FILES_SHOWN:]])
    if news.ignored:
        number = len(news.ignored)
        files = "1 file is" if number == 1 else f"{number} files are"
        output.line(f"{files} ignored: hotfolder plan says why.")


def _head(news: FolderStatus, reply: Reply) -> Iterator[str]:
    reason = f" ({news.reason})" if news.reason else ""
    pid = reply.daemon.get("pid")
    served = f"served by process {pid}" if pid else reply.note
    yield f"{news.root}: {news.state}{reason}; {served}"
    model = _model(reply.daemon.get("editor"))
    if model and news.state != FolderState.STANDBY:  # none is needed there
        yield model
    counts = ", ".join(f"{number} {state}" for state, number in sorted(_counted(news).items()))
    today = f"{news.done_today} done, {news.failed_today} failed"
    others = "".join(f", {number} {state}" for state, number in news.others_today)
    yield f"now: {counts or 'nothing'}; today: {today}{others}"


def _counted(news: FolderStatus) -> Counter[str]:
    """Pictures alone: what stands beside a picture would count it twice."""
    pictures = [it for it in news.files if kind_of(it.file.rpartition("/")[2]) is Kind.IMAGE]
    return Counter(it.state for it in pictures) + Counter(job.state for job in news.jobs)


def _model(editor: object) -> str:
    if not isinstance(editor, Mapping):
        return ""
    facts = (str(editor.get(key, "")) for key in ("model", "class", "dtype", "weights"))
    described = ", ".join(fact for fact in facts if fact)
    return f"editor {editor.get('state', 'unknown')}{f': {described}' if described else ''}"


def _files(news: FolderStatus) -> Iterator[tuple[str, str, str]]:
    files = [file for file in news.files if file.is_worth_a_line]
    for file in files[:_FILES_SHOWN]:
        yield file.file, file.state, "; ".join((file.reason, *file.problems))
    if len(files) > _FILES_SHOWN:
        yield f"and {len(files) - _FILES_SHOWN} more", "", ""
