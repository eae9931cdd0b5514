"""What the service knows of one hot folder: how it stands, its last plan, what is under way."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from config.settings import Settings
from daemon.clock import local_time
from daemon.events import events
from daemon.events.events import Event
from daemon.folder import messages
from daemon.folder.worker import FolderWorker
from daemon.fs.blocking import (
    STALL_TIMEOUTS,
    StallDetector,
    StallTimeouts,
    switches_of,
    waits_for_itself,
)
from daemon.fs.errors import NOT_LOOKED_AT
from daemon.fs.names import Kind, kind_of, printable
from daemon.inbox.inbox import WatchMode
from daemon.job import Candidate, FileState, FolderState, Plan, State
from pipeline.recipe import Defaults

_NUMBER = re.compile(r"\d+")
_STALLED_SECONDS = 2.0  # a system call that takes longer: others go first meanwhile
_FILES_TOLD = 20  # of each look; an inbox may hold thousands
_NOT_LOOKED_AT = messages.StatusChanged(FolderState.OFFLINE, NOT_LOOKED_AT)
_ENDED = messages.StatusChanged(
    FolderState.OFFLINE, "its thread has ended over a fault of Hotfolder"
)

_Notice = tuple[str, str, str]  # kind, file, reason without its numbers
_TOLD_AS = {
    "ignored": events.FileIgnored,
    "waiting": events.FileWaiting,
    "misnamed": events.FileMisnamed,
}


class FolderView:
    """One hot folder in the eyes of the service."""

    def __init__(
        self, folder_worker: FolderWorker, stall_timeouts: StallTimeouts = STALL_TIMEOUTS
    ) -> None:
        self.folder_worker = folder_worker
        self.stands = _NOT_LOOKED_AT
        self.plan: Plan | None = None
        self.is_outdated = False  # the plan: it was made by other settings
        self.claims_under_way = 0  # not answered yet
        self.waiting = 0  # files that wait for their sidecar or image
        self._told: frozenset[_Notice] = frozenset()
        self._stall_timeouts, self._stall_detector = stall_timeouts, StallDetector()
        self._stalled_seconds = 0.0
        self._watch_mode_told: WatchMode | None = None
        # How it stood before its share grew silent.
        self._status_before_stall: messages.StatusChanged | None = None

    @property
    def root(self) -> Path:
        """The hot folder."""
        return self.folder_worker.folder.root

    @property
    def is_offline(self) -> bool:
        """Whether its share is away."""
        return self.stands.state is FolderState.OFFLINE

    @property
    def offline_patience_seconds(self) -> float:
        """For how long its share, where that is away, is waited for by who waits for an end."""
        return self._stall_timeouts.offline_seconds if self.is_offline else 0.0

    @property
    def is_standby(self) -> bool:
        """Whether another daemon leads it."""
        return self.stands.state is FolderState.STANDBY

    @property
    def is_away(self) -> bool:
        """Whether nothing can be had of it now: its share is away, or lets us wait."""
        return self.is_offline or self.is_standby or self.is_stalled

    @property
    def gives_jobs(self) -> bool:
        """Whether jobs may be claimed by its plan."""
        is_online = self.stands.state is FolderState.ONLINE
        return is_online and not self.is_away and not self.is_outdated

    @property
    def is_stalled(self) -> bool:
        """Whether its folder worker has stood in a system call for a while."""
        return self._stalled_seconds > _STALLED_SECONDS

    @property
    def stuck_seconds(self) -> float:
        """For how long its folder worker has stood still through no fault of the share."""
        thread_id = self.folder_worker.native_id
        if thread_id is None:
            return 0.0  # not begun
        if not self.folder_worker.is_alive():
            return math.inf  # it ended over an error of ours
        is_stuck = self.is_stalled and waits_for_itself(thread_id)
        return self._stalled_seconds if is_stuck else 0.0

    def failing_seconds(self, now: float) -> float:
        """For how long its folder worker has begun again and again, over a fault of ours."""
        since = self.folder_worker.failing_since
        return 0.0 if since is None else now - since

    @property
    def is_led_elsewhere(self) -> bool:
        """Whether a daemon that is known to live leads it: its work is not for us."""
        return self.is_standby and not self.stands.is_passing

    @property
    def is_known(self) -> bool:
        """Whether its folder worker has said how it stands."""
        return self.stands is not _NOT_LOOKED_AT

    @property
    def head(self) -> Candidate | None:
        """The best candidate that is not being claimed; None where none may be claimed now."""
        if self.plan is None or not self.gives_jobs:
            return None
        count = self.claims_under_way
        return self.plan.ready[count] if count < len(self.plan.ready) else None

    @property
    def moves(self) -> bool:
        """Whether anything in its inbox is about to happen by itself."""
        if self.plan is None or self.is_outdated:
            return True
        if self.claims_under_way or self.stands.is_passing:
            return True
        if self.plan.ready and self.stands.state is FolderState.ONLINE:
            return True
        return any(_settles(file) for file in self.plan.states)

    def stand(self, stands: messages.StatusChanged) -> Event:
        """Take note of how it stands now; returns what to tell of it."""
        self._status_before_stall = None
        return self._take(stands)

    def observe(self, now: float, unix_now: float) -> Event | None:
        """See whether its worker moves; returns what to tell where it fell silent or came back."""
        thread_id = self.folder_worker.native_id
        if self.folder_worker.ident is not None and not self.folder_worker.is_alive():
            return None if self.stands == _ENDED else self.stand(_ENDED)
        count = None if thread_id is None else switches_of(thread_id)
        is_at_work = self.folder_worker.is_at_work
        self._stalled_seconds = self._stall_detector.observe(count, now, is_at_work=is_at_work)
        is_silent = self._stalled_seconds >= self._stall_timeouts.silent_seconds
        if is_silent and self._status_before_stall is None:
            before, since = self.stands, local_time(unix_now - self._stalled_seconds)
            reason = f"the share has not answered since {since:%H:%M}"
            event = self._take(messages.StatusChanged(FolderState.OFFLINE, reason))
            self._status_before_stall = before
            return event
        if self._status_before_stall is not None and not is_silent:
            return self._restore_status(self._status_before_stall)
        return None

    def _restore_status(self, before: messages.StatusChanged) -> Event | None:
        event = self.stand(before)
        # Of a folder that was away before, too, its folder worker says more in a moment.
        return None if self.is_offline else event

    def _take(self, stands: messages.StatusChanged) -> Event:
        self.stands = stands
        match stands.state:
            case FolderState.ONLINE:
                self._watch_mode_told = watch_mode = self.folder_worker.watch_mode
                return events.FolderOnline(
                    root=self.root, watch=watch_mode.watch, why=watch_mode.why
                )
            case FolderState.STANDBY:
                self.plan = None
                return events.FolderStandby(root=self.root, reason=stands.reason)
            case FolderState.LOW_SPACE:
                return events.FolderLowSpace(root=self.root, reason=stands.reason)
            case _:
                return events.FolderOffline(root=self.root, reason=stands.reason)

    def look(self, plan: Plan) -> Iterator[Event]:
        """Take note of what a look found; gives what is new and worth telling."""
        self.is_outdated = False
        if (
            self.stands.state is FolderState.ONLINE
            and self.folder_worker.watch_mode != self._watch_mode_told
        ):
            yield self._take(self.stands)
        if plan is self.plan:  # nothing has changed; ten thousand files need no second reading
            return
        self.plan = plan
        self.waiting = sum(file.state is State.WAITING_SIDECAR for file in plan.states)
        notices = _notices(plan)
        new = sorted(frozenset(notices) - self._told)
        self._told = frozenset(notices)
        for key in new[:_FILES_TOLD]:
            event = _TOLD_AS[key[0]]
            yield event(root=self.root, path=key[1], reason=notices[key])
        if len(new) > _FILES_TOLD:
            more = f"{len(new) - _FILES_TOLD} more files wait or are ignored"
            text = f"{more} in {self.root}: hotfolder plan lists them all."
            yield events.FolderNoted(root=self.root, text=text)

    def reconfigure(self, settings: Settings, defaults: Defaults) -> None:
        """Go on by other settings: what was wrong by the old ones may be right by these."""
        self.folder_worker.submit(messages.Reconfigure(settings, defaults))
        self.is_outdated = True

    def claim_next(self) -> None:
        """Have its worker claim its best candidate."""
        self.claims_under_way += 1
        self.folder_worker.submit(messages.ClaimNext())

    def claim_answered(self, reply: messages.FolderReply) -> None:
        """Take note of what came of a claim."""
        self.claims_under_way -= 1
        self.files_left(reply)

    def files_left(self, reply: messages.FolderReply) -> None:
        """Keep the plan true to what has left the inbox since it was made."""
        if self.plan is not None:
            self.plan = messages.plan_after(self.plan, reply)


def why_done(folders: Mapping[str, FolderView], *, has_worked: bool) -> str:
    """Why nothing moves in any of them any more, in words."""
    hindered = [_hindrance(root, it.stands) for root, it in folders.items()]
    reasons = "; ".join(filter(None, hindered))
    if reasons:
        return reasons
    return "all work is done" if has_worked else "no picture is ready to be edited"


def _hindrance(root: str, stands: messages.StatusChanged) -> str:
    match stands.state:
        case FolderState.STANDBY:
            return f"{root} is left to the other daemon that works on it"
        case FolderState.OFFLINE | FolderState.LOW_SPACE:
            return f"{root} is {stands.state}, and no job is begun: {stands.reason}"
        case _:
            return ""


def _settles(file: FileState) -> bool:
    # A folder preset is seen and stays so; of a cancel file others know when it has gone.
    stays = kind_of(PurePath(file.path).name) in (Kind.PRESET, Kind.CANCEL)
    return file.state in (State.SEEN, State.SETTLING) and not stays


def _notices(plan: Plan) -> Mapping[_Notice, str]:
    """What is worth a line in the log, with its reason.

    Numbers do not make a reason another one: some count seconds.
    """
    ours = {record.path for record in plan.own_reports}  # moved to done/ in a moment
    ignored = [("ignored", it.path, it.reason) for it in plan.ignored if it.path not in ours]
    waiting = [
        ("waiting", file.path, file.reason)
        for file in plan.states
        if file.state in (State.HELD, State.WAITING_SIDECAR)
    ]
    misnamed = [("misnamed", it.path, it.read_as) for it in plan.states if it.read_as]
    return {
        (kind, printable(path), _NUMBER.sub("", reason)): reason
        for kind, path, reason in (*misnamed, *ignored, *waiting)
    }
