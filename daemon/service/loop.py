"""The one thread that decides: everything else reports to its mailbox and does what it says."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from config.problems import UserError
from config.settings import Settings
from daemon.clock import Clock
from daemon.control.documents import Request
from daemon.events import events
from daemon.events.events import Event
from daemon.events.sinks import Log
from daemon.folder import messages
from daemon.folder.view import Claims, FolderView, why_done
from daemon.folder.worker import FolderWorker
from daemon.fs.blocking import STALL_TIMEOUTS, StallTimeouts
from daemon.history import History
from daemon.job import FolderState, Plan
from daemon.jobs import scheduler
from daemon.jobs.requests import Requests
from daemon.jobs.runner import JobRunner
from daemon.service.health import Watchdog
from daemon.service.pause import PauseControl
from daemon.service.status import StatusReporter
from daemon.service.systemd import SystemdNotifier
from daemon.workers.backend import EditBackend
from daemon.workers.child import Ended, Said
from daemon.workers.pixel_pool import PixelPool

STOP_SECONDS = 8.0
_TICK_SECONDS = 1.0
_FIRST_WORD_SECONDS = 2.0  # that a hot folder has to say whether another daemon leads it


@dataclass(frozen=True, slots=True)
class Stop:
    """Release the jobs and end."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the settings again."""


Mail = Stop | Reload | messages.FromFolder | Said | Ended | Request | events.Noted
Mailbox = queue.SimpleQueue[Mail]


class Service:
    """Runs hot folders until told to stop, or, `once`, until nothing moves any more."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        settings: Settings,
        folder_workers: Mapping[str, FolderWorker],
        editor: EditBackend,
        pixels: PixelPool,
        history: History,
        clock: Clock,
        log: Log,
        notifier: SystemdNotifier,
        reread: Callable[[Settings], Settings],
        pause_control: PauseControl,
        once: bool,
        stall_timeouts: StallTimeouts = STALL_TIMEOUTS,
    ) -> None:
        self._mailbox, self._clock, self._log, self._once = mailbox, clock, log, once
        self._stall_timeouts, self._pause_control = stall_timeouts, pause_control
        self._reread, self._notifier, self._pixels, self._editor = reread, notifier, pixels, editor
        self.folders = {
            root: FolderView(folder_worker) for root, folder_worker in folder_workers.items()
        }
        self.history = history
        self.runner = JobRunner(
            settings=settings,
            editor=editor,
            pixels=pixels,
            folder_workers=folder_workers,
            history=history,
            clock=clock,
            tell=self.tell,
            at_once=once,
        )
        self.requests = Requests(
            jobs=self.runner.jobs,
            editor=editor,
            pixels=pixels,
            folder_workers=folder_workers,
            folders=self.folders,
            clock=clock,
            tell=self.tell,
        )
        self.reporter = StatusReporter(
            folders=self.folders,
            runner=self.runner,
            editor=editor,
            history=history,
            clock=clock,
            pause_control=pause_control,
        )
        self._watchdog = Watchdog(notifier, editor)
        self._stop: Stop | None = None
        self._last_line = ""
        self._began_at = self._quiet_since = clock.monotonic()
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
        reason = self._why_it_ends(self.folders)
        self._notifier.stopping(reason)
        self._log.tell(events.Stopping(reason=reason))
        for root, folder in self.folders.items():
            self._write(events.Stopping(reason=self._why_it_ends({root: folder})), root)
        self.runner.release()
        deadline = self._clock.monotonic() + STOP_SECONDS
        while self._is_finishing() and self._clock.monotonic() < deadline:
            self._wait(0.1)
        for root in self.folders:  # while their folder workers are there to write it
            self._write(events.Stopped(), root)
        self._shut_down()
        self._log.tell(events.Stopped())

    def _why_it_ends(self, folders: Mapping[str, FolderView]) -> str:
        done = self.runner.breaker.reason() or why_done(folders)
        return self._stop.reason if self._stop else done

    def _is_finishing(self) -> bool:
        # What waits for a share that is away is finished by the next daemon.
        claims = any(it.under_way and not it.is_away for it in self.folders.values())
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
            case events.Noted():
                self.tell(mail)
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
            self.tell(event)
        edits, is_idle = self.runner.editing, not any(self.runner.jobs)
        was_unneeded, edits.is_unneeded = (
            edits.is_unneeded,
            is_idle and not self._pause_control.needs_editor,
        )
        if edits.is_unneeded and not was_unneeded and not edits.is_ready:
            self._notifier.ready(self.reporter.line())  # it does what it can do
        if self._pause_control.is_draining and is_idle:
            self._stop = self._stop or Stop("what was begun is finished")

    def _said(self, said: Said) -> None:
        if said.child in self._pixels:
            self.runner.pixels_said(said)
        else:
            was_ready = self.runner.editing.is_ready
            self.runner.editing.said(said)
            if self.runner.editing.is_ready and not was_ready:
                self._notifier.ready(self.reporter.line())

    def _ended(self, ended: Ended) -> None:
        if ended.child in self._pixels:
            self.runner.pixels_ended(ended)
        else:
            self.runner.editing.ended(ended)
            if self.runner.breaker.is_open and not self.runner.editing.is_ready:
                self._notifier.ready(self.reporter.line())  # it waits for a better machine

    def _folder_replied(  # noqa: C901 - one arm an answer
        self, root: str, reply: messages.FolderReply
    ) -> None:
        folder = self.folders[root]
        match reply:
            case messages.StatusChanged():
                self._stood(folder, reply)
            case messages.Scanned(plan):
                for event in folder.look(plan):
                    self.tell(event)
            case messages.EventRaised(event):
                self.tell(event)
            case messages.Recovered(jobs):
                self.runner.adopt(root, jobs)
            case messages.RecoveredFinished(finished):
                self.runner.publish_recovered(root, finished)
            case messages.Published():
                self.runner.completion.published(reply)
            case messages.FoundPublished():
                self.runner.completion.found_published(root, reply)
            case messages.Filed():
                self.runner.completion.filed(root, reply)
                self.requests.filed(root, reply)
            case messages.Released() | messages.Held() | messages.LeaseLost():
                self._let_go(root, reply)
            case messages.CancelRefused() | messages.FiledAway() | messages.Requeued():
                self.requests.answered(root, reply)
            case _:
                self._claim_replied(root, reply)

    def _let_go(self, root: str, reply: messages.LetGo) -> None:
        match reply:
            case messages.Released(job):
                self.runner.completion.released(root, job)
            case messages.Held(job):
                self.runner.completion.held(job)
            case messages.LeaseLost(job):
                self.runner.completion.lease_lost(root, job)
            case messages.FilesGone(job):
                self.runner.completion.files_gone(root, job)
            case _:
                assert_never(reply)
        self.requests.let_go(root, reply)

    def _claim_replied(
        self,
        root: str,
        reply: messages.Claimed | messages.Rejected | messages.ClaimLost | messages.FilesGone,
    ) -> None:
        folder = self.folders[root]
        match reply:
            case messages.Claimed(resolved_job):
                folder.settle_claim(resolved_job.job.path, is_taken=True)
                self.runner.claimed(root, reply)
            case messages.Rejected(job):
                folder.settle_claim(job.path, is_taken=True)
                self.runner.invalid(root, reply)
            case messages.ClaimLost(candidate):
                folder.settle_claim(candidate.image.path, is_taken=False)
            case messages.FilesGone(job):
                folder.settle_claim(job.path, is_taken=False)
                self._let_go(root, reply)
            case _:
                assert_never(reply)

    def _stood(self, folder: FolderView, stands: messages.StatusChanged) -> None:
        was_online = folder.stands.state is FolderState.ONLINE
        event = folder.stand(stands)
        if not was_online or stands.state is not FolderState.ONLINE:  # else its reason is told
            self.tell(event)
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
        if not self._is_to_work():
            return
        others_wait = scheduler.next_candidate(self._plans(), self._claims()) is not None
        self.runner.advance(self._clock.monotonic(), others_wait=others_wait)
        while self.runner.editing.is_ready and self._has_room():
            choice = scheduler.next_candidate(self._plans(), self._claims())
            if choice is None:
                break
            self._claim(choice)
        line = self.reporter.line()
        if line != self._last_line:
            self._notifier.status(line)
            self._last_line = line

    def _check_liveness(self) -> None:
        now, unix_now = self._clock.monotonic(), self._clock.time()
        for folder in self.folders.values():
            event = folder.observe(now, unix_now, self._stall_timeouts.silent_seconds)
            if event is not None:
                self.tell(event)
        if event := self._watchdog.keep(self.folders.values(), now):
            self.tell(event)
        away = (root for root, folder in self.folders.items() if folder.is_away)
        self.runner.away = frozenset(away)

    def _has_room(self) -> bool:
        here = (folder for folder in self.folders.values() if not folder.is_away)
        under_way = sum(len(folder.under_way) for folder in here)
        return self.runner.has_room(under_way)

    def _plans(self) -> Mapping[str, Plan]:
        return {
            root: folder.plan
            for root, folder in self.folders.items()
            if folder.plan is not None
            and not self._pause_control.reason(root)
            and folder.gives_jobs
        }

    def _claims(self) -> Mapping[str, Claims]:
        return {root: folder.claims for root, folder in self.folders.items()}

    def _claim(self, choice: scheduler.Choice) -> None:
        folder = self.folders[choice.root]
        assert folder.plan is not None
        kept = scheduler.kept(folder.plan, choice.candidate, folder.claims.taken)
        folder.claim(choice.candidate.image)
        folder.folder_worker.submit(messages.Claim(choice.candidate, kept))

    def _is_done(self) -> bool:
        if not self._once:
            return False
        if self.runner.breaker.is_given_up:
            return True
        if self._moves():
            self._quiet_since = self._clock.monotonic()
            return False
        offline = any(folder.is_offline for folder in self.folders.values())
        more_seconds = self._stall_timeouts.offline_seconds if offline else 0.0
        return self._clock.monotonic() >= self._quiet_since + more_seconds

    def _moves(self) -> bool:
        here = {
            root
            for root, folder in self.folders.items()
            if not folder.is_offline and not folder.is_led_elsewhere
        }
        return any(job.root in here for job in self.runner.jobs) or any(
            folder.moves or self.requests.is_busy_in(root)
            for root, folder in self.folders.items()
            if root in here
        )

    def _reload(self) -> None:
        self._notifier.reloading(self._clock.monotonic())
        try:
            settings = self._reread(self.runner.settings)
        except UserError as error:
            self.tell(events.SettingsRefused(problems=error.problems))
        else:
            self._take_over(settings)
        self.runner.breaker.try_now()
        self._notifier.ready(self.reporter.line())

    def _take_over(self, settings: Settings) -> None:
        old = self.runner.settings
        self.runner.reconfigure(settings)
        for folder in self.folders.values():
            folder.reconfigure(settings)
        self.tell(events.SettingsReloaded())
        if self.runner.editing.is_outdated:
            text = "The editor is opened anew, with these settings, as soon as it is idle."
            self.tell(events.Noted(text=text))
        if _roots(settings) != _roots(old):
            self.tell(events.Noted(text="Other hot folders take effect at the next start."))

    def tell(self, event: Event) -> None:
        """Tell an event to the terminal or journal, and to people's logs on the share."""
        self._log.tell(event)
        alone = isinstance(event, events.FolderEvent) or len(self.folders) == 1
        root = str(event.root) if isinstance(event, events.FolderEvent) else None
        for name, folder in self.folders.items():
            if root is None or name == root:
                self._write(event if alone else event.as_told_in(folder.root), name)

    def _write(self, event: Event, root: str) -> None:
        self.folders[root].folder_worker.submit(messages.AppendLog(event, self._clock.time()))

    def _shut_down(self) -> None:
        self._editor.close()
        self._pixels.close()
        for folder in self.folders.values():
            folder.folder_worker.submit(messages.Stop())
        for folder in self.folders.values():
            if not folder.is_stalled:  # its folder worker may stand in a system call for ever
                folder.folder_worker.join(timeout=1.0)


def _roots(settings: Settings) -> frozenset[Path]:
    return frozenset(folder.root for folder in settings.folders)
