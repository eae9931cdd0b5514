"""The one thread that decides: everything else reports to its mailbox and does what it says."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from config.problems import UserError
from config.settings import Settings
from daemon import orders, watched
from daemon.account import Account
from daemon.clock import Clock
from daemon.control import Request
from daemon.history import History
from daemon.job import FolderState, Plan
from daemon.keeper import Keeper
from daemon.log import story
from daemon.log.logs import Log
from daemon.log.story import Event
from daemon.notify import Notifier
from daemon.pulse import PATIENCE, Patience
from daemon.rests import Rests
from daemon.vigil import Vigil
from daemon.watched import WatchedFolder
from daemon.work import queueing
from daemon.work.child import Ended, Said
from daemon.work.editor_line import EditorLine
from daemon.work.petitions import Petitions
from daemon.work.pixel_pool import PixelPool
from daemon.work.workshop import Workshop

STOP_SECONDS = 8.0
_TICK_SECONDS = 1.0
_FIRST_WORD_SECONDS = 2.0  # that a hot folder has to say whether another daemon leads it


@dataclass(frozen=True, slots=True)
class Stop:
    """Give the jobs back and end."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the settings again."""


Mail = Stop | Reload | orders.FromKeeper | Said | Ended | Request | story.Noted
Mailbox = queue.SimpleQueue[Mail]


class Service:
    """Runs hot folders until told to stop, or, `once`, until nothing moves any more."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        settings: Settings,
        keepers: Mapping[str, Keeper],
        editor: EditorLine,
        pixels: PixelPool,
        history: History,
        clock: Clock,
        log: Log,
        notifier: Notifier,
        reread: Callable[[Settings], Settings],
        rests: Rests,
        once: bool,
        patience: Patience = PATIENCE,
    ) -> None:
        self._mailbox, self._clock, self._log, self._once = mailbox, clock, log, once
        self._patience, self._rests = patience, rests
        self._reread, self._notifier, self._pixels, self._editor = reread, notifier, pixels, editor
        self.folders = {root: WatchedFolder(keeper) for root, keeper in keepers.items()}
        self.history = history
        self.workshop = Workshop(
            settings=settings,
            editor=editor,
            pixels=pixels,
            keepers=keepers,
            history=history,
            clock=clock,
            tell=self.tell,
            at_once=once,
        )
        self.petitions = Petitions(
            jobs=self.workshop.jobs,
            editor=editor,
            pixels=pixels,
            keepers=keepers,
            folders=self.folders,
            clock=clock,
            tell=self.tell,
        )
        self.account = Account(
            folders=self.folders,
            workshop=self.workshop,
            editor=editor,
            history=history,
            clock=clock,
            rests=rests,
        )
        self._vigil = Vigil(notifier, editor)
        self._stop: Stop | None = None
        self._last_line = ""
        self._began_at = self._quiet_since = clock.monotonic()
        self._has_begun = False  # with editors

    def run(self) -> None:
        """Serve until stopped or, `once`, done; raises UserError where the model is unusable."""
        for folder in self.folders.values():
            folder.keeper.start()
        while self._stop is None and not self._is_done():
            self._advance()
            self._wait(_TICK_SECONDS)
            if self.workshop.edits.unusable:
                self._shut_down()
                raise UserError(self.workshop.edits.unusable)
        reason = self._why_it_ends(self.folders)
        self._notifier.stopping(reason)
        self._log.tell(story.Stopping(reason=reason))
        for root, folder in self.folders.items():
            self._write(story.Stopping(reason=self._why_it_ends({root: folder})), root)
        self.workshop.give_back()
        deadline = self._clock.monotonic() + STOP_SECONDS
        while self._is_finishing() and self._clock.monotonic() < deadline:
            self._wait(0.1)
        for root in self.folders:  # while their keepers are there to write it
            self._write(story.Stopped(), root)
        self._shut_down()
        self._log.tell(story.Stopped())

    def _why_it_ends(self, folders: Mapping[str, WatchedFolder]) -> str:
        done = self.workshop.restraint.reason() or watched.why_done(folders)
        return self._stop.reason if self._stop else done

    def _is_finishing(self) -> bool:
        # What waits for a share that is away is finished by the next daemon.
        claims = any(it.under_way and not it.is_away for it in self.folders.values())
        return claims or self.workshop.is_finishing()

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
            case orders.FromKeeper(root, answer):
                self._keeper_answered(root, answer)
            case Said():
                self._said(mail)
            case Ended():
                self._ended(mail)
            case Request():
                self._asked(mail)
            case story.Noted():
                self.tell(mail)
            case _:
                assert_never(mail)

    def _asked(self, request: Request) -> None:
        if self._rests.take(request):
            self._rest()
        elif not self.petitions.take(request):
            request.reply(self.account.of(str(request.root)))

    def _rest(self) -> None:
        """See which hot folders rest; without any that does not, and without jobs, no editor."""
        folders = {root: folder.keeper.folder for root, folder in self.folders.items()}
        for event in self._rests.look(folders, self._clock.time()):
            self.tell(event)
        edits, is_idle = self.workshop.edits, not any(self.workshop.jobs)
        was_resting, edits.is_resting = edits.is_resting, is_idle and not self._rests.needs_editor
        if edits.is_resting and not was_resting and not edits.is_ready:
            self._notifier.ready(self.account.line())  # it does what it can do
        if self._rests.is_draining and is_idle:
            self._stop = self._stop or Stop("what was begun is finished")

    def _said(self, said: Said) -> None:
        if said.child in self._pixels:
            self.workshop.pixels_said(said)
        else:
            was_ready = self.workshop.edits.is_ready
            self.workshop.edits.said(said)
            if self.workshop.edits.is_ready and not was_ready:
                self._notifier.ready(self.account.line())

    def _ended(self, ended: Ended) -> None:
        if ended.child in self._pixels:
            self.workshop.pixels_ended(ended)
        else:
            self.workshop.edits.ended(ended)
            if self.workshop.restraint.is_halted and not self.workshop.edits.is_ready:
                self._notifier.ready(self.account.line())  # it waits for a better machine

    def _keeper_answered(  # noqa: C901 - one arm an answer
        self, root: str, answer: orders.Answer
    ) -> None:
        folder = self.folders[root]
        match answer:
            case orders.Stands():
                self._stood(folder, answer)
            case orders.Looked(plan):
                for event in folder.look(plan):
                    self.tell(event)
            case orders.Told(event):
                self.tell(event)
            case orders.Recovered(jobs):
                self.workshop.adopt(root, jobs)
            case orders.Shelved(finished):
                self.workshop.publish_shelved(root, finished)
            case orders.Published():
                self.workshop.endings.published(answer)
            case orders.FoundPublished():
                self.workshop.endings.found_published(root, answer)
            case orders.Filed():
                self.workshop.endings.filed(root, answer)
                self.petitions.filed(root, answer)
            case orders.GivenBack() | orders.Held() | orders.Passed():
                self._let_go(root, answer)
            case orders.NotWithdrawn() | orders.TakenAway() | orders.TakenBack():
                self.petitions.answered(root, answer)
            case _:
                self._claim_answered(root, answer)

    def _let_go(self, root: str, answer: orders.GivenBack | orders.Held | orders.Passed) -> None:
        match answer:
            case orders.GivenBack(job):
                self.workshop.endings.given_back(root, job)
            case orders.Held(job):
                self.workshop.endings.held(job)
            case orders.Passed(job):
                self.workshop.endings.passed(root, job)
            case _:
                assert_never(answer)

    def _claim_answered(
        self, root: str, answer: orders.Claimed | orders.Invalid | orders.Lost | orders.Vanished
    ) -> None:
        folder = self.folders[root]
        match answer:
            case orders.Claimed(task):
                folder.answer(task.job.path, is_taken=True)
                self.workshop.claimed(root, answer)
            case orders.Invalid(job):
                folder.answer(job.path, is_taken=True)
                self.workshop.invalid(root, answer)
            case orders.Lost(candidate):
                folder.answer(candidate.image.path, is_taken=False)
            case orders.Vanished(job):
                folder.answer(job.path, is_taken=False)
                self.workshop.endings.vanished(root, job)
            case _:
                assert_never(answer)

    def _stood(self, folder: WatchedFolder, stands: orders.Stands) -> None:
        was_online = folder.stands.state is FolderState.ONLINE
        event = folder.stand(stands)
        if not was_online or stands.state is not FolderState.ONLINE:  # else its reason is told
            self.tell(event)
        if folder.is_standby:
            self.workshop.leave(str(folder.root))
            if not self._has_begun:
                self._notifier.ready(self.account.line())  # it does what it can do

    def _is_to_work(self) -> bool:
        """Whether an editor is wanted: none is loaded while others lead all hot folders."""
        folders = self.folders.values()
        if not self._has_begun and not all(folder.is_standby for folder in folders):
            is_late = self._clock.monotonic() > self._began_at + _FIRST_WORD_SECONDS
            leads = any(folder.is_known and not folder.is_standby for folder in folders)
            self._has_begun = leads or is_late
        return self._has_begun

    def _advance(self) -> None:
        self._feel()
        self.petitions.advance()
        self._rest()
        if not self._is_to_work():
            return
        others_wait = queueing.next_candidate(self._plans(), self._claims()) is not None
        self.workshop.advance(self._clock.monotonic(), others_wait=others_wait)
        while self.workshop.edits.is_ready and self._has_room():
            choice = queueing.next_candidate(self._plans(), self._claims())
            if choice is None:
                break
            self._claim(choice)
        line = self.account.line()
        if line != self._last_line:
            self._notifier.status(line)
            self._last_line = line

    def _feel(self) -> None:
        now, unix_now = self._clock.monotonic(), self._clock.time()
        for folder in self.folders.values():
            event = folder.feel(now, unix_now, self._patience.silent_seconds)
            if event is not None:
                self.tell(event)
        if event := self._vigil.keep(self.folders.values(), now):
            self.tell(event)
        away = (root for root, folder in self.folders.items() if folder.is_away)
        self.workshop.away = frozenset(away)

    def _has_room(self) -> bool:
        here = (folder for folder in self.folders.values() if not folder.is_away)
        under_way = sum(len(folder.under_way) for folder in here)
        return self.workshop.has_room(under_way)

    def _plans(self) -> Mapping[str, Plan]:
        return {
            root: folder.plan
            for root, folder in self.folders.items()
            if folder.plan is not None and not self._rests.reason(root) and folder.gives_jobs
        }

    def _claims(self) -> Mapping[str, queueing.Claims]:
        return {root: folder.claims for root, folder in self.folders.items()}

    def _claim(self, choice: queueing.Choice) -> None:
        folder = self.folders[choice.root]
        assert folder.plan is not None
        kept = queueing.kept(folder.plan, choice.candidate, folder.claims.taken)
        folder.claim(choice.candidate.image)
        folder.keeper.submit(orders.Claim(choice.candidate, kept))

    def _is_done(self) -> bool:
        if not self._once:
            return False
        if self.workshop.restraint.is_given_up:
            return True
        if self._moves():
            self._quiet_since = self._clock.monotonic()
            return False
        offline = any(folder.is_offline for folder in self.folders.values())
        more_seconds = self._patience.offline_seconds if offline else 0.0
        return self._clock.monotonic() >= self._quiet_since + more_seconds

    def _moves(self) -> bool:
        here = {
            root
            for root, folder in self.folders.items()
            if not folder.is_offline and not folder.is_settled_elsewhere
        }
        return any(job.root in here for job in self.workshop.jobs) or any(
            folder.moves or self.petitions.is_busy_in(root)
            for root, folder in self.folders.items()
            if root in here
        )

    def _reload(self) -> None:
        self._notifier.reloading(self._clock.monotonic())
        try:
            settings = self._reread(self.workshop.settings)
        except UserError as error:
            self.tell(story.SettingsRefused(problems=error.problems))
        else:
            self._take_over(settings)
        self.workshop.restraint.try_now()
        self._notifier.ready(self.account.line())

    def _take_over(self, settings: Settings) -> None:
        old = self.workshop.settings
        self.workshop.reconfigure(settings)
        for folder in self.folders.values():
            folder.reconfigure(settings)
        self.tell(story.SettingsReloaded())
        if self.workshop.edits.is_outdated:
            text = "The editor is opened anew, with these settings, as soon as it is idle."
            self.tell(story.Noted(text=text))
        if _roots(settings) != _roots(old):
            self.tell(story.Noted(text="Other hot folders take effect at the next start."))

    def tell(self, event: Event) -> None:
        """Tell an event to the terminal or journal, and to people's logs on the share."""
        self._log.tell(event)
        alone = isinstance(event, story.FolderEvent) or len(self.folders) == 1
        root = str(event.root) if isinstance(event, story.FolderEvent) else None
        for name, folder in self.folders.items():
            if root is None or name == root:
                self._write(event if alone else event.as_told_in(folder.root), name)

    def _write(self, event: Event, root: str) -> None:
        self.folders[root].keeper.submit(orders.Write(event, self._clock.time()))

    def _shut_down(self) -> None:
        self._editor.close()
        self._pixels.close()
        for folder in self.folders.values():
            folder.keeper.submit(orders.Quit())
        for folder in self.folders.values():
            if not folder.is_still:  # its keeper may stand in a system call for ever
                folder.keeper.join(timeout=1.0)


def _roots(settings: Settings) -> frozenset[Path]:
    return frozenset(folder.root for folder in settings.folders)
