"""`hotfolder check`: looks at everything that a run needs, and names all problems at once."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from config import settings_file
from config.problems import UserError
from config.settings import FolderSettings, ModelSettings, Settings, settings_without_file
from daemon.commands import ExitCode, check_model, select
from daemon.commands.check_folder import look_at_folder
from daemon.commands.check_machine import look_at_libraries, look_at_places, look_at_switches
from daemon.commands.output import Finding, Output, Verdict, ok, problem, problems, warning
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_with_deadline
from daemon.fs.local_dirs import locate_local_dirs
from daemon.service.hooks import hook_problems
from daemon.service.preflight import separation_problems
from pipeline.checkpoint import Declared, declared

# How the names of kernels begin that torch alone does not bring, and the module that does.
_MODULES = {
    "flash": "flash_attn",
    "_flash_": "flash_attn_interface",
    "sage": "sageattention",
    "_sage_": "sageattention",
    "xformers": "xformers",
}


def look_at_attention(name: str) -> Iterator[Finding]:
    """Look for the package of a kernel, without importing it; nothing to say where it is there."""
    module = next((_MODULES[start] for start in _MODULES if name.startswith(start)), None)
    if module is not None and importlib.util.find_spec(module) is None:
        what = f"model.attention is {name}, and its package ({module}) is not installed"
        yield problem("model", what, "install it, or write native")


Findings = Iterator[Finding]
_Read = tuple[Settings, Path | None]


def check(arguments: argparse.Namespace) -> ExitCode:
    """Write one line a finding as it is made; CONFIGURATION where there is a problem."""
    output = Output(sys.stdout, os.environ)
    verdicts: Counter[Verdict] = Counter()
    for finding in _findings(arguments):
        verdicts[finding.verdict] += 1
        output.finding(finding.verdict, finding.subject, finding.text)
    output.line(_sum(verdicts))
    return ExitCode.CONFIGURATION if verdicts[Verdict.PROBLEM] else ExitCode.FINE


def _findings(arguments: argparse.Namespace) -> Findings:
    read = yield from _settings(arguments)
    settings, path = read or (settings_without_file(), None)
    # Faulty settings may well name some.
    is_known = read is not None or arguments.root is not None
    folders = (yield from _folders(settings, path, arguments.root)) if is_known else ()
    for folder in folders:
        yield from _folder(folder)
    yield from _apart(folders, path, settings.model)
    roots = [folder.root for folder in folders]
    yield from problems("hooks", hook_problems(settings.hooks, roots))
    floors = [folder.min_free_gib for folder in folders]
    floor_gib = max(floors, default=settings_without_file().defaults.min_free_gib)
    yield from look_at_places(os.environ, floor_gib)
    if arguments.editor != "echo":
        is_known = arguments.model is not None or read is not None
        yield from _model(select.model_of(arguments, settings), roots, is_known=is_known)


def _settings(arguments: argparse.Namespace) -> Generator[Finding, None, _Read | None]:
    read = None
    try:
        read = select.read_settings(arguments.config, Path.cwd())
    except UserError as error:
        yield from problems("settings", error.problems)
    else:
        path = read[1]
        yield ok("settings", f"read from {path}" if path else "no file: the defaults hold")
        if path is not None and settings_file.is_of_a_group(path):
            advice = f"if not all of them may say what the daemon reads: chmod g-w {path}"
            yield warning("settings", f"{path} can be changed by its whole group", advice)
    try:
        select.num_steps(os.environ)
    except UserError as error:
        yield from problems("settings", error.problems)
    return read


def _folders(
    settings: Settings, path: Path | None, root: Path | None
) -> Generator[Finding, None, tuple[FolderSettings, ...]]:
    try:
        return select.find_folders(settings, path, root, Path.cwd())
    except UserError as error:
        yield from problems("folder", error.problems)
        return ()


def _folder(folder: FolderSettings) -> Sequence[Finding]:
    try:
        return call_with_deadline(lambda: [*look_at_folder(folder, time.time)], ANSWER_SECONDS)
    except Stalled:
        advice = "see to its server or its connection, then check again"
        return [problem("folder", f"{folder.root}: {select.NO_ANSWER}", advice)]


def _apart(
    folders: tuple[FolderSettings, ...], settings: Path | None, model: ModelSettings
) -> Findings:
    """Look whether hot folders, settings, model, local folders and program lie apart."""
    try:
        local_dirs = locate_local_dirs(os.environ)
    except UserError:
        return  # told where the places are looked at
    roots = tuple(folder.root for folder in folders)
    found = [*separation_problems(roots, settings, model, local_dirs)]
    yield from problems("folder", found)
    if folders and not found:
        text = "nothing lies in a hot folder that must not: settings, model, program, local state"
        yield ok("folder", text)


def _model(model: ModelSettings, roots: Sequence[Path], *, is_known: bool) -> Findings:
    if is_known:
        is_held = check_model.daemon_holds_model(roots, os.environ)
        yield from check_model.look_at_model(
            model, None if is_held else check_model.machine_resources(os.environ)
        )
        yield from _usual_recipe(model)
    yield from check_model.look_at_loras(model)
    yield from look_at_attention(model.attention)
    yield from look_at_libraries()
    yield from look_at_switches(os.environ)


def _usual_recipe(model: ModelSettings) -> Findings:
    """Say what holds where neither instruction nor preset nor LoRA names steps and cfg."""
    try:
        of = select.defaults_of(model, os.environ)
        is_from_outside = select.num_steps(os.environ) is not None
    except UserError:  # told where the settings are looked at
        return
    says = Declared() if model.path is None else declared(model.path)
    steps = "NUM_STEPS" if is_from_outside else _source(says.steps)
    guidance = "" if of.cfg > 1 else ", no guidance"
    yield ok(
        "model",
        f"where instruction, presets and LoRA say nothing: steps {of.steps} ({steps}),"
        f" cfg {of.cfg:g}{guidance} ({_source(says.cfg)})",
    )


def _source(said: float | None) -> str:
    return "the usual" if said is None else "the model's hotfolder.json"


def _sum(verdicts: Counter[Verdict]) -> str:
    problems, warnings = verdicts[Verdict.PROBLEM], verdicts[Verdict.WARNING]
    if problems:
        return f"{_count(problems, 'problem')} to mend, {_count(warnings, 'warning')}."
    return f"Ready to run, {_count(warnings, 'warning')}."


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
