"""The one thread that decides: everything else reports to its mailbox and does what it says."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import assert_never

from config.problems import UserError
from config.settings import Settings
from daemon import orders, queueing, status, story
from daemon.active import Active, Resumable
from daemon.child import Ended, Said
from daemon.control import Request
from daemon.editor_line import EditorLine
from daemon.history import History
from daemon.job import FileState, FolderState, Plan, Seen, State
from daemon.keeper import Clock, Keeper
from daemon.logs import Log
from daemon.names import Kind, kind_of, printable
from daemon.notify import Notifier
from daemon.pixel_pool import PixelPool
from daemon.story import Event
from daemon.workshop import Workshop

STOP_SECONDS = 8.0
_TICK_SECONDS = 1.0
_OFFLINE_PATIENCE_SECONDS = 60.0  # how long `once` waits for a share that went away
_FILES_TOLD = 20  # of each look; an inbox may hold thousands


@dataclass(frozen=True, slots=True)
class Stop:
    """Give the jobs back and end."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the settings again."""


Mail = (
    Stop | Reload | orders.FromKeeper | Said | Ended | Request | story.FolderDegraded | story.Noted
)
Mailbox = queue.SimpleQueue[Mail]


@dataclass(slots=True)
class Folder:
    """What the service knows of one hot folder."""

    keeper: Keeper
    stands: orders.Stands
    plan: Plan | None = None
    under_way: frozenset[Seen] = frozenset()  # images whose claim is not answered yet
    answered: frozenset[Seen] = frozenset()  # images that a plan of before the answer still shows
    told: frozenset[tuple[str, str, str]] = frozenset()  # of ignored and waiting files

    @property
    def is_offline(self) -> bool:
        """Whether its share is away."""
        return self.stands.state is FolderState.OFFLINE

    @property
    def taken(self) -> frozenset[Seen]:
        """Images that are no candidates any more, whatever the plan says."""
        return self.under_way | self.answered


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
        reread: Callable[[], Settings],
        once: bool,
    ) -> None:
        self._mailbox, self._clock, self._log, self._once = mailbox, clock, log, once
        self._reread, self._notifier, self._pixels, self._editor = reread, notifier, pixels, editor
        offline = orders.Stands(FolderState.OFFLINE, "not looked at yet")
        self.folders = {root: Folder(keeper, offline) for root, keeper in keepers.items()}
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
        self._stop: Stop | None = None
        self._last_line = ""
        self._quiet_since = clock.monotonic()

    def run(self) -> None:
        """Serve until stopped or, `once`, done; raises UserError where the model is unusable."""
        for folder in self.folders.values():
            folder.keeper.start()
        while self._stop is None and not self._is_done():
            self._advance()
            self._wait(_TICK_SECONDS)
            if self.workshop.unusable:
                self._shut_down()
                raise UserError(self.workshop.unusable)
        reason = self._stop.reason if self._stop else "all work is done"
        self._notifier.stopping(reason)
        self.tell(story.Stopping(reason=reason))
        self.workshop.give_back()
        deadline = self._clock.monotonic() + STOP_SECONDS
        while self.workshop.is_finishing() and self._clock.monotonic() < deadline:
            self._wait(0.1)
        self._shut_down()
        self.tell(story.Stopped())

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
                mail.reply(self._status(mail))
            case story.FolderDegraded() | story.Noted():
                self.tell(mail)
            case _:
                assert_never(mail)

    def _said(self, said: Said) -> None:
        if said.child in self._pixels:
            answered = self._pixels.heard(said, self._clock.monotonic())
            self.workshop.pixels_answered(answered)
        else:
            was_ready = self.workshop.is_ready
            self.workshop.editor_said(said)
            if self.workshop.is_ready and not was_ready:
                self._notifier.ready(self._line())

    def _ended(self, ended: Ended) -> None:
        if ended.child not in self._pixels:
            self.workshop.editor_ended(ended)
        elif died := self._pixels.ended(ended, self._clock.monotonic()):
            self.workshop.pixels_died(died)

    def _keeper_answered(  # noqa: C901 - one arm an answer
        self, root: str, answer: orders.Answer
    ) -> None:
        folder = self.folders[root]
        match answer:
            case orders.Stands():
                self._stands(root, folder, answer)
            case orders.Looked(plan):
                folder.answered = frozenset()
                folder.plan = plan
                self._tell_of_files(root, folder)
            case orders.Recovered(jobs):
                self.workshop.adopt(root, jobs)
            case orders.Claimed(task):
                self._answered(folder, task.job.path)
                self.workshop.claimed(root, answer)
            case orders.Invalid(job):
                self._answered(folder, job.path)
                self.workshop.invalid(root, answer)
            case orders.Lost(candidate):
                self._answered(folder, candidate.image.path)
            case orders.Vanished(job):
                self._answered(folder, job.path)
                self.workshop.vanished(root, job)
            case orders.Published():
                self.workshop.published(answer)
            case orders.Filed():
                self.workshop.filed(root, answer)
            case orders.GivenBack(job):
                self.workshop.given_back(root, job)
            case _:
                assert_never(answer)

    def _answered(self, folder: Folder, path: str) -> None:
        mine = frozenset(seen for seen in folder.under_way if seen.path == path)
        folder.under_way -= mine
        folder.answered |= mine

    def _stands(self, root: str, folder: Folder, stands: orders.Stands) -> None:
        folder.stands = stands
        match stands.state:
            case FolderState.ONLINE:
                manner = folder.keeper.manner
                self.tell(story.FolderOnline(root=Path(root), watch=manner.watch, why=manner.why))
            case FolderState.LOW_SPACE:
                self.tell(story.FolderLowSpace(root=Path(root), reason=stands.reason))
            case _:
                self.tell(story.FolderOffline(root=Path(root), reason=stands.reason))

    def _tell_of_files(self, root: str, folder: Folder) -> None:
        assert folder.plan is not None
        now = frozenset(_worth_telling(folder.plan))
        new = sorted(now - folder.told)
        for kind, path, reason in new[:_FILES_TOLD]:
            event = story.FileIgnored if kind == "ignored" else story.FileWaiting
            self.tell(event(root=Path(root), path=path, reason=reason))
        if len(new) > _FILES_TOLD:
            more = f"{len(new) - _FILES_TOLD} more files wait or are left alone"
            self.tell(story.Noted(text=f"{more} in {root}: hotfolder plan lists them all."))
        folder.told = now

    def _advance(self) -> None:
        self.workshop.advance(self._clock.monotonic())
        while self.workshop.is_ready and self._has_room():
            choice = queueing.next_candidate(self._plans(), self._taken())
            if choice is None:
                break
            self._claim(choice)
        line = self._line()
        if line != self._last_line:
            self._notifier.status(line)
            self._last_line = line

    def _has_room(self) -> bool:
        under_way = sum(len(folder.under_way) for folder in self.folders.values())
        return queueing.has_room(self.workshop.jobs, under_way)

    def _plans(self) -> Mapping[str, Plan]:
        return {
            root: folder.plan
            for root, folder in self.folders.items()
            if folder.plan is not None and folder.stands.state is FolderState.ONLINE
        }

    def _taken(self) -> Mapping[str, frozenset[Seen]]:
        return {root: folder.taken for root, folder in self.folders.items()}

    def _claim(self, choice: queueing.Choice) -> None:
        folder = self.folders[choice.root]
        assert folder.plan is not None
        kept = queueing.kept(folder.plan, choice.candidate, folder.taken)
        folder.under_way |= {choice.candidate.image}
        folder.keeper.submit(orders.Claim(choice.candidate, kept))

    def _is_done(self) -> bool:
        if not self._once:
            return False
        if self._moves():
            self._quiet_since = self._clock.monotonic()
            return False
        offline = any(folder.is_offline for folder in self.folders.values())
        patience = _OFFLINE_PATIENCE_SECONDS if offline else 0.0
        return self._clock.monotonic() >= self._quiet_since + patience

    def _moves(self) -> bool:
        here = {root for root, folder in self.folders.items() if not folder.is_offline}
        return any(job.root in here for job in self.workshop.jobs) or any(
            _moves(folder) for root, folder in self.folders.items() if root in here
        )

    def _reload(self) -> None:
        self._notifier.reloading(self._clock.monotonic())
        try:
            settings = self._reread()
        except UserError as error:
            self.tell(story.SettingsRefused(problems=error.problems))
        else:
            self._take_over(settings)
        self._notifier.ready(self._line())

    def _take_over(self, settings: Settings) -> None:
        old = self.workshop.settings
        self.workshop.settings = settings
        for folder in self.folders.values():
            folder.keeper.submit(orders.Reconfigure(settings))
        self.tell(story.SettingsReloaded())
        if settings.model != old.model or _roots(settings) != _roots(old):
            text = "Another model or other hot folders take effect at the next start."
            self.tell(story.Noted(text=text))

    def _line(self) -> str:
        return status.line(self.workshop.jobs, self._plans_of_all())

    def _status(self, request: Request) -> Mapping[str, object]:
        now, midnight = self._clock.monotonic(), _midnight(self._clock.time())
        documents = []
        for root, folder in self.folders.items():
            if folder.plan is None or root != str(request.root):
                continue
            jobs = [
                status.job_document(job, now, self._typical_seconds(job))
                for job in self.workshop.jobs
                if job.root == root
            ]
            today = self.history.counts_since(folder.keeper.identity, midnight)
            stands = folder.stands
            documents.append(status.folder_document(root, stands, folder.plan, jobs, today))
        editor = status.editor_document(self._editor.condition, self.workshop.facts)
        return status.document(documents, editor)

    def _typical_seconds(self, job: Active | Resumable) -> float | None:
        if isinstance(job, Active):
            recipe = job.task.recipe
            return self.history.typical_seconds(recipe.steps * recipe.variants)
        return None

    def _plans_of_all(self) -> list[Plan]:
        return [folder.plan for folder in self.folders.values() if folder.plan is not None]

    def tell(self, event: Event) -> None:
        """Tell an event to the terminal or journal, and to people's logs on the share."""
        self._log.tell(event)
        root = event.root if isinstance(event, story.FolderEvent) else None
        at = self._clock.time()
        for name, folder in self.folders.items():
            if root is None or name == str(root):
                folder.keeper.submit(orders.Write(event, at))

    def _shut_down(self) -> None:
        self._editor.close()
        self._pixels.close()
        for folder in self.folders.values():
            folder.keeper.submit(orders.Quit())
        for folder in self.folders.values():
            folder.keeper.join(timeout=1.0)


def _moves(folder: Folder) -> bool:
    plan = folder.plan
    if plan is None or folder.under_way or folder.answered or plan.ready:
        return True
    return any(_settles(file) for file in plan.states)


def _settles(file: FileState) -> bool:
    # A folder preset is seen and stays so.
    is_preset = kind_of(PurePath(file.path).name) is Kind.PRESET
    return file.state in (State.SEEN, State.SETTLING) and not is_preset


def _worth_telling(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for ignored in plan.ignored:
        yield "ignored", printable(ignored.path), ignored.reason
    for file in plan.states:
        # Their reasons count seconds, or they end by themselves.
        if file.state in (State.HELD, State.WAITING_SIDECAR):
            yield "waiting", printable(file.path), file.reason


def _roots(settings: Settings) -> frozenset[Path]:
    return frozenset(folder.root for folder in settings.folders)


def _midnight(unix_time: float) -> float:
    now = datetime.fromtimestamp(unix_time, UTC).astimezone()
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
