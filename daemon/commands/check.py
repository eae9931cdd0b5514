"""`hotfolder check`: looks at everything that a run needs, and names all problems at once."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from config.problems import UserError
from config.settings import FolderSettings, Settings, without_file
from daemon.cli import ExitCode
from daemon.commands import means
from daemon.commands.apart_check import look_at_custody, look_at_separation
from daemon.commands.attention_check import look_at_attention
from daemon.commands.finding import Finding, Verdict, ok, problem, problems
from daemon.commands.folder_check import look_at_folder
from daemon.commands.machine_check import look_at_libraries, look_at_places, look_at_switches
from daemon.commands.model_check import look_at_loras, look_at_model
from daemon.commands.page import Page
from daemon.commands.selection import (
    ANSWER_SECONDS,
    NO_ANSWER,
    default_steps,
    find_folders,
    read_settings,
)
from daemon.patience import Silent, call

Findings = Iterator[Finding]
_Read = tuple[Settings, Path | None]


def check(arguments: argparse.Namespace) -> ExitCode:
    """Write one line a finding as it is made; CONFIGURATION where there is a problem."""
    page = Page(sys.stdout, os.environ)
    verdicts: Counter[Verdict] = Counter()
    for finding in _findings(arguments):
        verdicts[finding.verdict] += 1
        page.finding(finding.verdict, finding.subject, finding.text)
    page.line(_sum(verdicts))
    return ExitCode.CONFIGURATION if verdicts[Verdict.PROBLEM] else ExitCode.FINE


def _findings(arguments: argparse.Namespace) -> Findings:
    read = yield from _settings(arguments)
    folders = yield from _folders(arguments.root, read)
    for folder in folders:
        yield from _folder(folder)
    yield from _apart(folders, read)
    floors = [folder.min_free_gib for folder in folders] or [without_file().defaults.min_free_gib]
    yield from look_at_places(os.environ, max(floors))
    if arguments.editor != "echo":
        yield from _model(arguments.model, read, [folder.root for folder in folders])


def _settings(arguments: argparse.Namespace) -> Generator[Finding, None, _Read | None]:
    read = None
    try:
        read = read_settings(arguments.config, Path.cwd())
    except UserError as error:
        yield from problems("settings", error.problems)
    else:
        path = read[1]
        yield ok("settings", f"read from {path}" if path else "no file: the defaults hold")
        yield from look_at_custody(path) if path else ()
    try:
        default_steps(os.environ)
    except UserError as error:
        yield from problems("settings", error.problems)
    return read


def _folders(
    root: Path | None, read: _Read | None
) -> Generator[Finding, None, tuple[FolderSettings, ...]]:
    if read is None and root is None:
        return ()  # faulty settings may well name some
    try:
        return find_folders(*(read or (without_file(), None)), root, Path.cwd())
    except UserError as error:
        yield from problems("folder", error.problems)
        return ()


def _folder(folder: FolderSettings) -> Sequence[Finding]:
    try:
        return call(lambda: [*look_at_folder(folder, time.time)], ANSWER_SECONDS)
    except Silent:
        advice = "see to its server or its connection, then check again"
        return [problem("folder", f"{folder.root}: {NO_ANSWER}", advice)]


def _apart(folders: tuple[FolderSettings, ...], read: _Read | None) -> Findings:
    settings, path = read or (without_file(), None)
    yield from look_at_separation(folders, path, settings.model, os.environ)


def _model(named: Path | None, read: _Read | None, roots: Sequence[Path]) -> Findings:
    settings = (read[0] if read is not None else without_file()).model
    if named is not None:
        settings = replace(settings, path=named.absolute())
    if named is not None or read is not None:
        is_held = means.daemon_holds_model(roots, os.environ)
        yield from look_at_model(settings, None if is_held else means.look(os.environ))
    yield from look_at_loras(settings.loras)
    yield from look_at_attention(settings.attention)
    yield from look_at_libraries()
    yield from look_at_switches(os.environ)


def _sum(verdicts: Counter[Verdict]) -> str:
    problems, warnings = verdicts[Verdict.PROBLEM], verdicts[Verdict.WARNING]
    if problems:
        return f"{_count(problems, 'problem')} to mend, {_count(warnings, 'warning')}."
    return f"Ready to run, {_count(warnings, 'warning')}."


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
