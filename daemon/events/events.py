"""What happens in the daemon's life: every event with its facts and the sentence that tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from logging import DEBUG, ERROR, INFO, WARNING
from pathlib import Path
from typing import ClassVar, dataclass_transform

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
    facts = vars(event).items()
    return (("action", action), *((_KEYS.get(name, name), field(value)) for name, value in facts))


@dataclass(frozen=True, slots=True)
class Kind:
    """What is the same of all events of one class."""

    message_id: str = ""  # of the journal, never changes; systemd/hotfolder.catalog explains it
    state: str = ""  # in which a job or hot folder is after it
    error_class: str = ""  # what is at fault: "job", "share", "config", …
    level: int = INFO  # how much it matters
    for_the_day: bool = True  # whether it belongs into the daily log that people read


@dataclass_transform(kw_only_default=True, frozen_default=True)
class DaemonEvent:
    """Something about the daemon as a whole; every class of events is a frozen dataclass."""

    kind: ClassVar[Kind] = Kind()

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    def as_told_in(self, _root: Path) -> Event:
        """The same for the people of one of several hot folders: it names no other."""
        return self


class Started(DaemonEvent):
    """The daemon has begun to watch."""

    kind = Kind("28a7fc734ff14404a2de850e20127221")
    version: str
    folders: tuple[Path, ...]
    editor: str  # "qwen", "echo"

    def as_told_in(self, root: Path) -> Event:
        """The same, of this hot folder alone."""
        return replace(self, folders=(root,))

    def __str__(self) -> str:
        return f"Hotfolder {self.version} watches {', '.join(map(str, self.folders))}."


class Stopping(DaemonEvent):
    """The daemon finishes what cannot be left and gives the rest back."""

    kind = Kind("23ad8e23e40d46a5a390adbffea7558c")
    reason: str  # "asked to by SIGTERM", "all work is done"

    def __str__(self) -> str:
        return f"Hotfolder is stopping: {self.reason}."


class Stopped(DaemonEvent):
    """The last word."""

    def __str__(self) -> str:
        return "Hotfolder has stopped."


class SettingsReloaded(DaemonEvent):
    """New settings are in force."""

    kind = Kind("54b48100f5ee42a7af3b3dbf85c44fda")

    def __str__(self) -> str:
        return "The settings were read again and are in force."


class SettingsRefused(DaemonEvent):
    """New settings have problems."""

    kind = Kind("08e6302640f644aea9ff195b90b48680", error_class="config", level=ERROR)
    problems: tuple[Problem, ...]

    def as_told_in(self, _root: Path) -> Event:
        """The same without the problems, which are for whoever wrote the settings."""
        return replace(self, problems=())

    def __str__(self) -> str:
        told = "The new settings were refused, the old ones stay in force."
        return " ".join((told, *(f"{problem}." for problem in self.problems)))


class EditorLoading(DaemonEvent):
    """The editor process is on its way."""

    model: str  # a folder, or "echo"

    def __str__(self) -> str:
        return f"The editor is loading: {self.model}."


class EditorReady(DaemonEvent):
    """The editor holds its model and takes requests."""

    kind = Kind("4594e40e4549464cac16771339f94970")
    class_name: str
    dtype: str
    weights: str  # "trained", "random", "none"
    seconds: float

    def __str__(self) -> str:
        model = f"{self.class_name}, {self.dtype}{_CAUTIONS.get(self.weights, '')}"
        return f"The editor is ready after {duration(self.seconds)}: {model}."


class EditorLost(DaemonEvent):
    """The editor process died or hung."""

    kind = Kind("5b68e568bf85436baf85b1c9dab305ca", error_class="crash", level=ERROR)
    reason: str  # "killed by SIGKILL", "said nothing for 600 s"
    last_words: str  # the end of what it printed

    def __str__(self) -> str:
        return f"The editor was lost ({self.reason}) and is started again."


class Noted(DaemonEvent):
    """Something that an administrator should know."""

    kind = Kind(level=WARNING)
    text: str  # a whole sentence

    def __str__(self) -> str:
        return self.text


class Detail(Noted):
    """Something for whoever looks for a fault."""

    kind = Kind(level=DEBUG, for_the_day=False)


class Explained(Detail):
    """How the editor goes about its work."""

    kind = Kind(for_the_day=False)


class FolderEvent(DaemonEvent):
    """Something about one hot folder or a file in its inbox."""

    root: Path


class FolderNoted(FolderEvent):
    """Something that the administrator of a hot folder should know."""

    kind = Kind(level=WARNING)
    text: str  # a whole sentence

    def __str__(self) -> str:
        return self.text


class FolderOnline(FolderEvent):
    """A hot folder is there and works."""

    kind = Kind("e87b7276901e4fa2a502377178abd7a5", state="online")
    watch: str  # "events", "poll"
    why: str  # "ext4 is a local disk", "nfs4 is a share"

    def __str__(self) -> str:
        return f"The hot folder {self.root} is online, watched by {self.watch} ({self.why})."


class FolderOffline(FolderEvent):
    """A hot folder cannot be reached; nothing in it is touched."""

    # Not for the day: that log cannot be reached either.
    kind = Kind(
        "527db6ef032342f4a636c4b14e1a3dd3",
        state="offline",
        error_class="share",
        level=WARNING,
        for_the_day=False,
    )
    reason: str

    def __str__(self) -> str:
        return f"The hot folder {self.root} is offline: {self.reason}. It is tried again."


class FolderLowSpace(FolderEvent):
    """Too little room for results; no new job is claimed."""

    kind = Kind(
        "aa08d2fd011f418ba92f7897a1abf2d0", state="low-space", error_class="space", level=WARNING
    )
    reason: str  # "/srv/hot has 1.2 GiB free, less than 2 GiB"

    def __str__(self) -> str:
        return f"New pictures wait: {self.reason}. Make room; work goes on by itself."


class FolderDegraded(FolderEvent):
    """A hot folder is watched less well than it could be."""

    kind = Kind("23246448053d4868ac0db78d52c65636", error_class="share", level=WARNING)
    reason: str

    def __str__(self) -> str:
        return f"New files in {self.root} may be noticed later than usual: {self.reason}."


class FolderNotLogged(FolderEvent):
    """A log for people cannot be written."""

    kind = Kind(level=WARNING)
    reason: str  # "logs/LOG-2026-11-22.txt: Permission denied; give …"

    def __str__(self) -> str:
        return f"Editing goes on in {self.root} without its log: {self.reason}."


class StatusNotWritten(FolderEvent):
    """STATUS.txt, for people who have only the share, cannot be written."""

    kind = Kind(level=WARNING)
    reason: str  # "STATUS.txt: Permission denied; give …"

    def __str__(self) -> str:
        return f"Editing goes on in {self.root} without its STATUS.txt: {self.reason}."


class FileIgnored(FolderEvent):
    """A file is no input."""

    path: str
    reason: str  # "a HEIC picture: save it as JPEG, PNG, WebP, TIFF or BMP"

    def __str__(self) -> str:
        return f"{self.path} is ignored: {self.reason}."


class FileWaiting(FolderEvent):
    """A file cannot be worked yet."""

    path: str
    reason: str  # "no instruction yet: photo.yaml or photo.txt"

    def __str__(self) -> str:
        # Some reasons say already that it waits.
        waits = "" if self.reason.startswith("waits ") else "waits: "
        return f"{self.path} {waits}{self.reason}."


class FileMisnamed(FolderEvent):
    """A file has an ending too many, and is read as the one that was meant."""

    path: str
    reason: str  # the name that was meant, without its folder

    def __str__(self) -> str:
        return (
            f"{self.path} is read as {self.reason}, which was meant: where endings are hidden, as"
            " on Windows, a name gets one too many."
        )


class JobEvent(FolderEvent):
    """Something about one job."""

    job_id: str
    path: str  # the image, relative to the inbox


Event = DaemonEvent  # the classes here, and those of modules beside it


class OfflineVerified(DaemonEvent):
    """No network can be reached."""

    # Not for the day: it is of the machine, and not of the pictures.
    kind = Kind("8f2481f6196842ddaccb114e45d2c3e9", for_the_day=False)
    reason: str  # "no socket but local ones may be made"

    def __str__(self) -> str:
        return f"Offline verified: {self.reason}."


class NotConfined(DaemonEvent):
    """A network could be reached."""

    kind = Kind("04fad3b2a41a4e65a296162a0b8fa57d", for_the_day=False)
    reason: str  # "there is a network interface, eth0"

    def __str__(self) -> str:
        return (
            f"Not confined: {self.reason}. Hotfolder uses no network; the systemd unit sees to it."
        )


class WorkHalted(DaemonEvent):
    """No job is begun: the machine is at fault, and no job."""

    kind = Kind(
        "bf4083c6b63a4b93a780f8de0c6a8525", state="paused", error_class="machine", level=ERROR
    )
    reason: str

    def __str__(self) -> str:
        return f"All hot folders are paused, no more jobs are begun: {self.reason}."


class WorkTried(DaemonEvent):
    """The halt is over for one job."""

    what: str = "the editor"  # that did not work

    def __str__(self) -> str:
        return f"One job tries whether {self.what} works again."


class WorkGoesOn(DaemonEvent):
    """Jobs are begun again."""

    kind = Kind("219e454804eb42cca04049cfa155e175")
    what: str = "the editor"  # that did not work

    def __str__(self) -> str:
        what = f"{self.what[:1].upper()}{self.what[1:]}"
        return f"{what} works again: jobs are begun as usual."


class PixelWorkerLost(DaemonEvent):
    """A process that opens and saves pictures died or hung."""

    kind = Kind("0c6a3f5d8e7b4b1f9a52d4c7e81b6f30", error_class="crash", level=ERROR)
    reason: str  # "killed by SIGKILL", "exit status 1"
    last_words: str  # the end of what it printed

    def __str__(self) -> str:
        return (
            f"A program that opens and saves pictures ended ({self.reason}); another is started."
        )


class HookRun(DaemonEvent):
    """A program of the administrator was told of something, and did well."""

    # Not for the day: it is the administrator's, as are all hooks.
    kind = Kind(for_the_day=False)
    hook: str  # "on_done"
    program: str
    path: str  # the picture that it is about; "" where it is about none
    words: str  # the end of what it printed

    def __str__(self) -> str:
        about = f" for {self.path}" if self.path else ""
        said = f": {self.words}" if self.words else ""
        return f"The hook {self.hook} was called{about} ({self.program}){said}."


class HookFailed(DaemonEvent):
    """A program of the administrator could not be told of something, or failed; no job did."""

    kind = Kind(level=WARNING, for_the_day=False)
    hook: str
    program: str
    path: str
    reason: str  # "exit status 1"
    words: str

    def __str__(self) -> str:
        about = f" for {self.path}" if self.path else ""
        said = f": {self.words}" if self.words else ""
        which = f" ({self.program})" if self.program else ""
        return f"The hook {self.hook} failed{about}{which}: {self.reason}{said}."


class Withheld(Noted):
    """A part of the daemon hangs; systemd is given no sign of life."""

    kind = Kind("23b48959d7854f80aad8ed6e67433a7e", error_class="hang", level=ERROR)

    def as_told_in(self, _root: Path) -> Event:
        """The same without the hindrance, which may be another hot folder."""
        return replace(self, text=f"{self.text.partition(':')[0]}.")


class ThreadFailed(Noted):
    """A fault of ours ended what a thread was at; it goes on after a while."""

    # Not for the day: it is for whoever mends us, and the log may be at fault.
    kind = Kind(
        "5d27a3fd1b7a4c6c9f0c0e5cf7a1b6e2", error_class="bug", level=ERROR, for_the_day=False
    )
    thread: str
    traceback: str


class NotStarted(DaemonEvent):
    """The daemon ends before it has begun."""

    kind = Kind("eb244a866c274993a7d024f3bace4a59", error_class="config", level=ERROR)
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return f"Hotfolder cannot start: {' '.join(f'{problem}.' for problem in self.problems)}"


class FolderStandby(FolderEvent):
    """Another daemon works on a hot folder; this one touches nothing in it."""

    # Not for the day: that log is the other one's, too.
    kind = Kind("6224cb68e1294652aae333fdb0fb83df", state="standby", for_the_day=False)
    reason: str  # "process 4711 on nas works on it"

    def __str__(self) -> str:
        return f"The hot folder {self.root} is on standby: {self.reason}."


class FolderRests(FolderEvent):
    """No more jobs of a hot folder are begun."""

    kind = Kind("ee9da2fc2d2f47b9aa04587aeb3077e5", state="paused")
    reason: str  # "outside its hours, until Mon 20:00"

    def __str__(self) -> str:
        return f"The hot folder {self.root} is paused: {self.reason}. What was begun is finished."


class FolderGoesOn(FolderEvent):
    """Jobs of a hot folder are begun again."""

    kind = Kind("785a483d0b4147dfa8fbc5efb38540d8", state="online")

    def __str__(self) -> str:
        return f"The hot folder {self.root} is paused no more: jobs are begun again."


class EditorDismissed(DaemonEvent):
    """The editor process was ended because nobody needs it now."""

    kind = Kind(for_the_day=False)

    def __str__(self) -> str:
        return (
            "The editor was ended, since all hot folders are paused:"
            " the memory of the GPU is free."
        )


class FolderSwept(FolderEvent):
    """Files that we filed long ago were deleted, as the settings say."""

    what: str  # "done/2026-10-01", "logs"
    files: int
    days: float  # that they are kept

    def __str__(self) -> str:
        number = "1 file" if self.files == 1 else f"{self.files} files"
        return f"{number} of {self.what} were deleted: they are kept for {self.days:g} days."


class FolderNotSwept(FolderEvent):
    """Old files could not be deleted."""

    kind = Kind(level=WARNING)
    reason: str

    def __str__(self) -> str:
        return f"Old files could not be deleted ({self.reason}); it is tried again in some hours."
