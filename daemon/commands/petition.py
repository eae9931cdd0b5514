"""`hotfolder cancel` and `retry`: the daemon is asked; where none runs, it is done here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from config import settings as settings_file
from config.problems import UserError
from config.settings import Settings
from daemon import places
from daemon.cli import ExitCode
from daemon.commands import papers
from daemon.commands.alone import Alone, in_charge
from daemon.commands.asking import outcome_of
from daemon.commands.page import Page
from daemon.commands.reason import Reasons
from daemon.commands.selection import default_steps, find_folders, read_settings, unmarked
from daemon.commands.whereabouts import (
    Missing,
    There,
    absolute,
    find,
    hot_folder_above,
    name_in_inbox,
)
from daemon.inbox.names import printable
from daemon.outcome import How, Outcome
from daemon.places import Places

_IN_FAILED = 3  # failed, the day, the job


def cancel(arguments: argparse.Namespace) -> ExitCode:
    """End one job without a result; USAGE where there is none, and where it is too late."""
    page, word = Page(sys.stdout, os.environ), arguments.job
    settings, roots = _where(arguments, word)
    means = _Means(settings, default_steps(os.environ), places.find(os.environ), page)
    path = name_in_inbox(word, Path.cwd(), roots)
    for root in roots:
        came = means.cancel(root, str(word), path)
        if came.how is not How.UNKNOWN:
            page.line(came.text)
            return _code([came])
    page.line(f"{printable(str(word))} is no job that waits or is under way.")
    for line in means.what_became(find(word, Path.cwd(), roots), roots):
        page.line(line)
    return ExitCode.USAGE


def retry(arguments: argparse.Namespace) -> ExitCode:
    """Have failed jobs tried again; USAGE where one of them is none."""
    page, outcomes = Page(sys.stdout, os.environ), []
    for failed in arguments.failed:
        settings, roots = _where(arguments, failed)
        means = _Means(settings, default_steps(os.environ), places.find(os.environ), page)
        outcomes.append(_retry(means, failed, roots))
        page.line(outcomes[-1].text)
    return _code(outcomes)


def _retry(means: _Means, failed: Path, roots: tuple[Path, ...]) -> Outcome:
    found = _failed_jobs(failed, roots)
    if len(found) == 1:
        return means.take_back(*found[0])
    shown = printable(str(failed))
    if found:
        names = " or ".join(printable(folder) for _, folder in found)
        return Outcome(How.REFUSED, f"{shown} may be {names}: name one of them.")
    what = "is no failed job: name its folder below failed/, a file in it, or the job's id"
    return Outcome(How.UNKNOWN, f"{shown} {what}.")


def _failed_jobs(failed: Path, roots: Iterable[Path]) -> list[tuple[Path, str]]:
    """The roots and folders of what is named: by a path, else by the beginning of an id."""
    match find(failed, Path.cwd(), roots):
        case There(root=root) as there if there.corner == "failed":
            return [(root, "/".join(there.path.split("/")[:_IN_FAILED]))]
        case _:
            return [(at, one) for at in roots for one in papers.failed_job(at, str(failed))]


@dataclass(frozen=True, slots=True)
class _Means:
    """What it takes to ask, and to do it here."""

    settings: Settings
    default_steps: int
    places: Places
    page: Page

    def cancel(self, root: Path, word: str, path: str) -> Outcome:
        request = {"verb": "cancel", "word": word, "path": path}
        steps = self.default_steps
        return self._ask(root, request, lambda it: it.cancel(word, path, self.settings, steps))

    def take_back(self, root: Path, folder: str) -> Outcome:
        request = {"verb": "retry", "folder": folder}
        return self._ask(root, request, lambda it: it.take_back(folder))

    def what_became(self, there: There | Missing, roots: Iterable[Path]) -> Iterator[str]:
        """What `why` says of it."""
        reasons = Reasons(
            settings=self.settings, default_steps=self.default_steps, places=self.places
        )
        if isinstance(there, There):
            yield from reasons.of_file(there)
            return
        for root in roots:
            yield from reasons.of_name(there, root)

    def _ask(
        self, root: Path, request: dict[str, str], do_alone: Callable[[Alone], Outcome]
    ) -> Outcome:
        return outcome_of(request, root, self.places) or self._do_here(root, do_alone)

    def _do_here(self, root: Path, do_alone: Callable[[Alone], Outcome]) -> Outcome:
        if problems := tuple(unmarked(root)):
            raise UserError(problems)
        folder = settings_file.folder(self.settings, root)
        with in_charge(folder, self.places, self.page.line) as alone:
            return do_alone(alone)


def _where(arguments: argparse.Namespace, file: Path) -> tuple[Settings, tuple[Path, ...]]:
    """The hot folder that a file is in, else all that the settings or --root name.

    They need not be there: their daemon may know that a share is away.
    """
    cwd = Path.cwd()
    settings, path = read_settings(arguments.config, cwd)
    above = hot_folder_above(absolute(file, cwd))
    if arguments.root is None and above is not None:
        return settings, (above,)
    folders = find_folders(settings, path, arguments.root, cwd)
    return settings, tuple(Path(os.path.normpath(folder.root)) for folder in folders)


def _code(outcomes: Iterable[Outcome]) -> ExitCode:
    is_fine = all(it.how in (How.DONE, How.BEGUN) for it in outcomes)
    return ExitCode.FINE if is_fine else ExitCode.USAGE
