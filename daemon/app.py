"""Builds the daemon from values: nothing else knows all its parts."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.settings import FolderSettings, Settings
from daemon import own_version
from daemon.context import Context, Logs, Reread, SettingsInForce
from daemon.control.server import Server
from daemon.events import events
from daemon.events.sinks import Log
from daemon.folder.view import FolderView
from daemon.folder.worker import FolderWorker
from daemon.fs.blocking import STALL_TIMEOUTS, StallTimeouts
from daemon.fs.local_dirs import LocalDirs
from daemon.history import History
from daemon.inbox.inbox import Inbox, choose_watch_mode
from daemon.jobs.runner import JobRunner
from daemon.lease.election import LEASE_TIMINGS, LeaseTimings
from daemon.service.hooks import BY_UNIT, Hooks, HookSpool
from daemon.service.loop import Mailbox, Reload, Service, Stop
from daemon.service.pause import PauseControl
from daemon.service.preflight import check_network
from daemon.service.systemd import SystemdNotifier
from daemon.supervision import tell_of_all_threads
from daemon.workers.editor import EDITOR_MODULE, EditorProcess
from daemon.workers.pixel_pool import PIXEL_MODULE, PixelPool
from pipeline.recipe import Defaults, RecipeRules

_PIXEL_WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSpec:
    """What one daemon is to do."""

    settings: Settings  # its model has been looked at
    folders: tuple[FolderSettings, ...]
    editor: str  # "qwen", "echo"
    defaults: Defaults  # of its model
    once: bool  # until nothing moves any more
    reread: Reread


@dataclass(frozen=True, slots=True, kw_only=True)
class Internals:
    """What people cannot choose, and tests do."""

    stall_timeouts: StallTimeouts = STALL_TIMEOUTS  # after what silence a share counts as away
    lease: LeaseTimings = LEASE_TIMINGS  # when another daemon takes over
    editor_module: str = EDITOR_MODULE  # what the processes beside the daemon run
    pixel_module: str = PIXEL_MODULE


@contextlib.contextmanager
def open_service(
    wanted: DaemonSpec,
    log: Log,
    notifier: SystemdNotifier,
    local_dirs: LocalDirs,
    internals: Internals,
) -> Iterator[Service]:
    """The service of this process, signals and all; what it holds is let go at the end."""
    mailbox: Mailbox = queue.SimpleQueue()
    folders: dict[str, FolderView] = {}
    for folder in wanted.folders:
        worker = _folder_worker(folder, wanted, local_dirs, mailbox, internals.lease)
        folders[str(folder.root)] = FolderView(worker, internals.stall_timeouts)
    with contextlib.ExitStack() as stack:
        for folder in wanted.folders:
            server = Server(local_dirs, folder.root, mailbox.put, mailbox.put)
            stack.callback(server.close)
        history = History(local_dirs.state, lambda text: mailbox.put(events.Noted(text=text)))
        stack.callback(history.close)
        _answer_signals(mailbox)
        tell_of_all_threads(mailbox.put)
        logs = Logs(log, folders, time)
        context = Context(
            clock=time,
            tell=logs.tell,
            history=history,
            settings=SettingsInForce(wanted.settings, wanted.defaults, wanted.reread),
            once=wanted.once,
        )
        model = wanted.settings.model
        editor = EditorProcess(wanted.editor, model, mailbox.put, internals.editor_module)
        pixels = PixelPool(_PIXEL_WORKERS, mailbox.put, internals.pixel_module)
        runner = JobRunner(context, folders, editor, pixels)
        pause_control = PauseControl(folders, never=wanted.once)
        logs.tell(_started(wanted))
        logs.tell(check_network())
        service = Service(
            context,
            runner,
            mailbox=mailbox,
            logs=logs,
            notifier=notifier,
            pause_control=pause_control,
        )
        service.hooks = Hooks(
            HookSpool(local_dirs.state),
            lambda: context.settings.now.hooks,
            mailbox.put,
            time,
            by_unit=os.environ.get("HOTFOLDER_HOOKS") == BY_UNIT,
        )
        service.hooks.start()
        runner.completion.tell_outcome = service.hooks.ended
        yield service


def _folder_worker(
    folder: FolderSettings,
    wanted: DaemonSpec,
    local_dirs: LocalDirs,
    mailbox: Mailbox,
    timings: LeaseTimings,
) -> FolderWorker:
    watch_mode = choose_watch_mode(folder, None)  # until the worker has asked the file system
    rules = RecipeRules.of(wanted.settings, wanted.defaults, folder.keys)
    return FolderWorker(
        folder=folder,
        inbox=Inbox.of(folder, watch_mode, rules, final=wanted.once),
        local_dirs=local_dirs,
        clock=time,
        deliver=mailbox.put,
        timings=timings,
    )


def _answer_signals(mailbox: Mailbox) -> None:
    # SimpleQueue.put is made to be called from a signal handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        name = signal.Signals(number).name
        signal.signal(number, lambda *_, name=name: mailbox.put(Stop(f"asked to by {name}")))
    signal.signal(signal.SIGHUP, lambda *_: mailbox.put(Reload()))


def _started(wanted: DaemonSpec) -> events.Started:
    folders: tuple[Path, ...] = tuple(folder.root for folder in wanted.folders)
    return events.Started(version=own_version(), folders=folders, editor=wanted.editor)
