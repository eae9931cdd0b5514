"""The command line: words become a call of one command, problems become words and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from config.problems import UserError
from daemon.commands import ExitCode

Command = Callable[[argparse.Namespace], ExitCode]
# Each command is imported when it is called: `hotfolder --help` answers at once.
_COMMANDS = {
    "init": "daemon.commands.init",
    "make_tiny_model": "daemon.commands.init",
    "run": "daemon.commands.run",
    "check": "daemon.commands.check",
    "plan": "daemon.commands.plan",
    "why": "daemon.commands.why",
    "status": "daemon.commands.status",
    "cancel": "daemon.commands.jobs",
    "retry": "daemon.commands.jobs",
    "pause": "daemon.commands.pause",
    "resume": "daemon.commands.pause",
    "drain": "daemon.commands.pause",
    "install": "daemon.commands.install",
    "uninstall": "daemon.commands.install",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = parser().parse_args(argv)
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir("/")  # the working directory was deleted: nothing is relative to it any more
    try:
        return _command(arguments.command)(arguments)
    except UserError as error:
        for problem in error.problems:
            print(f"hotfolder: {problem}", file=sys.stderr)
        return ExitCode.CONFIGURATION
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FINE


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="hotfolder",
        description="Drop a picture and an instruction into a folder, "
        "find the edited picture in the outbox. Offline, on your own GPU.",
        epilog="Exit codes: 0 fine; 1 some jobs failed (run --once); 2 usage; "
        "78 bad configuration, model or hot folder.",
    )
    top.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings, instead of ./hotfolder.yaml or /etc/hotfolder/hotfolder.yaml",
    )
    top.add_argument("-v", "--verbose", action="store_true", help="say more")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_init(commands)
    _add_run(commands)
    _add_check(commands)
    _add_queries(commands)
    _add_requests(commands)
    _add_make_tiny_model(commands)
    _add_install(commands)
    return top


_Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_init(commands: _Commands[argparse.ArgumentParser]) -> None:
    init = commands.add_parser("init", help="make a hot folder, and ./hotfolder.yaml for it")
    init.add_argument("folder", type=Path, metavar="DIR")
    init.set_defaults(command="init")


def _add_run(commands: _Commands[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="watch the hot folders and edit what is dropped")
    _add_root(run)
    run.add_argument("--once", action="store_true", help="end when nothing moves any more")
    run.add_argument(
        "--editor",
        choices=("qwen", "echo"),
        default="qwen",
        help="echo gives every picture back unchanged, without a model",
    )
    run.add_argument("--model", type=Path, metavar="DIR", help="instead of the settings' model")
    run.set_defaults(command="run")


def _add_check(commands: _Commands[argparse.ArgumentParser]) -> None:
    check = commands.add_parser("check", help="look whether everything is in order")
    _add_root(check)
    check.add_argument(
        "--editor", choices=("qwen", "echo"), default="qwen", help="echo: no model is looked for"
    )
    check.add_argument("--model", type=Path, metavar="DIR", help="instead of the settings' model")
    check.set_defaults(command="check")


def _add_queries(commands: _Commands[argparse.ArgumentParser]) -> None:
    plan = commands.add_parser("plan", help="say what would happen to every file of the inbox")
    why = commands.add_parser("why", help="say where a file stands, and why")
    why.add_argument("file", type=Path, metavar="FILE")
    status = commands.add_parser("status", help="say how everything stands")
    for query, command in ((plan, "plan"), (why, "why"), (status, "status")):
        _add_root(query)
        query.set_defaults(command=command)
    for query in (plan, status):
        query.add_argument("--json", action="store_true", help="for programs")


def _add_requests(commands: _Commands[argparse.ArgumentParser]) -> None:
    cancel = commands.add_parser("cancel", help="end a job without a result, wherever it stands")
    cancel.add_argument(
        "job", type=Path, metavar="JOB|FILE", help="the job's id or its beginning, or its picture"
    )
    cancel.set_defaults(command="cancel")
    retry = commands.add_parser("retry", help="move failed jobs back into the inbox")
    retry.add_argument(
        "failed",
        type=Path,
        nargs="+",
        metavar="FAILED",
        help="a folder below failed/, a file in it, or the job's id",
    )
    retry.set_defaults(command="retry")
    pause = commands.add_parser("pause", help="begin no more jobs; what was begun is finished")
    pause.set_defaults(command="pause")
    resume = commands.add_parser("resume", help="begin jobs again")
    resume.set_defaults(command="resume")
    drain = commands.add_parser("drain", help="finish what was begun, then end the daemon")
    drain.set_defaults(command="drain")
    for request in (cancel, retry, pause, resume, drain):
        _add_root(request)


def _add_make_tiny_model(commands: _Commands[argparse.ArgumentParser]) -> None:
    make = commands.add_parser(
        "make-tiny-model",
        help="make a tiny model with random weights, for trying and testing",
    )
    make.add_argument("folder", type=Path, metavar="DIR")
    make.add_argument(
        "--class",
        dest="edit_class",
        choices=("QwenImageEditPlusPipeline", "QwenImageEditPipeline"),
        default="QwenImageEditPlusPipeline",
        help="which of the two classes that edit; the first takes several pictures",
    )
    make.set_defaults(command="make_tiny_model")


def _add_install(commands: _Commands[argparse.ArgumentParser]) -> None:
    install = commands.add_parser("install", help="make it a service of this machine")
    install.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        required=True,
        help="the hot folder, made where missing",
    )
    install.add_argument(
        "--model", type=Path, metavar="DIR", help="for the settings, where there are none yet"
    )
    install.add_argument("--user", default="hotfolder", help="that the service runs as")
    install.add_argument("--group", help="that shares the hot folder; else one of the user's name")
    install.add_argument("--start", action="store_true", help="start it, too")
    install.set_defaults(command="install")
    uninstall = commands.add_parser("uninstall", help="take the service away; data stays")
    uninstall.set_defaults(command="uninstall")
    for command in (install, uninstall):
        command.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _add_root(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--root", type=Path, metavar="DIR", help="this hot folder alone; needs no settings file"
    )


def _command(name: str) -> Command:
    command: Command = getattr(importlib.import_module(_COMMANDS[name]), name)
    return command
