"""What happens in the daemon's life: every event with its facts and the sentence that tells it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from dataclasses import fields as facts_of
from pathlib import Path
from typing import ClassVar

from config.problems import Problem
from daemon.events.text import duration, field, plain

_CAUTIONS = {  # by ModelFacts.weights
    "random": " (random weights: a test pattern, not an edit)",
    "none": " (no model: pictures stay as they are)",
}
_UPPER = re.compile(r"(?<!^)(?=[A-Z])")
_KEYS = {"job_id": "job", "path": "file", "class_name": "class"}


def sentence(event: Event) -> str:
    """One plain sentence on one line, for somebody who knows pictures and not computers."""
    return plain(str(event))


def fields(event: Event) -> tuple[tuple[str, str], ...]:
    """The facts of an event as keys and one-line values, `action` first."""
    action = _UPPER.sub("_", type(event).__name__).lower()
    facts = ((fact.name, getattr(event, fact.name)) for fact in facts_of(event))
    return (("action", action), *((_KEYS.get(name, name), field(value)) for name, value in facts))


def level(event: Event) -> int:
    """How much it matters: a level of the logging module."""
    return event.level


def for_the_day(event: Event) -> bool:
    """Whether it belongs into the daily log that people read."""
    return event.for_the_day


def job_of(event: Event) -> str | None:
    """The job that it is about."""
    return event.job_id if isinstance(event, JobEvent) else None


@dataclass(frozen=True, slots=True)
class Kind:
    """What the journal knows of one kind of event that administrators look for."""

    message_id: str = ""  # never changes; systemd/hotfolder.catalog explains it
    state: str = ""  # in which a job or hot folder is after it
    error_class: str = ""  # what is at fault: "job", "share", "config", …


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonEvent:
    """Something about the daemon as a whole."""

    kind: ClassVar[Kind] = Kind()
    level: ClassVar[int] = logging.INFO
    for_the_day: ClassVar[bool] = True

    def as_told_in(self, _root: Path) -> Event:
        """The same for the people of one of several hot folders: it names no other."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(DaemonEvent):
    """The daemon has begun to watch."""

    kind: ClassVar[Kind] = Kind("28a7fc734ff14404a2de850e20127221")
    version: str
    folders: tuple[Path, ...]
    editor: str  # "qwen", "echo"

    def as_told_in(self, root: Path) -> Event:
        """The same, of this hot folder alone."""
        return replace(self, folders=(root,))

    def __str__(self) -> str:
        return f"Hotfolder {self.version} watches {', '.join(map(str, self.folders))}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(DaemonEvent):
    """The daemon finishes what cannot be left and gives the rest back."""

    kind: ClassVar[Kind] = Kind("23ad8e23e40d46a5a390adbffea7558c")
    reason: str  # "asked to by SIGTERM", "all work is done"

    def __str__(self) -> str:
        return f"Hotfolder is stopping: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(DaemonEvent):
    """The last word."""

    def __str__(self) -> str:
        return "Hotfolder has stopped."


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsReloaded(DaemonEvent):
    """New settings are in force."""

    kind: ClassVar[Kind] = Kind("54b48100f5ee42a7af3b3dbf85c44fda")

    def __str__(self) -> str:
        return "The settings were read again and are in force."


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRefused(DaemonEvent):
    """New settings have problems."""

    kind: ClassVar[Kind] = Kind("08e6302640f644aea9ff195b90b48680", error_class="config")
    level: ClassVar[int] = logging.ERROR
    problems: tuple[Problem, ...]

    def as_told_in(self, _root: Path) -> Event:
        """The same without the problems, which are for whoever wrote the settings."""
        return replace(self, problems=())

    def __str__(self) -> str:
        told = "The new settings were not taken, the old ones stay in force."
        return " ".join((told, *(f"{problem}." for problem in self.problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorLoading(DaemonEvent):
    """The editor process is on its way."""

    model: str  # a folder, or "echo"

    def __str__(self) -> str:
        return f"The editor is loading: {self.model}."


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorReady(DaemonEvent):
    """The editor holds its model and takes requests."""

    kind: ClassVar[Kind] = Kind("4594e40e4549464cac16771339f94970")
    class_name: str
    dtype: str
    weights: str  # "trained", "random", "none"
    seconds: float

    def __str__(self) -> str:
        model = f"{self.class_name}, {self.dtype}{_CAUTIONS.get(self.weights, '')}"
        return f"The editor is ready after {duration(self.seconds)}: {model}."


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorLost(DaemonEvent):
    """The editor process died or hung."""

    kind: ClassVar[Kind] = Kind("5b68e568bf85436baf85b1c9dab305ca", error_class="crash")
    level: ClassVar[int] = logging.ERROR
    reason: str  # "killed by SIGKILL", "said nothing for 600 s"
    last_words: str  # the end of what it printed

    def __str__(self) -> str:
        return f"The editor was lost ({self.reason}) and is started again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(DaemonEvent):
    """Something that an administrator should know."""

    level: ClassVar[int] = logging.WARNING
    text: str  # a whole sentence

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail(Noted):
    """Something for whoever looks for a fault."""

    level: ClassVar[int] = logging.DEBUG
    for_the_day: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained(Detail):
    """How the editor goes about its work."""

    level: ClassVar[int] = logging.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderEvent(DaemonEvent):
    """Something about one hot folder or a file in its inbox."""

    root: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNoted(FolderEvent):
    """Something that the administrator of a hot folder should know."""

    level: ClassVar[int] = logging.WARNING
    text: str  # a whole sentence

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOnline(FolderEvent):
    """A hot folder is there and works."""

    kind: ClassVar[Kind] = Kind("e87b7276901e4fa2a502377178abd7a5", state="online")
    watch: str  # "events", "poll"
    why: str  # "ext4 is a local disk", "nfs4 is a share"

    def __str__(self) -> str:
        return f"The hot folder {self.root} is online, watched by {self.watch} ({self.why})."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOffline(FolderEvent):
    """A hot folder cannot be reached; nothing in it is touched."""

    kind: ClassVar[Kind] = Kind(
        "527db6ef032342f4a636c4b14e1a3dd3", state="offline", error_class="share"
    )
    level: ClassVar[int] = logging.WARNING
    for_the_day: ClassVar[bool] = False  # the daily log cannot be reached either
    reason: str

    def __str__(self) -> str:
        return f"The hot folder {self.root} is offline: {self.reason}. It is tried again."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLowSpace(FolderEvent):
    """Too little room for results; no new job is claimed."""

    kind: ClassVar[Kind] = Kind(
        "aa08d2fd011f418ba92f7897a1abf2d0", state="low-space", error_class="space"
    )
    level: ClassVar[int] = logging.WARNING
    reason: str  # "/srv/hot has 1.2 GiB free, less than 2 GiB"

    def __str__(self) -> str:
        return f"New pictures wait: {self.reason}. Make room; work goes on by itself."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDegraded(FolderEvent):
    """A hot folder is watched less well than it could be."""

    kind: ClassVar[Kind] = Kind("23246448053d4868ac0db78d52c65636", error_class="share")
    level: ClassVar[int] = logging.WARNING
    reason: str

    def __str__(self) -> str:
        return f"New files in {self.root} may be noticed later than usual: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNotLogged(FolderEvent):
    """A log for people cannot be written."""

    level: ClassVar[int] = logging.WARNING
    reason: str  # "logs/LOG-2026-11-22.txt: Permission denied; give …"

    def __str__(self) -> str:
        return f"Editing goes on in {self.root} without its log: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIgnored(FolderEvent):
    """A file is never taken for input."""

    path: str
    reason: str  # "a HEIC picture: save it as JPEG, PNG, WebP, TIFF or BMP"

    def __str__(self) -> str:
        return f"{self.path} is left alone: {self.reason.removesuffix(': left alone')}."


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWaiting(FolderEvent):
    """A file cannot be worked yet."""

    path: str
    reason: str  # "no instruction yet: photo.yaml or photo.txt"

    def __str__(self) -> str:
        # Some reasons say already that it waits.
        return f"{self.path} waits: {self.reason.removeprefix('waits for ')}."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(FolderEvent):
    """Something about one job."""

    job_id: str
    path: str  # the image, relative to the inbox


Event = DaemonEvent  # the classes here, and those of modules beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineVerified(DaemonEvent):
    """No network can be reached."""

    kind: ClassVar[Kind] = Kind("8f2481f6196842ddaccb114e45d2c3e9")
    for_the_day: ClassVar[bool] = False  # of the machine, and not of the pictures
    reason: str  # "no socket but local ones may be made"

    def __str__(self) -> str:
        return f"Offline verified: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class NotConfined(DaemonEvent):
    """A network could be reached."""

    kind: ClassVar[Kind] = Kind("04fad3b2a41a4e65a296162a0b8fa57d")
    for_the_day: ClassVar[bool] = False
    reason: str  # "there is a network interface, eth0"

    def __str__(self) -> str:
        return (
            f"Not confined: {self.reason}. Hotfolder uses no network; the systemd unit sees to it."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkHalted(DaemonEvent):
    """No job is begun: the machine is at fault, and no job."""

    kind: ClassVar[Kind] = Kind(
        "bf4083c6b63a4b93a780f8de0c6a8525", state="paused", error_class="machine"
    )
    level: ClassVar[int] = logging.ERROR
    reason: str

    def __str__(self) -> str:
        return f"No more jobs are begun: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTried(DaemonEvent):
    """The halt is over for one job."""

    what: str = "the editor"  # that did not work

    def __str__(self) -> str:
        return f"One job tries whether {self.what} works again."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkGoesOn(DaemonEvent):
    """Jobs are begun again."""

    kind: ClassVar[Kind] = Kind("219e454804eb42cca04049cfa155e175")
    what: str = "the editor"  # that did not work

    def __str__(self) -> str:
        what = f"{self.what[:1].upper()}{self.what[1:]}"
        return f"{what} works again: jobs are begun as usual."


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelWorkerLost(DaemonEvent):
    """A process that opens and saves pictures died or hung."""

    kind: ClassVar[Kind] = Kind("0c6a3f5d8e7b4b1f9a52d4c7e81b6f30", error_class="crash")
    level: ClassVar[int] = logging.ERROR
    reason: str  # "killed by SIGKILL", "exit status 1"
    last_words: str  # the end of what it printed

    def __str__(self) -> str:
        return (
            f"A program that opens and saves pictures ended ({self.reason}); another is started."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld(Noted):
    """A part of the daemon hangs; systemd is given no sign of life."""

    kind: ClassVar[Kind] = Kind("23b48959d7854f80aad8ed6e67433a7e", error_class="hang")
    level: ClassVar[int] = logging.ERROR

    def as_told_in(self, _root: Path) -> Event:
        """The same without the hindrance, which may be another hot folder."""
        return replace(self, text=f"{self.text.partition(':')[0]}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFailed(Noted):
    """A fault of ours ended what a thread was at; it goes on after a rest."""

    kind: ClassVar[Kind] = Kind("5d27a3fd1b7a4c6c9f0c0e5cf7a1b6e2", error_class="bug")
    level: ClassVar[int] = logging.ERROR
    for_the_day: ClassVar[bool] = False  # it is for whoever mends us, and the log may be at fault
    thread: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted(DaemonEvent):
    """The daemon ends before it has begun."""

    kind: ClassVar[Kind] = Kind("eb244a866c274993a7d024f3bace4a59", error_class="config")
    level: ClassVar[int] = logging.ERROR
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return f"Hotfolder cannot start: {' '.join(f'{problem}.' for problem in self.problems)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStandby(FolderEvent):
    """Another daemon leads a hot folder; this one touches nothing in it."""

    kind: ClassVar[Kind] = Kind("6224cb68e1294652aae333fdb0fb83df", state="standby")
    for_the_day: ClassVar[bool] = False  # the daily log is the other one's, too
    reason: str  # "process 4711 on nas leads"

    def __str__(self) -> str:
        return f"The hot folder {self.root} is on standby: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRests(FolderEvent):
    """No more jobs of a hot folder are begun."""

    kind: ClassVar[Kind] = Kind("ee9da2fc2d2f47b9aa04587aeb3077e5", state="paused")
    reason: str  # "outside its hours, until Mon 20:00"

    def __str__(self) -> str:
        return f"The hot folder {self.root} rests: {self.reason}. What was begun is finished."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderGoesOn(FolderEvent):
    """Jobs of a hot folder are begun again."""

    kind: ClassVar[Kind] = Kind("785a483d0b4147dfa8fbc5efb38540d8", state="online")

    def __str__(self) -> str:
        return f"The hot folder {self.root} is worked again."


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorDismissed(DaemonEvent):
    """The editor process was ended because nobody needs it now."""

    for_the_day: ClassVar[bool] = False

    def __str__(self) -> str:
        return "The editor was ended, since all hot folders rest: the memory of the GPU is free."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSwept(FolderEvent):
    """Files that we filed long ago were deleted, as the settings say."""

    what: str  # "done/2026-10-01", "logs"
    files: int
    days: float  # that they are kept

    def __str__(self) -> str:
        number = "1 file" if self.files == 1 else f"{self.files} files"
        return f"{number} of {self.what} were deleted: they are kept for {self.days:g} days."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNotSwept(FolderEvent):
    """Old files could not be deleted."""

    level: ClassVar[int] = logging.WARNING
    reason: str

    def __str__(self) -> str:
        return f"Old files could not be deleted ({self.reason}); it is tried again in some hours."
