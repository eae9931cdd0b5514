"""What happens in the daemon's life: every event with its facts and the sentence that tells it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from dataclasses import fields as facts_of
from pathlib import Path
from typing import ClassVar

from config.problems import Problem
from daemon.log.wording import duration, field, plain

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonEvent:
    """Something about the daemon as a whole."""

    level: ClassVar[int] = logging.INFO
    for_the_day: ClassVar[bool] = True

    def as_told_in(self, _root: Path) -> Event:
        """The same for the people of one of several hot folders: it names no other."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(DaemonEvent):
    """The daemon has begun to watch."""

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

    def __str__(self) -> str:
        return "The settings were read again and are in force."


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRefused(DaemonEvent):
    """New settings have problems."""

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

    watch: str  # "events", "poll"
    why: str  # "ext4 is a local disk", "nfs4 is a share"

    def __str__(self) -> str:
        return f"The hot folder {self.root} is online, watched by {self.watch} ({self.why})."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOffline(FolderEvent):
    """A hot folder cannot be reached; nothing in it is touched."""

    level: ClassVar[int] = logging.WARNING
    for_the_day: ClassVar[bool] = False  # the daily log cannot be reached either
    reason: str

    def __str__(self) -> str:
        return f"The hot folder {self.root} is offline: {self.reason}. It is tried again."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLowSpace(FolderEvent):
    """Too little room for results; no new job is claimed."""

    level: ClassVar[int] = logging.WARNING
    reason: str  # "/srv/hot has 1.2 GiB free, less than 2 GiB"

    def __str__(self) -> str:
        return f"New pictures wait: {self.reason}. Make room; work goes on by itself."


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDegraded(FolderEvent):
    """A hot folder is watched less well than it could be."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClaimed(JobEvent):
    """The files of a job have left the inbox."""

    def __str__(self) -> str:
        return f"{self.path} was taken from the inbox."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunning(JobEvent):
    """The editor has begun a variant of a job; variants count from 1."""

    seed: int
    steps: int
    variant: int = 1
    variants: int = 1

    def __str__(self) -> str:
        which = f", variant {self.variant} of {self.variants}" if self.variants > 1 else ""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self.path} is being edited ({steps}, seed {self.seed}{which})."


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(JobEvent):
    """One denoising step is done; counts from 1."""

    for_the_day: ClassVar[bool] = False
    step: int
    steps: int

    def __str__(self) -> str:
        return f"{self.path}: step {self.step} of {self.steps}."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNote(JobEvent):
    """Something surprising about a job that did not stop it."""

    text: str  # a whole sentence

    def __str__(self) -> str:
        # What the pixel side says begins with the file that it means.
        name = self.path.rpartition("/")[2]
        return self.text if self.text.startswith(name) else f"{self.path}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDone(JobEvent):
    """The results and their receipts are complete."""

    results: tuple[str, ...]  # relative to the root: "outbox/portraits/hero.png"
    seconds: float
    weights: str  # "trained", "random", "none"

    def __str__(self) -> str:
        results = ", ".join(self.results)
        caution = _CAUTIONS.get(self.weights, "")
        return f"{self.path} was edited in {duration(self.seconds)}: {results}{caution}."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(JobEvent):
    """A job has ended without a result."""

    level: ClassVar[int] = logging.ERROR
    cause: str
    advice: str
    originals: str  # where the originals are, relative to the root

    def __str__(self) -> str:
        cause, advice = self.cause.rstrip("."), self.advice.rstrip(".")
        told = f"{self.path} was not edited: {cause}. What to do: {advice}."
        return f"{told} The originals are in {self.originals}."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuarantined(JobFailed):
    """A job has ended because it is dangerous to try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDuplicate(JobEvent):
    """The same name with the same content was edited before."""

    earlier: tuple[str, ...]  # the results of then, relative to the root
    originals: str

    def __str__(self) -> str:
        return (
            f"{self.path} was edited before, see {', '.join(self.earlier)};"
            f" the originals are in {self.originals}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobGivenBack(JobEvent):
    """The files of a job are in the inbox again; costs no attempt."""

    reason: str  # "hotfolder is stopping"

    def __str__(self) -> str:
        return f"{self.path} is back in the inbox: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRetry(JobEvent):
    """A run of a job ended badly; it will be tried again."""

    level: ClassVar[int] = logging.WARNING
    attempt: int  # that comes next
    wait_seconds: float
    cause: str

    def __str__(self) -> str:
        when = f"in {duration(self.wait_seconds)}" if self.wait_seconds > 0 else "at once"
        return f"{self.path} did not work: {self.cause.rstrip('.')}. It is tried again {when}."


Event = DaemonEvent  # the classes here, and those of modules beside it
