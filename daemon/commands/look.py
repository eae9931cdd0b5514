"""`hotfolder plan`, `why` and `status`: they look and touch nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from config.settings import Settings
from daemon import places
from daemon.cli import ExitCode
from daemon.commands.page import Page
from daemon.commands.selection import (
    ANSWER_SECONDS,
    NO_ANSWER,
    answering,
    default_steps,
    find_folders,
    read_settings,
    select,
)
from daemon.inbox.names import printable
from daemon.patience import Silent, call

_SCHEMA = 1

# Each command imports what it needs: all of them answer in a moment.


def plan(arguments: argparse.Namespace) -> ExitCode:
    """Say what would happen to every file of the inboxes; problems among them are no failure."""
    from daemon.commands import plan_page
    from daemon.commands.outlook import outlooks

    selection, steps = select(arguments), default_steps(os.environ)
    seen = outlooks(selection, steps, places.locate(os.environ))
    if arguments.json:
        running = any(it.running for it in seen)
        folders = [it.as_json() for it in seen]
        _write_json({"schema": _SCHEMA, "running": running, "folders": folders})
        return ExitCode.FINE
    page = Page(sys.stdout, os.environ)
    for it in seen:
        plan_page.write(page, it)
    return ExitCode.FINE


def status(arguments: argparse.Namespace) -> ExitCode:
    """Say how every hot folder and its daemon stand."""
    from daemon.commands import status_page
    from daemon.commands.inquiry import inquire

    settings, path = read_settings(arguments.config, Path.cwd())
    # Their markers are asked for only where no daemon answers: it may know that a share is away.
    folders = find_folders(settings, path, arguments.root, Path.cwd())
    replies = inquire(folders, settings, default_steps(os.environ), places.locate(os.environ))
    if arguments.json:
        about = next((dict(it.daemon) for it in replies if it.daemon), {})
        standing = [{**it.folder, "running": bool(it.daemon)} for it in replies]
        _write_json({"schema": _SCHEMA, "running": bool(about), **about, "folders": standing})
        return ExitCode.FINE
    page = Page(sys.stdout, os.environ)
    for it in replies:
        status_page.write(page, it)
    return ExitCode.FINE


def why(arguments: argparse.Namespace) -> ExitCode:
    """Say where a file stands, and why; USAGE where no such file is or was here."""
    page = Page(sys.stdout, os.environ)
    try:
        settings, roots = call(lambda: _why_where(arguments), ANSWER_SECONDS * 2)
    except Silent:
        page.line(f"{arguments.file}: {NO_ANSWER}; nobody knows now what lies there.")
        return ExitCode.FINE
    here = answering(roots)
    code = _why(arguments.file, settings, here, page) if here else ExitCode.FINE
    for root in roots:
        if root not in here:
            page.line(f"{root}: {NO_ANSWER}; nobody knows now what lies there.")
    return code if here == roots else ExitCode.FINE


def _why(file: Path, settings: Settings, roots: tuple[Path, ...], page: Page) -> ExitCode:
    from daemon.commands.reason import Reasons
    from daemon.commands.whereabouts import There, find

    reasons = Reasons(
        settings=settings,
        default_steps=default_steps(os.environ),
        places=places.locate(os.environ),
    )
    found = find(file, Path.cwd(), roots)
    if isinstance(found, There):
        lines = [*reasons.of_file(found)]
    else:
        lines = [line for root in roots for line in reasons.of_name(found, root)]
    for line in lines:
        page.line(line)
    if lines or isinstance(found, There):
        return ExitCode.FINE
    page.line(f"{printable(found.name)} is not here, and no record of it is.")
    near = [name for root in roots for name in reasons.nearest(found, root)]
    if near:
        page.line(f"Did you mean {' or '.join(near)}?")
    return ExitCode.USAGE


def _why_where(arguments: argparse.Namespace) -> tuple[Settings, tuple[Path, ...]]:
    from daemon.commands.whereabouts import absolute, hot_folder_above

    cwd = Path.cwd()
    above = hot_folder_above(absolute(arguments.file, cwd))
    if arguments.root is None and above is not None:
        return read_settings(arguments.config, cwd)[0], (above,)
    selection = select(arguments)
    return selection.settings, tuple(Path(os.path.normpath(it.root)) for it in selection.folders)


def _write_json(document: object) -> None:
    # ASCII, so that it is the same through every locale.
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
