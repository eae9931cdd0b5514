"""What settled files say, each read once: sidecars, presets, reports, and if an image is whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import BinaryIO

from config import codec
from config.instruction_keys import Keys, read_preset
from config.problems import Problem, UserError
from config.text import LIMIT_BYTES
from daemon.fs.names import Kind, is_prose, kind_of, printable
from daemon.inbox.open_file import unreadable
from daemon.inbox.settle import Broken, Picture, Text, Unread, Unreadable, Wanted
from daemon.job import DRAWN_SEED, Seen
from pipeline import instruction, recipe
from pipeline.instruction import Instruction
from pipeline.recipe import RecipeRules
from pipeline.sniff.foreign import NotAPicture
from pipeline.sniff.whole_file import EndsInZeros, Incomplete, Whole, examine

REPORT_LIMIT_BYTES = 1 << 20  # a report quotes an instruction of 64 KiB at most

_WHY_LINES = (" was not edited.", "Cause: ", "What to do: ")
_JOB = re.compile(r"^Job: \d{8}-\d{6}-[0-9a-f]{8}$", re.MULTILINE)
_REPORT_KEYS = {"schema", "job_id", "status", "input", "files", "folder", "cause", "advice"}
_MIB = 1 << 20
_TRIES = 3  # of a file that cannot be read, before it is held
_DENIED_REST_SECONDS, _LONGEST_REST_SECONDS = 60.0, 600.0
_UNREAD = Unread()


def may_be_report(name: str) -> bool:
    """Whether a file of this name is worth a look: file managers number and copy names."""
    lower = name.lower()
    return lower.endswith(".json") and "report" in lower


def is_why(text: str) -> bool:
    """Whether a text is a WHY.txt; a prompt that begins like one is a prompt."""
    lines = text.splitlines()[: len(_WHY_LINES)]
    if len(lines) < len(_WHY_LINES):
        return False
    first, cause, advice = lines
    begins = cause.startswith(_WHY_LINES[1]) and advice.startswith(_WHY_LINES[2])
    is_ours = _JOB.search("\n".join(text.splitlines())) is not None
    return first.endswith(_WHY_LINES[0]) and begins and is_ours


def is_report(content: bytes) -> bool:
    """Whether a text is a report.json of ours."""
    try:
        said = codec.parse(content)
    except ValueError:
        return False
    return isinstance(said, dict) and said.keys() >= _REPORT_KEYS


OpenFile = Callable[[Seen], BinaryIO | Unread]


class ContentReader:
    """Everything read of one inbox, by the rules in force."""

    def __init__(self, open_file: OpenFile, rules: RecipeRules) -> None:
        self._open_file, self._rules = open_file, rules
        self._pictures: dict[Seen, Picture] = {}
        self._texts: dict[Seen, Text] = {}
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

    def keep(self, files: Collection[Seen]) -> None:
        """Forget all files but these."""
        self._pictures = {it: said for it, said in self._pictures.items() if it in files}
        self._texts = {it: said for it, said in self._texts.items() if it in files}
        self._is_own_report = {
            it: is_one for it, is_one in self._is_own_report.items() if it in files
        }
        self._unreadable = {it: said for it, said in self._unreadable.items() if it in files}
        self._wanted = {
            key: wanted
            for key, wanted in self._wanted.items()
            if (key[0] is None or key[0] in files) and all(preset in files for preset in key[1])
        }
        self._gives_prompt.clear()

    def picture(self, image: Seen) -> Picture:
        """What an image holds, and whether all of it is there."""
        return self._pictures.get(image) or self._unread(image)

    def text(self, file: Seen) -> Text:
        """What a sidecar or a folder preset says."""
        return self._texts.get(file) or self._unread(file)

    def _unread(self, file: Seen) -> Unread:
        return self._unreadable[file][1] if file in self._unreadable else _UNREAD

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
            what = f"has {image.size / _MIB:.0f} MiB, more than the {largest:g} that are allowed"
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
        try:
            return _parse(opened, file, kind)
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
        recipe_of_it = resolved.recipe
        named = (*recipe_of_it.images, *filter(None, [recipe_of_it.mask]))
        return Wanted(companions=named, priority=recipe_of_it.priority, resolved=resolved)

    def _merged(self, layers: tuple[Keys, ...], said: Keys) -> Keys:
        folder = recipe.merged(layers)
        name = said.preset or folder.preset
        named = self._rules.presets.get(name or "", Keys())
        return recipe.merged([folder, named, said])


def _parse(opened: BinaryIO, file: Seen, kind: Kind) -> Text:
    with opened:
        content = opened.read(LIMIT_BYTES + 1)
    if kind is Kind.PRESET:
        return read_preset(content, printable(file.path))
    return instruction.parse(content, printable(file.name))


def _is_why(text: Text, file: Seen) -> bool:
    if isinstance(text, Instruction) and is_prose(file.name):
        return is_why(text.written.prompt or "")
    return False


def _companions(written: Keys) -> tuple[str, ...]:
    return (*(written.images or ()), *filter(None, [written.mask]))


def _broken(file: Seen, what: str, advice: str) -> Broken:
    return Broken((Problem(printable(file.name), what, advice),))
