"""Which settings, which hot folders and which file a command line means."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from config import settings_file
from config.instruction_keys import MOST_STEPS
from config.problems import Problem, UserError
from config.settings import (
    FolderSettings,
    ModelSettings,
    Settings,
    folder_settings,
    folder_settings_as_written,
    settings_without_file,
)
from daemon.fs.access import not_permitted
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_all, call_with_deadline
from daemon.fs.errors import is_of_the_share
from daemon.fs.hot_folder import folder_id
from pipeline.checkpoint import Declared, declared
from pipeline.recipe import Defaults

NO_ANSWER = "the share does not answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a command works with."""

    settings: Settings
    folders: tuple[FolderSettings, ...]  # never none, their roots absolute
    settings_path: Path | None  # None: there is no settings file, the defaults hold


def named(arguments: argparse.Namespace) -> Selection:
    """Read the settings and find the hot folders that `--config` and `--root` name.

    Raises UserError with every problem of the settings. The folders need not be there: their
    daemon may know that a share is away.
    """
    settings, path = read_settings(arguments.config, Path.cwd())
    folders = find_folders(settings, path, arguments.root, Path.cwd())
    return Selection(settings=settings, folders=folders, settings_path=path)


def usable(arguments: argparse.Namespace) -> Selection:
    """The same; raises UserError with the problems of all hot folders without marker, too.

    A share that does not answer has none: nobody knows what lies on it.
    """
    selection = named(arguments)
    _, problems = _knock(tuple(folder.root for folder in selection.folders))
    if problems:
        raise UserError(problems)
    return selection


def read_settings(config: Path | None, cwd: Path) -> tuple[Settings, Path | None]:
    """Read the settings that hold, and say from which file; None: there is none, only defaults.

    Raises UserError with every problem of the file.
    """
    path = settings_file.find(config, cwd)
    if path is None:
        return settings_without_file(), None
    named = config is not None or path == settings_file.SYSTEM_FILE
    return settings_file.load(path, named=named), path


def model_of(arguments: argparse.Namespace, settings: Settings) -> ModelSettings:
    """The settings of the model, its folder that of `--model` where that is given."""
    if arguments.model is None:
        return settings.model
    return replace(settings.model, path=arguments.model.absolute())


def find_folders(
    settings: Settings, path: Path | None, root: Path | None, cwd: Path
) -> tuple[FolderSettings, ...]:
    """Give the one hot folder that is named, else all of the settings, be they there or not.

    Raises UserError where there is none.
    """
    if root is not None:
        return (entry_of(settings, cwd / root),)
    if not settings.folders:
        raise UserError([_nothing_named(path)])
    return settings.folders


def answering(roots: tuple[Path, ...]) -> tuple[Path, ...]:
    """Give those hot folders whose share answers, be it with an error."""
    silent, _ = _knock(roots)
    return tuple(root for root in roots if root not in silent)


def _knock(roots: tuple[Path, ...]) -> tuple[tuple[Path, ...], list[Problem]]:
    """The hot folders that do not answer, and the problems of the others."""
    silent: list[Path] = []
    problems: list[Problem] = []
    knocks = call_all([partial(_refusal, root) for root in roots], ANSWER_SECONDS)
    for root, knock in zip(roots, knocks, strict=True):
        try:
            problems += knock.result()
        except Stalled:
            silent.append(root)  # it may come back; until then it is offline
    return tuple(silent), problems


def _refusal(root: Path) -> tuple[Problem, ...]:
    try:
        folder_id(root)
    except UserError as error:
        return error.problems
    except OSError as error:
        return () if is_of_the_share(error) else tuple(unmarked(root))
    return ()


def entry_of(settings: Settings, root: Path) -> FolderSettings:
    """Give the settings of a hot folder, by whatever path; a share that hangs hinders nobody."""
    try:
        return call_with_deadline(lambda: folder_settings(settings, root), ANSWER_SECONDS)
    except Stalled:
        return folder_settings_as_written(settings, root)


def unmarked(root: Path) -> Iterator[Problem]:
    """Say why a folder is no hot folder that can be used now; nothing where it is one."""
    try:
        folder_id(root)
    except UserError as error:
        yield from error.problems
    except PermissionError as error:
        yield not_permitted(root, Path(error.filename or root))
    except OSError as error:
        advice = "mount the share, and give this user the right to read it"
        yield Problem(
            str(root / ".hotfolder" / "id"), f"cannot be read ({error.strerror})", advice
        )


def require_marked(root: Path) -> None:
    """Raise UserError where a folder is no hot folder that can be used now."""
    if problems := tuple(unmarked(root)):
        raise UserError(problems)


def defaults_of(model: ModelSettings, environment: Mapping[str, str]) -> Defaults:
    """Give steps and guidance of an instruction that names none.

    `NUM_STEPS` wins over what the model's folder says, and that over what is usual. A folder that
    cannot be read says nothing. Raises UserError for a bad NUM_STEPS.
    """
    usual, says = Defaults(), Declared()
    if model.path is not None:
        with contextlib.suppress(Stalled):
            says = call_with_deadline(partial(declared, model.path), ANSWER_SECONDS)
    steps = num_steps(environment) or says.steps or usual.steps
    return Defaults(steps=steps, cfg=says.cfg or usual.cfg)


def num_steps(environment: Mapping[str, str]) -> int | None:
    """Give `NUM_STEPS`, None where it is not set; raises UserError for a bad one."""
    written = environment.get("NUM_STEPS", "").strip()
    if not written:
        return None
    if not written.isdecimal() or not 1 <= int(written) <= MOST_STEPS:
        advice = f"set it to a whole number from 1 to {MOST_STEPS}, or not at all"
        raise UserError([Problem("NUM_STEPS", f"{written!r} is no number of steps", advice)])
    return int(written)


def _nothing_named(path: Path | None) -> Problem:
    if path is None:
        advice = "run `hotfolder init DIR`, or give --root DIR"
        return Problem("settings", "there is no hotfolder.yaml and no --root", advice)
    advice = "add `- root: DIR` there, made with `hotfolder init DIR`, or give --root DIR"
    return Problem(f"{path}, folders", "no hot folder is named", advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A file of a hot folder."""

    root: Path
    path: str  # relative to the root: "inbox/portraits/hero.png"

    @property
    def area(self) -> str:
        """The folder of the hot folder that it is in: "inbox", "outbox", ".hotfolder"."""
        return self.path.partition("/")[0]

    @property
    def below(self) -> str:
        """Its path below that folder; relative to the inbox for a file of the inbox."""
        return self.path.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """Nothing of that name is there now."""

    name: str  # what its path relative to the inbox would be


def folders_around(
    arguments: argparse.Namespace,
    file: Path,
    selecting: Callable[[argparse.Namespace], Selection],
) -> tuple[Settings, tuple[Path, ...]]:
    """The settings, and the hot folder that holds a file, else all that `selecting` gives.

    The file itself may be there or not.
    """
    if arguments.root is None:
        for root in _absolute(file, Path.cwd()).parents:
            if os.path.exists(root / ".hotfolder" / "id"):  # noqa: PTH110 - no error for others
                return read_settings(arguments.config, Path.cwd())[0], (root,)
    selection = selecting(arguments)
    return selection.settings, tuple(Path(os.path.normpath(it.root)) for it in selection.folders)


def _absolute(file: Path, cwd: Path) -> Path:
    """The path without `..`, its links left alone."""
    return Path(os.path.normpath(cwd / file))


def locate_file(file: Path, cwd: Path, roots: Iterable[Path]) -> Located | NotFound:
    """Find a file by its absolute path, or by its path relative to `cwd`, an inbox or a root."""
    roots = tuple(roots)
    path = _absolute(file, cwd)
    for root in roots:
        for candidate in _candidates(file, path, root):
            if os.path.lexists(candidate):
                return Located(root=root, path=str(candidate.relative_to(root)))
    return NotFound(name=name_in_inbox(file, cwd, roots))


def _candidates(file: Path, path: Path, root: Path) -> Iterator[Path]:
    if path != root and path.is_relative_to(root):
        yield path
    if not file.is_absolute() and ".." not in file.parts:
        yield root / "inbox" / file
        yield root / file


def name_in_inbox(file: Path, cwd: Path, roots: Iterable[Path]) -> str:
    """What its path relative to an inbox would be, by its words alone: no share is touched."""
    path = _absolute(file, cwd)
    inside = (path.relative_to(it) for it in roots if path != it and path.is_relative_to(it))
    below = next(inside, path.relative_to("/") if file.is_absolute() else file)
    parts = below.parts[1:] if below.parts[:1] == ("inbox",) else below.parts
    return "/".join(parts)
