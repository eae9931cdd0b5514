"""Which settings and which hot folders a command line means."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config import settings as settings_file
from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon.spool import folder_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a command works with."""

    settings: Settings
    folders: tuple[FolderSettings, ...]  # never none, their roots absolute
    settings_path: Path | None  # None: there is no settings file, the defaults hold


def select(arguments: argparse.Namespace) -> Selection:
    """Read the settings and find the hot folders that `--config` and `--root` name.

    Raises UserError with every problem of the settings, or of all hot folders that have no marker.
    """
    selection = named(arguments.config, arguments.root, Path.cwd())
    problems = [problem for folder in selection.folders for problem in unmarked(folder.root)]
    if problems:
        raise UserError(problems)
    return selection


def named(config: Path | None, root: Path | None, cwd: Path) -> Selection:
    """Read the settings and give the hot folders that are named, whether they are there or not.

    `root` None means all folders of the settings. Raises UserError with every problem of the
    settings, or where no hot folder is named.
    """
    path = settings_file.find(config, cwd)
    settings = settings_file.without_file() if path is None else settings_file.load(path)
    folders: tuple[FolderSettings, ...]
    if root is not None:
        folders = (settings_file.folder(settings, cwd / root),)
    elif settings.folders:
        folders = settings.folders
    else:
        raise UserError([_nothing_named(path)])
    return Selection(settings=settings, folders=folders, settings_path=path)


def unmarked(root: Path) -> Iterator[Problem]:
    """Say why a folder is no hot folder that can be used now; nothing where it is one."""
    try:
        folder_id(root)
    except UserError as error:
        yield from error.problems
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no id"
        what = f"cannot be read ({reason})"
        advice = "mount the share and give this user the right to read it, or run `hotfolder init`"
        yield Problem(str(root / ".hotfolder" / "id"), what, advice)


def _nothing_named(path: Path | None) -> Problem:
    advice = "run `hotfolder init DIR`, or give --root DIR"
    if path is None:
        return Problem("hotfolder", "there is no hotfolder.yaml and no --root", advice)
    return Problem(f"{path}, folders", "no hot folder is named", f"name one there, {advice}")
