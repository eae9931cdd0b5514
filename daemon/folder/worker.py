"""The thread of one hot folder: it alone touches the share, so a hanging share stops only it."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from config.problems import UserError
from config.settings import FolderSettings, Settings, folder_settings_as_written
from daemon.clock import Clock, day_of
from daemon.control.documents import CommandResult, ResultCode
from daemon.control.protocol import socket_file
from daemon.events.events import FolderDegraded, FolderNotLogged, StatusNotWritten
from daemon.events.folder_log import FolderLog
from daemon.folder import messages
from daemon.folder.executor import FolderExecutor
from daemon.folder.messages import reply_when_standby
from daemon.folder.pause_flag import PauseWatch, set_paused, words_of
from daemon.folder.resolve import Resolver
from daemon.folder.status_file import StatusFile
from daemon.fs.errors import NOT_LOOKED_AT, Trouble, rest_seconds, trouble_of
from daemon.fs.hot_folder import id_in
from daemon.fs.local_dirs import LocalDirs
from daemon.inbox.inbox import Inbox, WatchMode, choose_watch_mode, settle_rules, watch_mode_of
from daemon.inbox.unread import wanted_by_unread
from daemon.inbox.watcher import Watcher
from daemon.job import EMPTY_PLAN, FolderState, Plan, kept
from daemon.lease.election import LEASE_TIMINGS, LeaseTimings
from daemon.lease.leader import NotLeader, leader_lease
from daemon.spool.retention import RetentionSweeper
from daemon.spool.spool import Spool
from daemon.supervision import Fault, supervise, thread_failed
from pipeline.recipe import Defaults, RecipeRules

_HINT_SECONDS = 0.1  # events come in bursts: one look answers all of them
_LONGEST_PAUSE_SECONDS = 0.5  # at the most, between two looks at a full inbox
_STANDBY_CHECK_SECONDS = 2.0  # between two looks whether the share is there


class FolderWorker(threading.Thread):
    """Carries out the service's commands on one hot folder, and scans its inbox between them."""

    def __init__(
        self,
        *,
        folder: FolderSettings,
        inbox: Inbox,
        local_dirs: LocalDirs,
        clock: Clock,
        deliver: Callable[[messages.FromFolder], None],
        timings: LeaseTimings = LEASE_TIMINGS,
    ) -> None:
        super().__init__(name=f"worker of {folder.root}", daemon=True)
        self.root, self.folder = str(folder.root), folder
        self.identity = ""  # of the hot folder that was there first; "" until it has answered
        self.is_at_work = False  # on a command; a share that hangs keeps it so
        wake = partial(self.submit, messages.Scan())
        # Since when, in monotonic seconds, its looks have raised what nobody expects; None: not.
        self.failing_since: float | None = None
        self._current: messages.FolderCommand | None = None  # that it is at
        tell_of_lease = partial(self._tell_fault, "lead")
        socket = str(socket_file(local_dirs.control, folder.root).absolute())
        self._lease = leader_lease(
            folder.root, lambda: self.identity, timings, wake, tell_of_lease, socket=socket
        )
        self._spool = Spool(folder.root, self._lease.fence)
        self._pause_watch = PauseWatch(self._spool.tree, local_dirs.state)
        self._folder_log = FolderLog(self._spool.tree)
        self._status_file = StatusFile(self._spool.tree)
        self._sweeper = RetentionSweeper(self._spool.tree, clock)
        self._inbox = inbox
        self._watcher = Watcher(folder.root / "inbox", wake, self._watch_lost)
        # How its inbox is watched now; until the file system has been asked, as an unknown one.
        self.watch_mode: WatchMode = choose_watch_mode(folder, None)
        self._executor = FolderExecutor(
            spool=self._spool,
            scratch=local_dirs.scratch,
            clock=clock,
            resolver=Resolver(inbox.recipe_rules),
            presets_for=inbox.presets_for,
            reply=self._job_replied,
        )
        self._clock, self._deliver = clock, deliver
        self._commands: queue.SimpleQueue[messages.FolderCommand] = queue.SimpleQueue()
        self._parked: deque[messages.FolderCommand] = deque()  # commands that a trouble holds up
        self._plan = EMPTY_PLAN  # the newest, without what was taken since
        self._stands = messages.StatusChanged(FolderState.OFFLINE, NOT_LOOKED_AT)
        self._failures = 0  # in a row
        self._scan_at = self._scanned_at = clock.monotonic()  # the next one, the end of the last
        self._scan_seconds = 0.0  # that it took

    def submit(self, command: messages.FolderCommand) -> None:
        """Put a command at the end of the queue; its reply goes to `deliver`."""
        self._commands.put(command)

    def run(self) -> None:
        """Carry out commands until Stop, whatever one of them raises."""
        with self._lease.held():
            supervise(self._work, partial(self._tell_fault, "worker"), self._park_after_fault)
        self._watcher.stop()

    def _work(self) -> None:
        while not isinstance(command := self._next_command(), messages.Stop):
            self._current, self.is_at_work = command, True
            self._try(command)
            self._current, self.is_at_work = None, False
            if isinstance(command, messages.Scan):
                self.failing_since = None

    def _tell_fault(self, part: str, fault: Fault) -> None:
        self._reply(messages.EventRaised(thread_failed(f"{part} of {self.root}", fault)))

    def _park_after_fault(self, fault: Fault, _rest_seconds: float) -> None:
        """Hold up the command that met a fault of ours, as one that met a trouble of the share."""
        command, self._current, self.is_at_work = self._current, None, False
        if self._parked and self._parked[0] is command:
            self._parked.popleft()  # it comes to its end below, or back
        self.failing_since = self.failing_since or self._clock.monotonic()
        if isinstance(command, messages.AppendLog):
            return  # a line less in a log
        self._park(command or messages.Scan(), Trouble(FolderState.OFFLINE, fault.reason))

    def _try(self, command: messages.FolderCommand) -> None:
        try:
            # What was checked is what is worked in, whatever is mounted there meanwhile.
            with self._spool.tree.held_open():
                self._check_and_do(command)
        except NotLeader as other:
            self._stand_by(command, other)
        except OSError as error:
            self._park(command, self._trouble(error))

    def _check_and_do(self, command: messages.FolderCommand) -> None:
        if absence := self._check_present():
            self._park(command, absence)
            return
        if not isinstance(command, messages.Reconfigure):  # that is for us alone
            self._lease.fence()
        self._do(command)

    def _trouble(self, error: OSError) -> Trouble:
        """What an error means: whatever was missed, a share that went meanwhile says it all."""
        with contextlib.suppress(OSError):
            if absence := self._check_present():
                return absence
        return trouble_of(error, Path(self.root))

    def _next_command(self) -> messages.FolderCommand:
        while True:
            try:
                act_at = min(self._scan_at, self._look_for_pause_at)
                command = self._commands.get(timeout=max(0.0, act_at - self._clock.monotonic()))
            except queue.Empty:
                is_to_scan = self._clock.monotonic() >= self._scan_at
                return messages.Scan() if is_to_scan else messages.LookForPause()
            if isinstance(command, messages.WriteStatus):
                self._status_file.show(command)
            if isinstance(command, messages.Scan):
                self._scan_soon()
            elif self._parked and not isinstance(command, messages.Stop):
                self._put_off(command)
            else:
                return command

    def _put_off(self, command: messages.FolderCommand) -> None:
        """Answer a command while a trouble holds up others, or have it wait for their end."""
        match command:
            case messages.ClaimNext():
                self._reply(messages.ClaimLost())
            case messages.SetPause(reply=reply):
                reply(messages.unchanged(self._stands.reason))
            case messages.WriteStatus():
                pass  # the newest is written when the trouble is over
            case _:
                self._parked.append(command)

    def _park(self, command: messages.FolderCommand, trouble: Trouble) -> None:
        self._set_state(trouble.state, trouble.reason)
        self._failures += 1
        rest = rest_seconds(self._failures, once=self._inbox.rules.final)
        self._scan_at = self._clock.monotonic() + rest
        match command:
            case messages.Scan() | messages.LookForPause() | messages.WriteStatus():
                pass
            case messages.SetPause(reply=reply):
                reply(messages.unchanged(trouble.reason))
            case messages.ClaimNext():
                self._executor.room.refused(trouble)
                self._plan = EMPTY_PLAN  # the next scan knows more
                self._reply(messages.ClaimLost())
                # Some of its files may have been moved already.
                self._executor.is_to_recover = True
            case _:
                self._executor.is_to_recover |= isinstance(command, messages.FileRequest)
                self._parked.appendleft(command)

    def _stand_by(self, command: messages.FolderCommand, other: NotLeader) -> None:
        """Leave everything to the daemon that leads; what is on scratch may be wanted later."""
        self._scan_at = self._clock.monotonic() + _STANDBY_CHECK_SECONDS
        self._plan, put_off = EMPTY_PLAN, self._executor.leave()
        self._watcher.stop()
        self._status_file.forget()
        for held in (command, *self._parked, *put_off):
            if isinstance(held, messages.Reconfigure):
                self.submit(held)
            elif reply := reply_when_standby(held, other.reason):
                self._reply(reply)
        self._parked.clear()
        self._set_state(FolderState.STANDBY, other.reason, is_passing=not other.is_certain)

    def _do(self, command: messages.FolderCommand) -> None:
        match command:
            case messages.Scan():
                self._scan()
            case messages.AppendLog() | messages.WriteStatus():
                self._write(command)
            case messages.Reconfigure(settings, defaults):
                self._reconfigure(settings, defaults)
            case messages.ClaimNext():
                self._scan_soon()
                self._claim_next()
            case messages.LookForPause() | messages.SetPause():
                self._do_about_pause(command)
            case messages.Stop():
                raise AssertionError  # ends the loop in run
            case _:
                if isinstance(command, messages.Release | messages.FileRequest):
                    self._scan_soon()
                self._executor.do(command)
                self._scan_at = min(self._scan_at, self._executor.retries.due_at())

    def _write(self, command: messages.AppendLog | messages.WriteStatus) -> None:
        match command:
            case messages.WriteStatus():
                self._write_status()
            case messages.AppendLog(event, at):
                if reason := self._folder_log.write(event, at):
                    told = FolderNotLogged(root=self.folder.root, reason=reason)
                    self._reply(messages.EventRaised(told))

    def _write_status(self) -> None:
        if reason := self._status_file.write():
            told = StatusNotWritten(root=self.folder.root, reason=reason)
            self._reply(messages.EventRaised(told))

    @property
    def _look_for_pause_at(self) -> float:
        # A hot folder that is away, or another daemon's, is looked at by its scans alone.
        is_ours = self._stands.state in (FolderState.ONLINE, FolderState.LOW_SPACE)
        return self._pause_watch.look_at if is_ours else math.inf

    def _look_for_pause(self) -> None:
        if self._pause_watch.look(self._clock.monotonic()):
            self._reply(messages.PauseChanged(self._pause_watch.is_paused))

    def _do_about_pause(self, command: messages.PauseCommand) -> None:
        if isinstance(command, messages.LookForPause):
            self._look_for_pause()
            return
        is_news = set_paused(self._spool.tree, paused=command.paused)
        self._look_for_pause()  # the deciding thread hears of it before who asked does
        words = words_of(self.folder.root, paused=command.paused, is_news=is_news)
        command.reply(CommandResult(ResultCode.DONE, f"{words}{command.after}"))

    def _claim_next(self) -> None:
        self._look_for_pause()
        if self._pause_watch.is_paused and not self._inbox.rules.final:
            self._reply(messages.ClaimLost())
            return
        if not self._plan.ready:
            self._reply(messages.ClaimLost())
            return
        best = self._plan.ready[0]
        wanted = wanted_by_unread(self._spool.tree, self._plan, best)
        self._executor.do(messages.Claim(best, kept(self._plan, best) | wanted))

    def _scan_soon(self) -> None:
        # A burst of reasons to look is answered by one look, and looking never fills the day.
        rested_at = self._scanned_at + min(self._scan_seconds, _LONGEST_PAUSE_SECONDS)
        soon = max(self._clock.monotonic() + _HINT_SECONDS, rested_at)
        self._scan_at = min(self._scan_at, soon)

    def _scan(self) -> None:
        now = self._clock.monotonic()
        self._look_for_pause()
        if self._executor.has_to_recover(now):
            self._executor.recover()
        self._retry_parked()  # before the look: what a claim takes is not in its plan
        self._executor.try_again()
        plan = self._look(now)
        self._scan_at = now + self.watch_mode.poll_seconds
        plan = self._executor.holds.held_in(plan, now)
        plan = self._executor.retries.shown_in(self._executor.file_requests.tidied(plan))
        # Only now: a command that fails again must not make the folder flap.
        room = self._executor.room.look(self.folder.min_free_gib)
        self._set_state(room.state, room.reason or self._folder_log.reason)
        if plan.scan_again_at is not None:
            self._scan_at = min(self._scan_at, max(plan.scan_again_at, now))
        self._scan_at = min(
            self._scan_at,
            self._executor.retries.due_at(),
            self._executor.holds.next_at(now),
        )
        self._plan = plan
        self._reply(messages.Scanned(plan))
        self._write_status()  # what could not be written before
        today = day_of(self._clock.time())
        for swept in self._sweeper.sweep(self.folder, today, is_quiet=not plan.ready):
            self._reply(messages.EventRaised(swept))
        self._scanned_at = self._clock.monotonic()
        self._scan_seconds = self._scanned_at - now
        self._failures = 0

    def _look(self, now: float) -> Plan:
        # A share may be mounted after the start, or something else in its place.
        watch_mode = watch_mode_of(self.folder)
        if watch_mode != self.watch_mode:
            self._follow(watch_mode, self._inbox.recipe_rules)
        self._watcher.keep(watch_mode.watch, now)
        return self._inbox.scan(now)

    def _follow(self, watch_mode: WatchMode, recipe_rules: RecipeRules) -> None:
        self.watch_mode = watch_mode
        rules = settle_rules(self.folder, watch_mode, final=self._inbox.rules.final)
        self._inbox.reconfigure(rules, recipe_rules, trust_inodes=not watch_mode.is_share)

    def _retry_parked(self) -> None:
        while self._parked:
            command = self._current = self._parked[0]
            if isinstance(command, messages.Publish):
                self._executor.do(command, again=True)
            else:
                self._do(command)
            self._parked.popleft()
            self._current = None

    def _check_present(self) -> Trouble | None:
        """What tells that the hot folder is not there; None: it is."""
        try:
            identity = id_in(self._spool.tree)
        except UserError as error:
            return Trouble(FolderState.OFFLINE, error.problems[0].what)
        if not self.identity:
            self.identity = identity
            self._executor.serve(identity)
        if identity != self.identity:
            return Trouble(FolderState.OFFLINE, "another hot folder is mounted in its place")
        return None

    def _reconfigure(self, settings: Settings, defaults: Defaults) -> None:
        self.folder = folder_settings_as_written(settings, self.folder.root)
        rules = RecipeRules.of(settings, defaults, self.folder.keys)
        self._follow(watch_mode_of(self.folder), rules)
        self._plan = EMPTY_PLAN  # it was made by other settings
        self._executor.resolver = replace(self._executor.resolver, rules=rules)
        self._scan_at = self._clock.monotonic()

    def _set_state(self, state: FolderState, reason: str, *, is_passing: bool = False) -> None:
        if state is FolderState.OFFLINE:
            self._executor.is_to_recover = True
            self._watcher.stop()  # who comes back may be another file system
        if (state, reason) != (self._stands.state, self._stands.reason):
            self._stands = messages.StatusChanged(state, reason, is_passing)
            self._reply(self._stands)

    def _watch_lost(self, reason: str) -> None:
        degraded = FolderDegraded(root=self.folder.root, reason=reason)
        self._reply(messages.EventRaised(degraded))

    def _job_replied(self, reply: messages.FolderReply) -> None:
        if isinstance(self._current, messages.ClaimNext | messages.CancelWaiting):
            self._plan = messages.plan_after(self._plan, reply)
        self._reply(reply)

    def _reply(self, reply: messages.FolderReply) -> None:
        self._deliver(messages.FromFolder(self.root, reply))
