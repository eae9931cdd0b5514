"""`hotfolder pause`, `resume` and `drain`: the daemon is asked; a pause needs none."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from daemon.commands import ExitCode, select
from daemon.commands.output import Output
from daemon.control.client import send_command
from daemon.control.documents import CommandResult, ResultCode
from daemon.fs.local_dirs import locate_local_dirs, make_local_dirs
from daemon.service.pause import PauseFlags


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
    output = Output(sys.stdout, os.environ)
    outcomes = []
    for folder in select.named(arguments).folders:
        outcomes.append(_ask(verb, folder.root))
        output.line(outcomes[-1].text)
    return ExitCode.FINE if all(it.is_fine for it in outcomes) else ExitCode.USAGE


def _ask(verb: str, root: Path) -> CommandResult:
    # Members of the service's group may ask; only its user keeps a pause without it.
    if came := send_command({"verb": verb}, root, locate_local_dirs(os.environ)):
        return came
    kept = PauseFlags(make_local_dirs(os.environ).state).take(verb, root)
    return kept or CommandResult(ResultCode.UNKNOWN, f"{root}: no daemon is running here.")
