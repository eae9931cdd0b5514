"""The command line: words become a call of one command, problems become words and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from config.problems import UserError
from daemon import own_version
from daemon.commands import ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    top = parser()
    arguments = top.parse_args(argv)
    if arguments.command is None:
        top.print_help()  # to whoever wants to know what there is; a script has made a mistake
        return ExitCode.USAGE
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir("/")  # the working directory was deleted: nothing is relative to it any more
    try:
        return _imported(arguments.command)(arguments)
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
    top.set_defaults(command=None, config=None, verbose=False)
    _add_general(top)
    top.add_argument(
        "--version", action=_Version, help="say which version this is, and nothing else"
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    init = _add(commands, "init:init", "make a hot folder, and ./hotfolder.yaml for it")
    init.add_argument("folder", type=Path, metavar="DIR")
    _add_run_and_check(commands)
    _add_queries(commands)
    _add_requests(commands)
    _add_results(commands)
    _add_make_tiny_model(commands)
    _add_install(commands)
    hooks = _add(commands, "hooks:hooks", "run the hooks that wait, for the unit hotfolder-hook@")
    hooks.add_argument("service", metavar="SERVICE", help="hotfolder, or hotfolder-NAME")
    return top


class _Version(argparse.Action):
    """Asks for the version only where somebody wants it: that takes 20 ms."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help, default=argparse.SUPPRESS)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"hotfolder {own_version()}")
        parser.exit()


def _add_general(parser: argparse.ArgumentParser) -> None:
    """Add what may stand before a command and after it; what is said last counts."""
    # Suppressed, so that a command does not undo what was said before it.
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="settings, instead of ./hotfolder.yaml or /etc/hotfolder/hotfolder.yaml",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="say more"
    )


_Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add(
    commands: _Commands[argparse.ArgumentParser], target: str, words: str
) -> argparse.ArgumentParser:
    """Add the command that a function of a module of `commands` is: "jobs:cancel"."""
    command = commands.add_parser(target.partition(":")[2].replace("_", "-"), help=words)
    command.set_defaults(command=target)
    _add_general(command)
    return command


def _add_run_and_check(commands: _Commands[argparse.ArgumentParser]) -> None:
    run = _add(commands, "run:run", "watch the hot folders and edit what is dropped")
    check = _add(commands, "check:check", "look whether everything is in order")
    _add_root(run)
    run.add_argument("--once", action="store_true", help="end when nothing moves any more")
    _add_root(check)
    echo = {
        run: "echo gives every picture back unchanged, without a model",
        check: "echo: no model is looked for",
    }
    for command, words in echo.items():
        command.add_argument("--editor", choices=("qwen", "echo"), default="qwen", help=words)
        command.add_argument(
            "--model", type=Path, metavar="DIR", help="instead of the settings' model"
        )


def _add_queries(commands: _Commands[argparse.ArgumentParser]) -> None:
    plan = _add(commands, "status:plan", "say what would happen to every file of the inbox")
    why = _add(commands, "why:why", "say where a file stands, and why")
    why.add_argument("file", type=Path, metavar="FILE")
    status = _add(commands, "status:status", "say how everything stands")
    for query in (plan, why, status):
        _add_root(query)
    plan.add_argument("--json", action="store_true", help="for programs")
    form = status.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument(
        "--watch", action="store_true", help="say it again every 2 seconds, until Ctrl-C"
    )


def _add_requests(commands: _Commands[argparse.ArgumentParser]) -> None:
    cancel = _add(commands, "jobs:cancel", "end a job without a result, wherever it stands")
    cancel.add_argument(
        "job", type=Path, metavar="JOB|FILE", help="the job's id or its beginning, or its picture"
    )
    retry = _add(commands, "jobs:retry", "move failed jobs back into the inbox")
    retry.add_argument(
        "failed",
        type=Path,
        nargs="+",
        metavar="FAILED",
        help="a folder below failed/, a file in it, or the job's id",
    )
    pause = _add(commands, "pause:pause", "begin no more jobs; what was begun is finished")
    resume = _add(commands, "pause:resume", "begin jobs again")
    drain = _add(commands, "pause:drain", "finish what was begun, then end the daemon")
    for request in (cancel, retry, pause, resume, drain):
        _add_root(request)


def _add_results(commands: _Commands[argparse.ArgumentParser]) -> None:
    again = _add(commands, "results:again", "edit the picture of a result anew")
    again.add_argument(
        "result", type=Path, metavar="RESULT", help="in outbox or review, or its receipt"
    )
    again.add_argument("--prompt", help="instead of that in its receipt")
    again.add_argument("--seed", type=_seed, help="instead of a new one")
    accept = _add(commands, "results:accept", "move a result of review to the outbox")
    reject = _add(commands, "results:reject", "move a result of review to failed")
    for verdict in (accept, reject):
        verdict.add_argument(
            "result", type=Path, nargs="+", metavar="RESULT", help="in review, or its receipt"
        )
    reject.add_argument("--reason", metavar="TEXT", help="for WHY.txt")
    for command in (again, accept, reject):
        _add_root(command)


def _seed(written: str) -> int:
    if not written.isascii() or not written.isdecimal() or int(written) >= 2**63:
        message = f"{written!r} is no whole number from 0 to 2^63-1"
        raise argparse.ArgumentTypeError(message)
    return int(written)


def _add_make_tiny_model(commands: _Commands[argparse.ArgumentParser]) -> None:
    words = "make a tiny model with random weights, for trying and testing"
    make = _add(commands, "init:make_tiny_model", words)
    make.add_argument("folder", type=Path, metavar="DIR")
    make.add_argument(
        "--class",
        dest="edit_class",
        choices=("QwenImageEditPlusPipeline", "QwenImageEditPipeline"),
        default="QwenImageEditPlusPipeline",
        help="which of the two classes that edit; the first knows references",
    )


def _add_install(commands: _Commands[argparse.ArgumentParser]) -> None:
    install = _add(commands, "install:install", "make it a service of this machine")
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
    uninstall = _add(commands, "install:uninstall", "remove the service; data stays")
    for command in (install, uninstall):
        command.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _add_root(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--root", type=Path, metavar="DIR", help="this hot folder alone; needs no settings file"
    )


def _imported(target: str) -> Callable[[argparse.Namespace], ExitCode]:
    # Only when it is called: `hotfolder --help` answers at once.
    module, _, name = target.partition(":")
    command: Callable[[argparse.Namespace], ExitCode]
    command = getattr(importlib.import_module(f"daemon.commands.{module}"), name)
    return command
