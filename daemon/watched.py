"""What the service knows of one hot folder: how it stands, its last plan, what is under way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from daemon import orders
from daemon.inbox.names import Kind, kind_of, printable
from daemon.job import FileState, FolderState, Plan, Seen, State
from daemon.keeper import Keeper
from daemon.log import story
from daemon.log.story import Event

_NUMBER = re.compile(r"\d+")
_FILES_TOLD = 20  # of each look; an inbox may hold thousands
_NOT_LOOKED_AT = orders.Stands(FolderState.OFFLINE, "not looked at yet")
_News = tuple[str, str, str]  # kind, file, reason without its numbers


@dataclass(slots=True)
class WatchedFolder:
    """One hot folder in the eyes of the service."""

    keeper: Keeper
    stands: orders.Stands = _NOT_LOOKED_AT
    plan: Plan | None = None
    under_way: frozenset[Seen] = frozenset()  # images whose claim is not answered yet
    answered: frozenset[Seen] = frozenset()  # images that a plan of before the answer still shows
    waiting: int = 0  # files that wait for their sidecar or image
    _told: frozenset[_News] = frozenset()

    @property
    def root(self) -> Path:
        """The hot folder."""
        return self.keeper.folder.root

    @property
    def is_offline(self) -> bool:
        """Whether its share is away."""
        return self.stands.state is FolderState.OFFLINE

    @property
    def taken(self) -> frozenset[Seen]:
        """Images that are no candidates any more, whatever the plan says."""
        return self.under_way | self.answered

    @property
    def moves(self) -> bool:
        """Whether anything in its inbox is about to happen by itself."""
        if self.plan is None or self.taken:
            return True
        if self.plan.ready and self.stands.state is FolderState.ONLINE:
            return True
        return any(_settles(file) for file in self.plan.states)

    def stand(self, stands: orders.Stands) -> Event:
        """Take note of how it stands now; returns what to tell of it."""
        self.stands = stands
        match stands.state:
            case FolderState.ONLINE:
                manner = self.keeper.manner
                return story.FolderOnline(root=self.root, watch=manner.watch, why=manner.why)
            case FolderState.LOW_SPACE:
                return story.FolderLowSpace(root=self.root, reason=stands.reason)
            case _:
                return story.FolderOffline(root=self.root, reason=stands.reason)

    def look(self, plan: Plan) -> Iterator[Event]:
        """Take note of what a look found; gives what is new and worth telling."""
        self.answered = frozenset()
        if plan is self.plan:  # nothing has changed; ten thousand files need no second reading
            return
        self.plan = plan
        self.waiting = sum(file.state is State.WAITING_SIDECAR for file in plan.states)
        news = _news(plan)
        new = sorted(frozenset(news) - self._told)
        self._told = frozenset(news)
        for key in new[:_FILES_TOLD]:
            event = story.FileIgnored if key[0] == "ignored" else story.FileWaiting
            yield event(root=self.root, path=key[1], reason=news[key])
        if len(new) > _FILES_TOLD:
            more = f"{len(new) - _FILES_TOLD} more files wait or are left alone"
            yield story.Noted(text=f"{more} in {self.root}: hotfolder plan lists them all.")

    def answer(self, path: str) -> None:
        """Take note that the claim of an image has been answered."""
        mine = frozenset(seen for seen in self.under_way if seen.path == path)
        self.under_way -= mine
        self.answered |= mine


def _settles(file: FileState) -> bool:
    # A folder preset is seen and stays so.
    is_preset = kind_of(PurePath(file.path).name) is Kind.PRESET
    return file.state in (State.SEEN, State.SETTLING) and not is_preset


def _news(plan: Plan) -> Mapping[_News, str]:
    """What is worth a line in the log, with its reason.

    Numbers do not make a reason another one: some count seconds.
    """
    ignored = [("ignored", file.path, file.reason) for file in plan.ignored]
    waiting = [
        ("waiting", file.path, file.reason)
        for file in plan.states
        if file.state in (State.HELD, State.WAITING_SIDECAR)
    ]
    return {
        (kind, printable(path), _NUMBER.sub("", reason)): reason
        for kind, path, reason in (*ignored, *waiting)
    }
