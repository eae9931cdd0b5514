"""`hotfolder pause`, `resume` and `drain`: the daemon is asked, wherever it listens.

A pause needs none: it is noted in the hot folder, where every daemon reads it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from config.problems import Problem, UserError
from daemon.commands import ExitCode, select
from daemon.commands.output import Output
from daemon.control.client import Answer, Elsewhere, NobodyThere, Outcome, Refused, ask, result_of
from daemon.control.documents import CommandResult, ResultCode
from daemon.folder.pause_flag import LOOK_SECONDS, words_of
from daemon.fs.access import not_permitted
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_with_deadline
from daemon.fs.local_dirs import LocalDirs, local_dirs_to_look_in
from daemon.service.pause import PauseFlags

_FAR = "within a minute"  # it looks as often, and a share shows it what is new after a while
_NEAR = f"within {LOOK_SECONDS:.0f} s"


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
    output, local_dirs = Output(sys.stdout, os.environ), local_dirs_to_look_in(os.environ)
    outcomes: list[CommandResult] = []
    problems: list[Problem] = []
    for folder in select.named(arguments).folders:
        if any(str(folder.root) in it.roots for it in outcomes):
            continue  # one daemon works on both, and has said so
        try:
            outcomes.append(_do(verb, folder.root, local_dirs))
            output.line(outcomes[-1].text)
        except UserError as error:  # of one hot folder; the others are asked as well
            problems += error.problems
    if problems:
        raise UserError(problems)
    return ExitCode.FINE if all(it.is_fine for it in outcomes) else ExitCode.USAGE


def _do(verb: str, root: Path, local_dirs: LocalDirs) -> CommandResult:
    outcome = ask(local_dirs, root, {"verb": verb})
    if isinstance(outcome, Answer):
        result = result_of(outcome.body)
        if verb == "drain" or result.how is not ResultCode.STANDBY:
            return result
    if verb == "drain":
        return CommandResult(ResultCode.REFUSED, f"{root}: {_not_drained(outcome)}")
    return _note(root, local_dirs, outcome, paused=verb == "pause")


def _not_drained(outcome: Outcome) -> str:
    match outcome:
        case Refused(reason, advice, who):
            return f"nothing was done: {who} gave no answer ({reason}). What to do: {advice}."
        case Elsewhere() as other:
            return f"nothing was done: {other.where}. What to do: {other.advice}."
        case _:
            return "no daemon is running here, so there is nothing to end."


def _note(root: Path, local_dirs: LocalDirs, outcome: Outcome, *, paused: bool) -> CommandResult:
    """Say it in the hot folder itself, and who heeds that when."""
    if isinstance(outcome, Elsewhere) and outcome.leader.socket is None:
        text = f"{root}: nothing was done: {outcome.where}, and would not heed it."
        text = f"{text} What to do: {outcome.advice}."
        return CommandResult(ResultCode.REFUSED, text)
    is_news = _set(PauseFlags(local_dirs.state), root, paused=paused)
    words = words_of(root, paused=paused, is_news=is_news)
    end = _heeded(outcome, paused=paused) if is_news or paused else "."
    return CommandResult(ResultCode.DONE, f"{words}{end}")


def _set(flags: PauseFlags, root: Path, *, paused: bool) -> bool:
    """Set the flag in the hot folder itself; raises UserError where that cannot be done."""

    def act() -> bool:
        select.require_marked(root)
        return flags.set(root, paused=paused)

    try:
        return call_with_deadline(act, ANSWER_SECONDS)
    except Stalled:
        problem = Problem(str(root), select.NO_ANSWER, "ask again when it is back")
    except PermissionError as error:
        problem = not_permitted(root, Path(error.filename or root), writing=True)
    except OSError as error:
        what = f"it cannot be noted there: {error.strerror}"
        problem = Problem(str(root), what, "mend that and call again")
    raise UserError([problem])


def _heeded(outcome: Outcome, *, paused: bool) -> str:
    """Who heeds it, and when; the end of a sentence."""
    does = "begins no more jobs" if paused else "begins jobs again"
    match outcome:
        case Refused(reason, _, who):
            noted = f" in the hot folder; {who} {does} {_NEAR}"
            return f"{noted}, and gave you no answer: {reason}."
        case Elsewhere() as other:
            return f" in the hot folder; {other.where}, and {does} {_FAR}."
        case Answer():
            return f" in the hot folder; the daemon that works on it {does} {_FAR}."
        case NobodyThere() if paused:
            return (
                ": no daemon runs now, and one that starts begins no job before hotfolder resume;"
                " only run --once does."
            )
        case NobodyThere():
            return "; no daemon runs now."
