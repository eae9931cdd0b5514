"""The one thread that decides: everything else reports to its mailbox and does what it says."""

from __future__ import annotations

import queue
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from config.problems import UserError
from config.settings import Settings
from daemon.clock import day_of
from daemon.context import Context, Logs
from daemon.control.documents import Request
from daemon.events import events
from daemon.folder import messages
from daemon.folder.view import FolderView, why_done
from daemon.job import FolderState
from daemon.jobs import scheduler
from daemon.jobs.requests import Requests
from daemon.jobs.runner import JobRunner
from daemon.service.hooks import Hooks
from daemon.service.pause import PauseControl
from daemon.service.status import StatusReporter
from daemon.service.status_page import StatusPage, StatusPages, last_page
from daemon.service.systemd import SystemdNotifier, Watchdog
from daemon.workers.child import Ended, Part, Said

STOP_SECONDS = 8.0
_TICK_SECONDS = 1.0
# That hooks have at the end; who waits for the end of a run waits for its hooks, too.
_HOOKS_SECONDS, _HOOKS_ONCE_SECONDS = 2.0, 600.0
_FIRST_WORD_SECONDS = 2.0  # that a hot folder has to say whether another daemon leads it


@dataclass(frozen=True, slots=True)
class Stop:
    """Release the jobs and end."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the settings again."""


Told = events.Noted | events.HookRun | events.HookFailed
Mail = Stop | Reload | messages.FromFolder | Said | Ended | Request | Told
Mailbox = queue.SimpleQueue[Mail]


class Service:
    """Runs hot folders until told to stop, or, `once`, until nothing moves any more."""

    def __init__(
        self,
        context: Context,
        runner: JobRunner,
        *,
        mailbox: Mailbox,
        logs: Logs,
        notifier: SystemdNotifier,
        pause_control: PauseControl,
    ) -> None:
        self._mailbox, self._logs, self._notifier = mailbox, logs, notifier
        self._settings, self._clock, self._tell = context.settings, context.clock, context.tell
        self._once, self._pause_control = context.once, pause_control
        self.runner, self.folders = runner, runner.folders
        self.requests = Requests(context, runner)
        self.reporter = StatusReporter(context, self.folders, runner, pause_control)
        self._status_pages = StatusPages()
        self.hooks: Hooks | None = None  # programs that are told of what has ended
        self._watchdog = Watchdog(notifier, runner.editor)
        self._stop: Stop | None = None
        self._last_line = ""
        self._began_at = self._quiet_since = self._clock.monotonic()
        self._has_begun = False  # with editors

    def run(self) -> None:
        """Serve until stopped or, `once`, done; raises UserError where the model is unusable."""
        for folder in self.folders.values():
            folder.folder_worker.start()
        while self._stop is None and not self._is_done():
            self._tick()
            self._wait(_TICK_SECONDS)
            if self.runner.editing.unusable:
                self._shut_down()
                raise UserError(self.runner.editing.unusable)
        reason = self.why_it_ends
        self._notifier.stopping(reason)
        self._logs.own.tell(events.Stopping(reason=reason))
        for root, folder in self.folders.items():
            self._logs.write(events.Stopping(reason=self._why_it_ends({root: folder})), root)
        self.runner.release()
        deadline = self._clock.monotonic() + STOP_SECONDS
        while self._is_finishing() and self._clock.monotonic() < deadline:
            self._wait(0.1)
        self._end_hooks()
        for root, folder in self.folders.items():  # while their folder workers are there to write
            self._logs.write(events.Stopped(), root)
            if not folder.is_standby:
                why = self._why_it_ends({root: folder})
                self._write_page(folder, last_page(root, why, day_of(self._clock.time())))
        self._shut_down()
        self._logs.own.tell(events.Stopped())

    def _end_hooks(self) -> None:
        if self.hooks is not None:
            if self._once:
                self.hooks.idle()
            self.hooks.close(_HOOKS_ONCE_SECONDS if self._once else _HOOKS_SECONDS)
            self._wait(0.0)  # what they have to say

    def _why_it_ends(self, folders: Mapping[str, FolderView]) -> str:
        if self._stop:
            return self._stop.reason
        has_worked = self.runner.completion.ended > 0
        return self.runner.breaker.reason() or why_done(folders, has_worked=has_worked)

    @property
    def why_it_ends(self) -> str:
        """Why nothing moves any more, in words."""
        return self._why_it_ends(self.folders)

    def _is_finishing(self) -> bool:
        # What waits for a share that is away is finished by the next daemon.
        claims = any(it.claims_under_way and not it.is_away for it in self.folders.values())
        return claims or self.runner.is_finishing()

    def _wait(self, seconds: float) -> None:
        try:
            mail = self._mailbox.get(timeout=seconds)
            while True:
                self._open(mail)
                mail = self._mailbox.get_nowait()
        except queue.Empty:
            pass

    def _open(self, mail: Mail) -> None:
        match mail:
            case Stop():
                self._stop = self._stop or mail
            case Reload():
                self._reload()
            case messages.FromFolder(root, reply):
                self._folder_replied(root, reply)
            case Said():
                self._said(mail)
            case Ended():
                self._ended(mail)
            case Request():
                self._asked(mail)
            case events.Noted() | events.HookRun() | events.HookFailed():
                self._tell(mail)
            case _:
                assert_never(mail)

    def _asked(self, request: Request) -> None:
        if self._pause_control.take(request):
            self._rest()
        elif not self.requests.take(request):
            request.reply(self.reporter.answer(request))

    def _rest(self) -> None:
        """See which hot folders rest; without any that does not, and without jobs, no editor."""
        folders = {root: folder.folder_worker.folder for root, folder in self.folders.items()}
        for event in self._pause_control.look(folders, self._clock.time()):
            self._tell(event)
        edits, is_idle = self.runner.editing, not any(self.runner.jobs)
        was_unneeded = edits.is_unneeded
        edits.is_unneeded = is_idle and not self._pause_control.needs_editor
        if edits.is_unneeded and not was_unneeded and not edits.is_ready:
            self._notifier.ready(self.reporter.line())  # it does what it can do
        if self._pause_control.is_draining and is_idle:
            self._stop = self._stop or Stop("what was begun is finished")

    def _said(self, said: Said) -> None:
        was_ready = self.runner.editing.is_ready
        self.runner.child_said(said)
        if self.runner.editing.is_ready and not was_ready:
            self._notifier.ready(self.reporter.line())

    def _ended(self, ended: Ended) -> None:
        self.runner.child_ended(ended)
        if self.runner.breaker.is_open_at(Part.EDITOR) and not self.runner.editing.is_ready:
            self._notifier.ready(self.reporter.line())  # it waits for a better machine

    def _folder_replied(self, root: str, reply: messages.FolderReply) -> None:
        folder = self.folders[root]
        match reply:
            case messages.StatusChanged():
                self._stood(folder, reply)
            case messages.PauseChanged(is_paused):
                self._pause_control.changed(root, is_paused=is_paused)
                self._rest()
            case messages.Scanned(plan):
                for event in folder.look(plan):
                    self._tell(event)
            case messages.EventRaised(event):
                self._tell(event)
            case (
                messages.CancelRefused()
                | messages.FiledAway()
                | messages.Requeued()
                | messages.ResultHandled()
            ):
                self.requests.folder_replied(root, reply)
            case _:
                self.runner.folder_replied(root, reply)
                if isinstance(reply, messages.JobLeft):
                    self.requests.folder_replied(root, reply)

    def _stood(self, folder: FolderView, stands: messages.StatusChanged) -> None:
        was_online = folder.stands.state is FolderState.ONLINE
        event = folder.stand(stands)
        if not was_online or stands.state is not FolderState.ONLINE:  # else its reason is told
            self._tell(event)
        if folder.is_standby:
            self.runner.leave(str(folder.root))
            if not self._has_begun:
                self._notifier.ready(self.reporter.line())  # it does what it can do

    def _is_to_work(self) -> bool:
        """Whether an editor is wanted: none is loaded while others lead all hot folders."""
        folders = self.folders.values()
        if not self._has_begun and not all(folder.is_standby for folder in folders):
            is_late = self._clock.monotonic() > self._began_at + _FIRST_WORD_SECONDS
            leads = any(folder.is_known and not folder.is_standby for folder in folders)
            self._has_begun = leads or is_late
        return self._has_begun

    def _tick(self) -> None:
        self._check_liveness()
        self.requests.advance()
        self._rest()
        self._show_pages()
        if not self._is_to_work():
            return
        now, others_wait = self._clock.monotonic(), self._next_folder() is not None
        self.runner.advance(now, others_wait=others_wait)
        if self.hooks is not None:
            claims = any(folder.claims_under_way for folder in self.folders.values())
            is_idle = not (others_wait or claims or len(self.runner.jobs))
            self.hooks.observe(now, is_idle=is_idle)
        while self.runner.editing.is_ready and self.runner.has_room():
            root = self._next_folder()
            if root is None:
                break
            self.folders[root].claim_next()
        line = self.reporter.line()
        if line != self._last_line:
            self._notifier.status(line)
            self._last_line = line

    def _show_pages(self) -> None:
        """Have each hot folder's STATUS.txt say how it stands, where that has changed."""
        now = self._clock.monotonic()
        for root, folder in self.folders.items():
            if folder.is_standby:
                self._status_pages.forget(root)
            if folder.is_away or not self._status_pages.has_rested(root, now):
                continue
            signature = self.reporter.signature(folder)
            if self._status_pages.is_changed(root, signature):
                page = self.reporter.page(folder)
                if self._status_pages.is_news(root, signature, page, now):
                    self._write_page(folder, page)

    def _write_page(self, folder: FolderView, page: StatusPage) -> None:
        text = partial(page.text, self._clock.time())
        folder.folder_worker.submit(messages.WriteStatus(page.day, text))

    def _check_liveness(self) -> None:
        now, unix_now = self._clock.monotonic(), self._clock.time()
        for folder in self.folders.values():
            event = folder.observe(now, unix_now)
            if event is not None:
                self._tell(event)
        if event := self._watchdog.keep(self.folders.values(), now):
            self._tell(event)

    def _next_folder(self) -> str | None:
        """The hot folder that claims next; None where no job waits that may be begun."""
        return scheduler.next_folder(
            {
                root: folder.head
                for root, folder in self.folders.items()
                if not self._pause_control.reason(root)
            }
        )

    def _is_done(self) -> bool:
        if not self._once:
            return False
        if self.runner.breaker.is_given_up:
            return True
        if self._moves():
            self._quiet_since = self._clock.monotonic()
            return False
        more_seconds = max(folder.offline_patience_seconds for folder in self.folders.values())
        return self._clock.monotonic() >= self._quiet_since + more_seconds

    def _moves(self) -> bool:
        here = {
            root
            for root, folder in self.folders.items()
            if not folder.is_offline and not folder.is_led_elsewhere
        }
        return any(job.root in here for job in self.runner.jobs) or any(
            self.folders[root].moves or self.requests.is_busy_in(root) for root in here
        )

    def _reload(self) -> None:
        self._notifier.reloading(self._clock.monotonic())
        before = self._settings.now
        try:
            self._settings.reload()
        except UserError as error:
            self._tell(events.SettingsRefused(problems=error.problems))
        else:
            self._reconfigure(before, self._settings.now)
        self.runner.breaker.try_now()
        self._notifier.ready(self.reporter.line())

    def _reconfigure(self, old: Settings, settings: Settings) -> None:
        self.runner.editing.reconfigure(settings.model)
        for folder in self.folders.values():
            folder.reconfigure(settings, self._settings.defaults)
        self._tell(events.SettingsReloaded())
        if self.runner.editing.is_outdated:
            text = "The editor is opened anew, with these settings, as soon as it is idle."
            self._tell(events.Noted(text=text))
        if _roots(settings) != _roots(old):
            self._tell(events.Noted(text="Other hot folders take effect at the next start."))

    def _shut_down(self) -> None:
        self.runner.close()
        for folder in self.folders.values():
            folder.folder_worker.submit(messages.Stop())
        for folder in self.folders.values():
            if not folder.is_stalled:  # its folder worker may stand in a system call for ever
                folder.folder_worker.join(timeout=1.0)


def _roots(settings: Settings) -> frozenset[Path]:
    return frozenset(folder.root for folder in settings.folders)
