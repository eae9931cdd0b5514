"""`hotfolder again`, `accept` and `reject`: what is to be done with a result."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from config import codec
from config.problems import UserError
from daemon.commands import ExitCode, select
from daemon.commands.inquiry import Inquiry
from daemon.commands.jobs import ask_or_do
from daemon.commands.output import Output
from daemon.control.documents import CommandResult, ResultCode
from daemon.fs.names import is_hidden, pair_key, printable
from daemon.fs.safe_tree import SafeTree
from daemon.jobs.requests import result_request
from daemon.spool.results import read_result, result_named

_ANY, _REVIEW = ("outbox", "review", "failed"), ("review",)


def again(arguments: argparse.Namespace) -> ExitCode:
    """Have the picture of a result edited anew; USAGE where that cannot be done."""
    words = {"prompt": arguments.prompt, "seed": arguments.seed}
    changes = {key: str(value) for key, value in words.items() if value is not None}
    return _ask_each(arguments, "again", [arguments.result], changes, _ANY)


def accept(arguments: argparse.Namespace) -> ExitCode:
    """Move results of review to the outbox; USAGE where one of them is none."""
    return _ask_each(arguments, "accept", arguments.result, {}, _REVIEW)


def reject(arguments: argparse.Namespace) -> ExitCode:
    """Move results of review to failed; USAGE where one of them is none."""
    reason = {"reason": arguments.reason or ""}
    return _ask_each(arguments, "reject", arguments.result, reason, _REVIEW)


def _ask_each(
    arguments: argparse.Namespace,
    verb: str,
    results: Iterable[Path],
    words: Mapping[str, str],
    areas: tuple[str, ...],
) -> ExitCode:
    output, outcomes = Output(sys.stdout, os.environ), list[CommandResult]()
    for result in results:
        settings, roots = select.folders_around(arguments, result, select.named)
        found = _found(result, roots, areas)
        if len(found) == 1:
            request = {"verb": verb, "result": found[0][1], **words}
            outcomes.append(_ask(Inquiry.by(settings), output, found[0][0], request))
        else:
            for root in roots:
                select.require_marked(root)  # else nobody knows what lies there
            before = _judged_before(verb, result, roots)
            outcomes.append(before or _none_alone(printable(str(result)), found, areas))
        output.line(outcomes[-1].text)
    return ExitCode.FINE if all(it.is_fine for it in outcomes) else ExitCode.USAGE


def _judged_before(verb: str, word: Path, roots: Iterable[Path]) -> CommandResult | None:
    """That it was accepted or rejected by an earlier call; None where it was not."""
    key, area = {"accept": ("accepted", "outbox"), "reject": ("rejected", "failed")}.get(
        verb, ("", "")
    )
    name = result_named(select.name_in_inbox(word, Path.cwd(), roots))
    for root in roots if key else ():
        for path in _results(root, (area,)):
            with contextlib.suppress(UserError, OSError, ValueError):
                receipt = read_result(SafeTree(root), path).receipt
                if codec.at(str | None, receipt, key, "result") == name:
                    text = f"{printable(name)} was {key} before: it is {printable(path)} now."
                    return CommandResult(ResultCode.DONE, text)
    return None


def _none_alone(
    shown: str, found: list[tuple[Path, str]], areas: tuple[str, ...]
) -> CommandResult:
    if found:
        names = " or ".join(sorted(printable(path) for _, path in found))
        return CommandResult(ResultCode.REFUSED, f"{shown} may be {names}: name one of them.")
    where = "review" if areas == _REVIEW else "outbox or review"
    text = f"{shown} is no result in {where}: name its file, or its path below there."
    return CommandResult(ResultCode.UNKNOWN, text)


def _ask(
    inquiry: Inquiry, output: Output, root: Path, request: Mapping[str, str]
) -> CommandResult:
    wanted = result_request(request["verb"], request)
    assert wanted is not None, "the command line has checked the seed"
    return ask_or_do(inquiry, output, root, request, lambda it: it.handle_result(wanted))


def _found(word: Path, roots: Iterable[Path], areas: tuple[str, ...]) -> list[tuple[Path, str]]:
    """The results that are meant, by their roots and their paths there.

    By a path, that of a receipt or a preview too; else by a base name, with its extension or
    without.
    """
    roots = tuple(roots)
    located = select.locate_file(word, Path.cwd(), roots)
    if isinstance(located, select.Located):
        path = result_named(located.path)
        if path.partition("/")[0] in _ANY and "/" in path:
            return [(located.root, path)]
    name = pair_key(result_named(str(word)))
    named = [(root, path) for root in roots for path in _results(root, areas)]
    for key in (_below,) if "/" in name else (_base, _stem):
        if found := [it for it in named if pair_key(key(it[1])) == name]:
            return found
    return []


def _results(root: Path, areas: tuple[str, ...]) -> Iterator[str]:
    """The paths of all files there that have a receipt."""
    for area in areas:
        for folder, below, names in os.walk(root / area):
            below[:] = [it for it in below if not is_hidden(it)]
            there = set(names)
            for name in names:
                if f"{name}.json" in there:
                    yield os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118


def _below(path: str) -> str:
    return path.partition("/")[2]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    base = _base(path)
    return base.rpartition(".")[0] or base
