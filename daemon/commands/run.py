"""`hotfolder run`: runs the daemon that a command line means, and says at the end how it went."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import ModelSettings, Settings
from daemon.app import DaemonSpec, Internals, open_service
from daemon.clock import local_time
from daemon.commands import ExitCode, select
from daemon.commands.output import Output
from daemon.commands.select import Selection
from daemon.events.events import NotStarted
from daemon.events.sinks import JournalLog, Log, open_log
from daemon.events.text import duration
from daemon.fs.local_dirs import LocalDirs, make_local_dirs
from daemon.job import EndedJob, FolderState, State
from daemon.service.hooks import hook_problems
from daemon.service.loop import Service
from daemon.service.preflight import separation_problems
from daemon.service.systemd import SystemdNotifier
from pipeline import checkpoint
from pipeline.recipe import Defaults

_HEADINGS = ("file", "state", "time", "result")


def run(
    arguments: argparse.Namespace,
    internals: Internals = Internals(),  # noqa: B008 - frozen
) -> ExitCode:
    """Watch, edit, publish; returns when stopped or, with --once, when all is done."""
    log = open_log(
        sys.stderr, os.environ, lambda: local_time(time.time()), verbose=arguments.verbose
    )
    notifier = SystemdNotifier(os.environ)
    try:
        return _serve(arguments, log, notifier, internals)
    except UserError as error:
        notifier.failed(errno.EINVAL, str(error.problems[0]))
        if isinstance(log, JournalLog):  # elsewhere the words on stderr are enough
            log.tell(NotStarted(problems=error.problems))
        raise
    except OSError as error:
        notifier.failed(error.errno or errno.EIO, str(error))
        raise
    finally:
        log.close()


def _serve(
    arguments: argparse.Namespace, log: Log, notifier: SystemdNotifier, internals: Internals
) -> ExitCode:
    local_dirs = make_local_dirs(os.environ)
    selection = select.usable(arguments)
    model = _model(arguments, selection.settings)
    selection = replace(selection, settings=replace(selection.settings, model=model))
    _require_apart(selection, local_dirs)
    _require_hooks(selection)
    wanted = DaemonSpec(
        settings=selection.settings,
        folders=selection.folders,
        editor=arguments.editor,
        defaults=select.defaults_of(model, os.environ),
        once=arguments.once,
        reread=partial(_reread, arguments, selection, local_dirs),
    )
    ended: list[EndedJob] = []
    with open_service(wanted, log, notifier, local_dirs, internals) as service:
        if arguments.once:  # else they would grow for as long as it runs
            service.runner.completion.show = ended.append
        service.run()
    return _close(service, ended) if arguments.once else ExitCode.FINE


def _model(arguments: argparse.Namespace, settings: Settings) -> ModelSettings:
    """The model to load, found whole before anything starts."""
    model = select.model_of(arguments, settings)
    if arguments.editor == "echo":
        return model
    if model.path is None:
        problem = Problem(
            "model.path",
            "no model is named",
            "name its folder in hotfolder.yaml or with --model, or try --editor echo",
        )
        raise UserError([problem])
    checkpoint.read(model.path)
    return model


def _reread(
    arguments: argparse.Namespace,
    selection: Selection,
    local_dirs: LocalDirs,
    in_force: Settings,
    defaults: Defaults,
) -> tuple[Settings, Defaults]:
    """The settings of now; another model than that in force must be as sound as at the start.

    Raises UserError with every problem.
    """
    settings, path = select.read_settings(arguments.config, Path.cwd())
    settings = replace(settings, model=select.model_of(arguments, settings))
    if settings.model != in_force.model:
        _model(arguments, settings)
        _require_apart(replace(selection, settings=settings, settings_path=path), local_dirs)
        defaults = select.defaults_of(settings.model, os.environ)
    _require_hooks(replace(selection, settings=settings))
    return settings, defaults


def _require_hooks(selection: Selection) -> None:
    roots = [folder.root for folder in selection.folders]
    if found := [*hook_problems(selection.settings.hooks, roots)]:
        raise UserError(found)


def _require_apart(selection: Selection, local_dirs: LocalDirs) -> None:
    roots = tuple(folder.root for folder in selection.folders)
    model = selection.settings.model
    found = [*separation_problems(roots, selection.settings_path, model, local_dirs)]
    if found:
        raise UserError(found)


def _row(job: EndedJob) -> tuple[str, str, str, str]:
    seconds = "" if job.seconds is None else duration(job.seconds)
    return job.file, job.state, seconds, job.result


def _close(service: Service, ended: Sequence[EndedJob]) -> ExitCode:
    output = Output(sys.stdout, os.environ)
    if ended:
        output.table([_HEADINGS, *map(_row, ended)])
    else:
        output.line(f"Nothing was edited: {service.why_it_ends}.")
    failed = any(job.state in (State.FAILED, State.QUARANTINED) for job in ended)
    folders = service.folders.values()
    if failed or any(
        service.reporter.stands(it).state is not FolderState.ONLINE for it in folders
    ):
        return ExitCode.JOBS_FAILED
    return ExitCode.FINE
