"""`hotfolder hooks`: runs the hooks that wait, for the unit hotfolder-hook@ of a service."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from config import settings_file
from config.problems import UserError
from config.settings import HookSettings
from daemon.commands import ExitCode
from daemon.commands.output import Output
from daemon.events.events import sentence
from daemon.service.hooks import HookSpool, hook_problems, run_all

_SERVICE = "hotfolder"
_STATES = Path("/var/lib")  # StateDirectory= of the shipped units lies there


def hooks(arguments: argparse.Namespace) -> ExitCode:
    """Run what waits in the spool of a service, by the settings of that service."""
    name, output = arguments.service, Output(sys.stdout, os.environ)
    spool = HookSpool(_STATES / name)
    try:
        chosen = _chosen(settings_file.SYSTEM_FILE.with_name(_settings_name(name)))
    except UserError as error:
        for problem in error.problems:
            output.line(f"{problem}. What waits is dropped.")
        chosen = HookSettings()
    run_all(spool, lambda: chosen, lambda event: output.line(sentence(event)))
    return ExitCode.FINE


def _settings_name(service: str) -> str:
    """hotfolder.yaml of the service hotfolder, studio.yaml of hotfolder-studio."""
    return f"{service.removeprefix(f'{_SERVICE}-')}.yaml"


def _chosen(path: Path) -> HookSettings:
    """The hooks of a settings file, none of which others can change; raises UserError."""
    settings = settings_file.load(path)
    roots = [folder.root for folder in settings.folders]
    if found := [*hook_problems(settings.hooks, roots)]:
        raise UserError(found)
    return settings.hooks
