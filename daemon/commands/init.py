"""`hotfolder init` and `hotfolder make-tiny-model`: the two commands that make something new."""

from __future__ import annotations

import argparse
import os
import uuid
from pathlib import Path

from config.problems import Problem, UserError
from config.settings_file import default_text
from daemon.commands import ExitCode
from daemon.fs.hot_folder import make_hot_folder

_SETTINGS = Path("hotfolder.yaml")


def init(arguments: argparse.Namespace) -> ExitCode:
    """Make a hot folder and, where there is none, ./hotfolder.yaml for it."""
    root = arguments.folder.absolute()
    try:
        is_new = make_hot_folder(root, str(uuid.uuid4()))
        is_written = _write_settings(root)
    except OSError as error:
        raise _unmakable(error, root) from error
    print(f"{root} is a hot folder{' now' if is_new else ' already'}.")
    if is_written:
        print(f"{_SETTINGS.absolute()} has its settings: name your model folder there.")
    else:
        print(f"{_SETTINGS.absolute()} was there before and stays as it is:")
        print(f"unless it has it already, add `- root: {root}` under its folders.")
    print(f"Next: hotfolder check, then hotfolder run, then drop pictures into {root}/inbox.")
    return ExitCode.FINE


def make_tiny_model(arguments: argparse.Namespace) -> ExitCode:
    """Make a tiny checkpoint of the real classes with random weights."""
    from pipeline import tiny_model

    folder = arguments.folder.absolute()
    tiny_model.build(folder, edit_class=arguments.edit_class)
    print(f"{folder} holds a tiny model with random weights: it shows that all works,")
    print("its pictures are test patterns and no edits.")
    return ExitCode.FINE


def _write_settings(root: Path) -> bool:
    try:
        descriptor = os.open(_SETTINGS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(descriptor, 0o644)  # whatever the umask: settings are for all to read
        stream.write(default_text(root))
    return True


def _unmakable(error: OSError, root: Path) -> UserError:
    where = error.filename if isinstance(error.filename, str) else str(root)
    advice = "choose a folder that you can write to"
    return UserError([Problem(where, f"it cannot be made: {error.strerror}", advice)])
