"""What settled files say, each read once: sidecars, presets, reports, and if an image is whole.

Opened is only what was seen, never a link, and nobody is waited for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import re
import signal
import stat
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from config import codec
from config.comparison import told_apart
from config.instruction_keys import Keys, read_preset
from config.problems import Problem, UserError
from config.text import LIMIT_BYTES
from daemon.fs.dirfd import DirEntryAt, DirWalker, has_other_names
from daemon.fs.errors import is_of_one_file
from daemon.fs.names import Kind, is_prose, kind_of, meant_name, printable
from daemon.job import DRAWN_SEED, Seen
from pipeline import instruction, recipe
from pipeline.instruction import Instruction
from pipeline.recipe import RecipeRules, Resolved
from pipeline.sniff.foreign import NotAPicture
from pipeline.sniff.whole_file import EndsInZeros, Incomplete, Whole, examine

DEFAULT_PRIORITY = 5
REPORT_LIMIT_BYTES = 1 << 20  # a report quotes an instruction of 64 KiB at most

_WHY_LINES = (" was not edited.", "Cause: ", "What to do: ")
_JOB = re.compile(r"^Job: \d{8}-\d{6}-[0-9a-f]{8}$", re.MULTILINE)
_REPORT_KEYS = {"schema", "job_id", "status", "input", "files", "folder", "cause", "advice"}
_MIB = 1 << 20
_TRIES = 3  # of a file that cannot be read, before it is held
_DENIED_REST_SECONDS, _LONGEST_REST_SECONDS = 60.0, 600.0
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Taken away or replaced since it was seen; or in use: what SMB and leases say of an open file.
_NOT_NOW = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENXIO,
        errno.EBUSY,
        errno.ETXTBSY,
        errno.EAGAIN,
    )
)


@dataclass(frozen=True, slots=True)
class Unread:
    """Not read: it has not settled, is in use, or was changed or taken away while we looked."""


@dataclass(frozen=True, slots=True)
class Unreadable(Unread):
    """It may not or cannot be read; nobody knows what it says until that is mended."""

    reason: str
    is_lasting: bool  # False: it may be read again in a moment
    again_at: float = inf  # monotonic seconds when it is tried again


@dataclass(frozen=True, slots=True)
class Broken:
    """Read, and of no use until somebody mends it."""

    problems: tuple[Problem, ...]


Picture = Whole | EndsInZeros | Incomplete | Broken | Unread
Text = Instruction | Keys | Broken | Unread  # an instruction in a sidecar, written in a preset


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job needs beside its image and its sidecar, and what is wrong with what it says."""

    companions: tuple[str, ...] = ()  # references and mask, base names as written
    priority: int = DEFAULT_PRIORITY
    problems: tuple[Problem, ...] = ()
    resolved: Resolved | None = None  # where nothing is wrong


OpenFile = Callable[[Seen], BinaryIO | Unread]


class ContentReader:
    """Everything read of one inbox, by the rules in force."""

    def __init__(self, open_file: OpenFile, rules: RecipeRules) -> None:
        self._open_file, self._rules = open_file, rules
        self._pictures: dict[Seen, Picture] = {}
        self._texts: dict[Seen, Text] = {}
        self._misnamed: frozenset[Seen] = frozenset()  # read as another name says
        self._is_own_report: dict[Seen, bool] = {}  # of those that may be one
        self._unreadable: dict[Seen, tuple[int, Unreadable]] = {}  # how often in a row, and why
        self.is_in_doubt = False  # whether the last reading met what may be the share's trouble
        self._wanted: dict[tuple[Seen | None, tuple[Seen, ...]], Wanted] = {}
        self._gives_prompt: dict[tuple[Seen, ...], bool] = {}

    def read(self, settled: Iterable[Seen], now: float) -> bool:
        """Read what is new among these; False where some file cannot be read now, but may be soon.

        What cannot be read for a reason of its own is tried again in time; `now` is in monotonic
        seconds. Raises OSError where the share does not work.
        """
        all_read, self.is_in_doubt = True, False
        for file in settled:
            if not self._is_known(file, now):
                all_read = self._read(file, now) and all_read
        return all_read

    def _is_known(self, file: Seen, now: float) -> bool:
        if file in self._unreadable:
            return now < self._unreadable[file][1].again_at
        return file in self._texts or file in self._pictures or file in self._is_own_report

    def keep(self, files: Collection[Seen], misnamed: frozenset[Seen] = frozenset()) -> None:
        """Forget all files but these; the `misnamed` sidecars are read as what was meant."""
        by_file: tuple[dict[Seen, Any], ...]
        by_file = self._pictures, self._texts, self._is_own_report, self._unreadable
        for readings in by_file:
            for gone in readings.keys() - files:
                del readings[gone]
        for turned in misnamed ^ self._misnamed:  # an image of that name has come, or is gone
            self._texts.pop(turned, None)
            self._is_own_report.pop(turned, None)
        self._misnamed = misnamed
        self._wanted = {
            key: wanted
            for key, wanted in self._wanted.items()
            if (key[0] is None or key[0] in self._texts)
            and all(preset in files for preset in key[1])
        }
        self._gives_prompt.clear()

    def picture(self, image: Seen) -> Picture:
        """What an image holds, and whether all of it is there."""
        return self._pictures.get(image) or self._unread(image)

    def text(self, file: Seen) -> Text:
        """What a sidecar or a folder preset says."""
        return self._texts.get(file) or self._unread(file)

    def _unread(self, file: Seen) -> Unread:
        return self._unreadable[file][1] if file in self._unreadable else Unread()

    def own_reports(self) -> tuple[Seen, ...]:
        """The files that are records of ours about an earlier failure."""
        return tuple(it for it, is_one in self._is_own_report.items() if is_one)

    def wanted(self, sidecar: Seen | None, presets: tuple[Seen, ...]) -> Wanted:
        """What a readable or broken sidecar asks for, on readable presets, outermost first."""
        found = self._wanted.get((sidecar, presets))
        if found is None:
            found = self._wanted[sidecar, presets] = self._want(sidecar, self._layers(presets))
        return found

    def give_prompt(self, presets: tuple[Seen, ...]) -> bool:
        """Whether these presets let an image run without a sidecar."""
        found = self._gives_prompt.get(presets)
        if found is None:
            merged = self._merged(self._layers(presets), Keys())
            found = self._gives_prompt[presets] = merged.prompt is not None
        return found

    def read_preset(self, file: Seen) -> Keys:
        """A preset at once, settled or not; raises UserError where it cannot be used."""
        try:
            said = self._texts.get(file) or self._read_text(file, Kind.PRESET)
        except OSError as error:
            said = unreadable(error)
        match said:
            case Keys():
                return said
            case Broken(problems):
                raise UserError(problems)
            case Unreadable(reason):
                raise UserError([Problem(printable(file.path), reason, "mend that")])
            case _:
                advice = "wait until it is complete"
                raise UserError([Problem(printable(file.path), "is being changed", advice)])

    def _read(self, file: Seen, now: float) -> bool:
        try:
            unread = self._read_whole(file)
        except OSError as error:
            unread = unreadable(error)
        if isinstance(unread, Unreadable):
            self._put_off(file, unread, now)
        else:
            self._unreadable.pop(file, None)
        return unread is None or isinstance(unread, Unreadable)

    def _put_off(self, file: Seen, unread: Unreadable, now: float) -> None:
        """Try a file again in time; a disk that fails is asked less and less."""
        failures = 1 + (self._unreadable[file][0] if file in self._unreadable else 0)
        rest = min(2.0 ** (failures - 1), _LONGEST_REST_SECONDS)
        if unread.is_lasting:
            rest = _DENIED_REST_SECONDS
        else:
            self.is_in_doubt = True
        is_lasting = unread.is_lasting or failures > _TRIES
        said = replace(unread, is_lasting=is_lasting, again_at=now + rest)
        self._unreadable[file] = failures, said

    def _read_whole(self, file: Seen) -> Unread | None:
        """Read a file and note what it says; gives why it was not read."""
        kind = kind_of(file.name)
        if kind is Kind.IMAGE:
            picture = self._examine(file)
            if isinstance(picture, Unread):
                return picture
            self._pictures[file] = picture
        elif kind in (Kind.SIDECAR, Kind.PRESET):
            text = self._read_text(file, kind)
            if isinstance(text, Unread):
                return text
            self._texts[file] = text
            self._is_own_report[file] = _is_why(text, file)
        elif may_be_report(file.name):
            return self._read_report(file)
        return None

    def _read_report(self, file: Seen) -> Unread | None:
        opened = self._open_file(file)
        if isinstance(opened, Unread):
            return opened
        with opened:
            self._is_own_report[file] = is_report(opened.read(REPORT_LIMIT_BYTES))
        return None

    def _examine(self, image: Seen) -> Picture:
        largest = self._rules.limits.max_file_mib
        if image.size > largest * _MIB:
            mib = told_apart(image.size / _MIB, largest, 0)
            what = f"has {mib} MiB, more than the {largest:g} that are allowed"
            return _broken(image, what, "save it smaller, or raise limits.max_file_mib")
        opened = self._open_file(image)
        if isinstance(opened, Unread):
            return opened
        with opened:
            verdict = examine(opened, image.size)
        match verdict:
            case NotAPicture(what, advice):
                return _broken(image, f"is {what}, whatever its name says", advice)
            case Whole() | EndsInZeros() | Incomplete():
                return verdict

    def _read_text(self, file: Seen, kind: Kind) -> Text:
        opened = self._open_file(file)
        if isinstance(opened, Unread):
            return opened
        with opened:
            content = opened.read(LIMIT_BYTES + 1)
        try:
            if kind is Kind.PRESET:
                return read_preset(content, printable(file.path))
            name = meant_name(file.name) if file in self._misnamed else file.name
            return instruction.parse(content, printable(file.path), read_as=name)
        except UserError as error:
            return Broken(error.problems)

    def _layers(self, presets: tuple[Seen, ...]) -> tuple[Keys, ...]:
        said = map(self.text, presets)
        return tuple(it for it in said if isinstance(it, Keys))

    def _want(self, sidecar: Seen | None, layers: tuple[Keys, ...]) -> Wanted:
        said = instruction.NONE if sidecar is None else self.text(sidecar)
        match said:
            case Broken(problems):
                return Wanted(problems=problems)
            case Instruction():
                return self._resolve(said, layers)
            case _:
                raise AssertionError(said)  # the plan asks only for what has been read

    def _resolve(self, said: Instruction, layers: tuple[Keys, ...]) -> Wanted:
        try:
            resolved = recipe.resolve(
                said,
                folder_presets=layers,
                rules=self._rules,
                drawn_seed=DRAWN_SEED,
            )
        except UserError as error:
            named = _companions(self._merged(layers, said.written))
            return Wanted(companions=named, problems=error.problems)
        wanted = resolved.recipe
        named = (*wanted.images, *filter(None, [wanted.mask]))
        return Wanted(companions=named, priority=wanted.priority, resolved=resolved)

    def _merged(self, layers: tuple[Keys, ...], said: Keys) -> Keys:
        folder = recipe.merged(layers)
        name = said.preset or folder.preset
        named = self._rules.presets.get(name or "", Keys())
        return recipe.merged([folder, named, said])


def _is_why(text: Text, file: Seen) -> bool:
    """Whether a text is a WHY.txt; a prompt that begins like one is a prompt."""
    if not isinstance(text, Instruction) or not is_prose(file.name):
        return False
    lines = (text.written.prompt or "").splitlines()
    if len(lines) < len(_WHY_LINES):
        return False
    first, cause, advice = lines[: len(_WHY_LINES)]
    begins = cause.startswith(_WHY_LINES[1]) and advice.startswith(_WHY_LINES[2])
    is_ours = _JOB.search("\n".join(lines)) is not None
    return first.endswith(_WHY_LINES[0]) and begins and is_ours


def _companions(written: Keys) -> tuple[str, ...]:
    return (*(written.images or ()), *filter(None, [written.mask]))


def _broken(file: Seen, what: str, advice: str) -> Broken:
    return Broken((Problem(printable(file.path), what, advice),))


def may_be_report(name: str) -> bool:
    """Whether a file of this name is worth a look: file managers number and copy names."""
    lower = name.lower()
    return lower.endswith(".json") and "report" in lower


def is_report(content: bytes) -> bool:
    """Whether a text is a report.json of ours."""
    try:
        said = codec.parse(content)
    except ValueError:
        return False
    return isinstance(said, dict) and said.keys() >= _REPORT_KEYS


class Opener(Protocol):
    """Opens a name in a folder that is held, as `os.open` does."""

    def __call__(self, path: str, flags: int, *, dir_fd: int) -> int:
        """Give the descriptor; raises OSError."""
        ...


def open_seen(
    inbox: Path, seen: Seen, opener: Opener = os.open, *, is_local: bool
) -> BinaryIO | Unread:
    """Open a file that is still what was seen and that, on a local disk, nobody writes to.

    What the share does wrong is raised as OSError.
    """
    path = inbox / seen.path
    try:
        with DirWalker(inbox.parent).folder(path.parent) as folder:
            try:
                descriptor = opener(path.name, _FLAGS, dir_fd=folder)
            except PermissionError:
                status = DirEntryAt(folder, path).status()
                return Unreadable(_forbidden(status), is_lasting=True)
    except OSError as error:
        error.filename = str(path)
        if error.errno in _NOT_NOW:
            return Unread()
        return unreadable(error)
    stream = os.fdopen(descriptor, "rb")
    try:
        status = os.fstat(descriptor)
    except OSError:
        stream.close()
        raise
    # On NFS opening asks the server, so this is fresher than what the scan was told.
    is_it = stat.S_ISREG(status.st_mode) and _is_same(status, seen)
    if is_it and not (is_local and has_writer(descriptor)):
        return stream
    stream.close()
    return Unread()


def unreadable(error: OSError) -> Unreadable:
    """What an error met at one file makes of it; raises it where it says more of the share."""
    if not is_of_one_file(error):
        raise error
    words = f"cannot be read ({error.strerror}): it is tried again; where that lasts,"
    return Unreadable(f"{words} copy it into the inbox anew", isinstance(error, PermissionError))


def _is_same(status: os.stat_result, seen: Seen) -> bool:
    is_same = (status.st_size, status.st_mtime_ns) == (seen.size, seen.mtime_ns)
    return is_same and not has_other_names(status)


def _forbidden(status: os.stat_result) -> str:
    owner, mode = _user(status.st_uid), stat.S_IMODE(status.st_mode)
    return (
        f"cannot be read by {_user(os.geteuid())}: it belongs to {owner} and has mode {mode:04o};"
        " give the daemon the right to read it (chmod a+r)"
    )


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:
        return f"uid {number}"


def has_writer(descriptor: int) -> bool:
    """Whether any process has this file open for writing, as far as we are told.

    The descriptor must be open for reading alone, the file on a local disk: of a share the kernel
    knows our own machine at most. Of files that are not ours only root is told; then False.
    """
    # A lease that is granted means that there is no writer; it is given back at once. Who opens
    # the file in between waits for that, and we get a signal: SIGIO, unless told otherwise, which
    # would end us.
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
