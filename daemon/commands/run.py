"""`hotfolder run`: puts the daemon together, runs it, and says at the end how it went."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import queue
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, ModelSettings, Settings
from daemon import confinement
from daemon.cli import ExitCode
from daemon.commands import standing_apart
from daemon.commands.selection import Selection, default_steps, read_settings, select
from daemon.control import Server
from daemon.history import History
from daemon.inbox.manner import choose, rules_of
from daemon.inbox.survey import Survey
from daemon.job import FolderState, State
from daemon.keeper import Keeper
from daemon.lease.campaign import PERIODS, Periods
from daemon.log import story
from daemon.log.halting import NotStarted
from daemon.log.journal import JournalLog
from daemon.log.logs import Log, Row, open_log, summary_table
from daemon.notify import Notifier
from daemon.places import Places, find
from daemon.pulse import PATIENCE, Patience
from daemon.receipt import own_version
from daemon.rests import Pauses, Rests
from daemon.service import Mailbox, Reload, Service, Stop
from daemon.supervision import tell_of_all_threads
from daemon.work.editor_line import EDITOR_MODULE, EditorLine
from daemon.work.pixel_pool import PIXEL_MODULE, PixelPool
from daemon.work.task import Tasks
from pipeline import checkpoint

_PIXEL_WORKERS = 2


def run(
    arguments: argparse.Namespace,
    *,
    patience: Patience = PATIENCE,
    periods: Periods = PERIODS,
    editor_module: str = EDITOR_MODULE,
    pixel_module: str = PIXEL_MODULE,
) -> ExitCode:
    """Watch, edit, publish; returns when stopped or, with --once, when all is done.

    `patience` is for shares that do not answer; `periods` are those after which another daemon
    takes over; `editor_module` and `pixel_module` are what the processes beside it run.
    """
    log = open_log(sys.stderr, os.environ, _local_time, verbose=arguments.verbose)
    notifier = Notifier(os.environ)
    try:
        return _serve(
            arguments,
            log,
            notifier,
            patience=patience,
            periods=periods,
            editor_module=editor_module,
            pixel_module=pixel_module,
        )
    except UserError as error:
        notifier.failed(errno.EINVAL, str(error.problems[0]))
        if isinstance(log, JournalLog):  # elsewhere the words on stderr are enough
            log.tell(NotStarted(problems=error.problems))
        raise
    except OSError as error:
        notifier.failed(error.errno or errno.EIO, str(error))
        raise


def _serve(
    arguments: argparse.Namespace,
    log: Log,
    notifier: Notifier,
    *,
    patience: Patience,
    periods: Periods,
    editor_module: str,
    pixel_module: str,
) -> ExitCode:
    places = find(os.environ)
    selection = select(arguments)
    model = _model(arguments, selection.settings)
    selection = replace(selection, settings=replace(selection.settings, model=model))
    _require_apart(selection, places)
    mailbox: Mailbox = queue.SimpleQueue()
    with contextlib.ExitStack() as stack:
        stack.callback(log.close)
        keepers = {
            str(folder.root): _keeper(
                folder, selection.settings, places, mailbox, periods, once=arguments.once
            )
            for folder in selection.folders
        }
        for folder in selection.folders:
            server = Server(places, folder.root, mailbox.put, mailbox.put)
            stack.callback(server.close)
        history = History(places.state, lambda text: mailbox.put(story.Noted(text=text)))
        stack.callback(history.close)
        _answer_signals(mailbox)
        tell_of_all_threads(mailbox.put)
        service = Service(
            mailbox=mailbox,
            settings=selection.settings,
            keepers=keepers,
            editor=EditorLine(arguments.editor, model, mailbox.put, editor_module),
            pixels=PixelPool(_PIXEL_WORKERS, mailbox.put, pixel_module),
            history=history,
            clock=time,
            log=log,
            notifier=notifier,
            reread=partial(_reread, arguments, selection, places),
            rests=Rests(Pauses(places.state), never=arguments.once),
            once=arguments.once,
            patience=patience,
        )
        service.tell(_started(arguments.editor, selection))
        service.tell(confinement.look())
        rows: list[Row] = []
        if arguments.once:  # else they would grow for as long as it runs
            service.workshop.endings.show = rows.append
        service.run()
    return _close(service, rows) if arguments.once else ExitCode.FINE


def _model(arguments: argparse.Namespace, settings: Settings) -> ModelSettings:
    """The model to load, found whole before anything starts."""
    model = _named_model(arguments, settings)
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


def _named_model(arguments: argparse.Namespace, settings: Settings) -> ModelSettings:
    if arguments.model is None:
        return settings.model
    return replace(settings.model, path=arguments.model.absolute())


def _reread(
    arguments: argparse.Namespace, selection: Selection, places: Places, in_force: Settings
) -> Settings:
    """The settings of now; another model than that in force must be as sound as at the start.

    Raises UserError with every problem.
    """
    settings, path = read_settings(arguments.config, Path.cwd())
    settings = replace(settings, model=_named_model(arguments, settings))
    if settings.model != in_force.model:
        _model(arguments, settings)
        _require_apart(replace(selection, settings=settings, settings_path=path), places)
    return settings


def _require_apart(selection: Selection, places: Places) -> None:
    roots = tuple(folder.root for folder in selection.folders)
    model = selection.settings.model
    found = [*standing_apart.problems(roots, selection.settings_path, model, places)]
    if found:
        raise UserError(found)


def _keeper(
    folder: FolderSettings,
    settings: Settings,
    places: Places,
    mailbox: Mailbox,
    periods: Periods,
    *,
    once: bool,
) -> Keeper:
    manner = choose(folder, None)  # until the keeper has asked the file system
    steps = default_steps(os.environ)
    survey = Survey(
        folder.root / "inbox",
        rules_of(folder, manner, final=once),
        settings=settings,
        default_steps=steps,
        trust_inodes=not manner.is_share,
    )
    return Keeper(
        folder=folder,
        manner=manner,
        survey=survey,
        scratch=places.scratch,
        clock=time,
        deliver=mailbox.put,
        tasks=Tasks(settings, steps),
        periods=periods,
    )


def _answer_signals(mailbox: Mailbox) -> None:
    # SimpleQueue.put is made to be called from a signal handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        name = signal.Signals(number).name
        signal.signal(number, lambda *_, name=name: mailbox.put(Stop(f"asked to by {name}")))
    signal.signal(signal.SIGHUP, lambda *_: mailbox.put(Reload()))


def _local_time() -> datetime:
    return datetime.now(UTC).astimezone()


def _started(editor: str, selection: Selection) -> story.Started:
    folders = tuple(folder.root for folder in selection.folders)
    return story.Started(version=own_version(), folders=folders, editor=editor)


def _close(service: Service, rows: Sequence[Row]) -> ExitCode:
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(summary_table(rows, columns), end="", flush=True)
    failed = any(row.state in (State.FAILED, State.QUARANTINED) for row in rows)
    folders = service.folders.values()
    if failed or any(service.account.stands(it).state is not FolderState.ONLINE for it in folders):
        return ExitCode.JOBS_FAILED
    return ExitCode.FINE
