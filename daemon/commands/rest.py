"""`hotfolder pause`, `resume` and `drain`: the daemon is asked; a pause needs none."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from daemon import places
from daemon.cli import ExitCode
from daemon.commands.asking import outcome_of
from daemon.commands.page import Page
from daemon.commands.selection import find_folders, read_settings
from daemon.outcome import How, Outcome
from daemon.rests import Pauses


def pause(arguments: argparse.Namespace) -> ExitCode:
    """Begin no more jobs in the hot folders that are meant."""
    return _each(arguments, "pause")


def resume(arguments: argparse.Namespace) -> ExitCode:
    """Begin jobs again."""
    return _each(arguments, "resume")


def drain(arguments: argparse.Namespace) -> ExitCode:
    """Have the daemon finish what it has begun, and end."""
    return _each(arguments, "drain")


def _each(arguments: argparse.Namespace, verb: str) -> ExitCode:
    page = Page(sys.stdout, os.environ)
    settings, path = read_settings(arguments.config, Path.cwd())
    outcomes = []
    for folder in find_folders(settings, path, arguments.root, Path.cwd()):
        outcomes.append(_ask(verb, folder.root))
        page.line(outcomes[-1].text)
    is_fine = all(one.how in (How.DONE, How.BEGUN) for one in outcomes)
    return ExitCode.FINE if is_fine else ExitCode.USAGE


def _ask(verb: str, root: Path) -> Outcome:
    # Members of the service's group may ask; only its user keeps a pause without it.
    came = outcome_of({"verb": verb}, root, places.locate(os.environ))
    return came or _alone(verb, root, Pauses(places.find(os.environ).state))


def _alone(verb: str, root: Path, pauses: Pauses) -> Outcome:
    match verb:
        case "pause":
            return pauses.pause(root)
        case "resume":
            return pauses.resume(root)
        case _:
            return Outcome(How.UNKNOWN, f"{root}: no daemon is running here.")
