"""How hot folders stand: in the words of their daemons, else as `offline` reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon.commands import select
from daemon.control.client import NO_DAEMON, ask_status
from daemon.control.documents import DaemonStatus, FileStatus, FolderStatus
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_all
from daemon.fs.local_dirs import LocalDirs, local_dirs_to_look_in
from daemon.fs.names import printable, result_names
from daemon.history import Counts
from daemon.job import FolderState
from pipeline.recipe import Defaults

OF_A_DAEMON_ELSEWHERE = "its files have left the inbox; how far it is, only its daemon can say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one hot folder stands, in its daemon's words or in ours."""

    root: Path
    folder: FolderStatus
    daemon: DaemonStatus | None  # what it says of itself; None: none has answered
    note: str  # why these are not a daemon's words; "" where they are

    @property
    def worker(self) -> str:
        """Who works on it, or why nobody's words are these."""
        if self.note or self.daemon is None:
            return self.note
        is_idle = self.folder.state is FolderState.STANDBY
        return f"process {self.daemon.pid} {'is on standby' if is_idle else 'works on it'}"

    @property
    def hindrance(self) -> str:
        """Why no job is begun now, in a sentence; "" where jobs are begun, or all is away."""
        match self.folder.state:
            case FolderState.STANDBY:
                return f"This daemon begins no job: {self.folder.reason}."
            case FolderState.PAUSED | FolderState.LOW_SPACE as state:
                return f"No job is begun while the hot folder is {state} ({self.folder.reason})."
            case _:
                return ""

    @property
    def is_without_daemon(self) -> bool:
        """Whether none is there: of one that gives no answer, the note says where it is."""
        return self.note == NO_DAEMON

    @property
    def is_away(self) -> bool:
        """Whether nobody knows what lies there."""
        return self.folder.state is FolderState.OFFLINE


def ask_all(
    folders: Iterable[FolderSettings], ask: Callable[[FolderSettings], Reply]
) -> tuple[tuple[Reply, ...], tuple[Problem, ...]]:
    """Ask after every hot folder; gives the problems of those that cannot be used, too."""
    folders = tuple(folders)
    replies: list[Reply] = []
    problems: list[Problem] = []
    asked = (partial(ask, folder) for folder in folders)
    for folder, inquiry in zip(folders, call_all(asked, ANSWER_SECONDS), strict=True):
        try:
            replies.append(inquiry.result())
        except Stalled:
            replies.append(_away(folder.root, select.NO_ANSWER))
        except UserError as error:
            problems += error.problems
            replies.append(_away(folder.root, "; ".join(it.what for it in error.problems)))
    return tuple(replies), tuple(problems)


def _away(root: Path, reason: str) -> Reply:
    folder = FolderStatus(
        root=printable(str(root)),
        state=FolderState.OFFLINE,
        reason=reason,
        counts={},
        today=Counts(),
    )
    return Reply(root=root, folder=folder, daemon=None, note="no daemon has answered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """Asks a daemon; where none tells, has the folder read by the settings.

    Raises UserError where that cannot be read.
    """

    settings: Settings
    defaults: Defaults
    local_dirs: LocalDirs

    @classmethod
    def by(cls, settings: Settings) -> Inquiry:
        """The one of this process, by its environment."""
        defaults = select.defaults_of(settings.model, os.environ)
        local_dirs = local_dirs_to_look_in(os.environ)
        return cls(settings=settings, defaults=defaults, local_dirs=local_dirs)

    def status(self, folder: FolderSettings) -> Reply:
        """How a hot folder stands."""
        return self._ask(folder, {"verb": "status"})

    def plan(self, folder: FolderSettings, *, is_whole: bool) -> Reply:
        """What would happen to the files of its inbox; whole: with all that `--json` tells."""
        return self._ask(folder, {"verb": "plan", "whole": "yes" if is_whole else "no"})

    def explain(self, folder: FolderSettings, path: str) -> Reply:
        """How a file of its inbox stands, by its path there."""
        question = {"verb": "explain", "path": path}
        reply = self._ask(folder, question)
        is_known = reply.folder.files or reply.folder.ignored or reply.note
        if is_known or (folder.root / "inbox" / path).is_dir():
            return reply
        # It came after the daemon's last look, or the daemon cannot look.
        return replace(reply, folder=_standing_as(reply.folder, self._read(folder, question)))

    def _ask(self, folder: FolderSettings, question: Mapping[str, str]) -> Reply:
        root = folder.root
        daemon, note = ask_status(self.local_dirs, root, question)
        if daemon is not None and daemon.folders:
            told = _with_free_results(root, daemon.folders[0])
            return Reply(root=root, folder=told, daemon=daemon, note="")
        select.require_marked(root)
        read = self._read(folder, question)
        if daemon is not None:
            note = "the daemon has not looked yet; this is what the folder holds now"
            status, _ = ask_status(self.local_dirs, root)
            read = _standing_as(status.folders[0], read) if status and status.folders else read
            note = "" if read.state is FolderState.STANDBY else note
        elif note != NO_DAEMON:
            jobs = tuple(replace(it, reason=OF_A_DAEMON_ELSEWHERE) for it in read.jobs)
            read = replace(read, jobs=jobs)
        return Reply(root=root, folder=read, daemon=daemon, note=note)

    def _read(self, folder: FolderSettings, question: Mapping[str, str]) -> FolderStatus:
        # Imported here: beside a daemon nothing of it is needed, and it takes 100 ms.
        from daemon.commands import offline  # noqa: PLC0415

        snapshot = offline.read_inbox(folder, self.settings, self.defaults)
        stands = offline.stands_without_daemon(folder, self.local_dirs)
        snapshot = replace(snapshot, stands=stands)
        if question["verb"] == "status":
            snapshot = offline.with_its_day(snapshot, folder.root, self.local_dirs)
        return _with_free_results(folder.root, snapshot.answer(question["verb"], question))


def _standing_as(told: FolderStatus, read: FolderStatus) -> FolderStatus:
    """What we have read, with how its daemon says that it stands, unless that cannot reach it."""
    if told.state is FolderState.OFFLINE:
        return read
    return replace(read, state=told.state, reason=told.reason)


def _with_free_results(root: Path, folder: FolderStatus) -> FolderStatus:
    """The same, its results named past those that lie in the outbox already."""
    if folder.state is FolderState.OFFLINE:
        return folder  # so is the outbox
    outbox = _Outbox(root)
    return replace(folder, files=tuple(map(outbox.past_others, folder.files)))


@dataclass(frozen=True, slots=True)
class _Outbox:
    """What lies there, each folder listed once."""

    _root: Path
    _names: dict[str, frozenset[str]] = field(default_factory=dict)  # by folder

    def past_others(self, file: FileStatus) -> FileStatus:
        if file.job is None or all(map(self._is_free, file.job.results)):
            return file
        results = tuple(map(self._free, file.job.results))
        return replace(file, job=replace(file.job, results=results))

    def _free(self, result: str) -> str:
        folder, _, name = result.rpartition("/")
        stem, _, extension = name.rpartition(".")
        names = (f"{folder}/{it}" for it in result_names(stem, extension, None))
        return next(filter(self._is_free, names))

    def _is_free(self, result: str) -> bool:
        folder, _, name = result.rpartition("/")
        if folder not in self._names:
            self._names[folder] = self._listed(folder)
        return name not in self._names[folder] and f"{name}.json" not in self._names[folder]

    def _listed(self, folder: str) -> frozenset[str]:
        try:
            with os.scandir(self._root / folder) as entries:
                return frozenset(entry.name for entry in entries)
        except OSError:  # it is made with its first result
            return frozenset()
