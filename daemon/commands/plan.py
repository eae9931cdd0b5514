"""`hotfolder plan`: what would happen to every file of the inboxes."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator

from config.values import Off
from daemon.commands import ExitCode
from daemon.commands.output import JSON_SCHEMA, Output, write_json
from daemon.commands.preview import FilePreview, InboxPreview, JobPreview, preview_inboxes
from daemon.commands.select import default_steps, select
from daemon.fs.local_dirs import locate_local_dirs
from daemon.fs.names import Kind, kind_of, printable
from daemon.job import State
from pipeline.recipe import Recipe

_PROMPT_COLUMNS = 60
_LIMITS = ("min_keep_psnr", "max_shift_px", "max_changed", "min_confidence")


def plan(arguments: argparse.Namespace) -> ExitCode:
    """Say what would happen to every file of the inboxes; problems among them are no failure."""
    selection, steps = select(arguments), default_steps(os.environ)
    seen = preview_inboxes(selection, steps, locate_local_dirs(os.environ))
    if arguments.json:
        running = any(it.running for it in seen)
        folders = [it.as_json() for it in seen]
        write_json({"schema": JSON_SCHEMA, "running": running, "folders": folders})
        return ExitCode.FINE
    output = Output(sys.stdout, os.environ)
    for it in seen:
        write_previews(output, it)
    return ExitCode.FINE


def write_previews(output: Output, seen: InboxPreview) -> None:
    """Write what would happen in one inbox, with a count at the end."""
    if seen.away:
        output.line(f"{seen.root}: offline ({seen.away})")
        return
    output.line(f"{seen.root}: {seen.note or 'a daemon serves it'}")
    shown = [file for file in seen.files if file.news.is_worth_a_line]
    ignored = [(printable(it.path), "ignored", it.reason) for it in seen.ignored]
    output.table([*(row for file in shown for row in _rows(file)), *ignored])
    output.line(_count(seen))


def job_words(job: JobPreview) -> str:
    """A job that has not begun, in one phrase."""
    results = " and ".join(map(printable, job.results))
    return f"{_quoted(job.recipe.prompt)} to {results} ({', '.join(_choices(job))})"


def _quoted(prompt: str) -> str:
    words = " ".join(prompt.split())
    is_long = len(words) > _PROMPT_COLUMNS
    return f'"{words[: _PROMPT_COLUMNS - 1]}…"' if is_long else f'"{words}"'


def _choices(job: JobPreview) -> Iterator[str]:
    recipe = job.recipe
    yield "1 step" if recipe.steps == 1 else f"{recipe.steps} steps"
    yield "seed drawn" if job.seed is None else f"seed {job.seed}"
    if recipe.megapixels is not None:
        yield f"megapixels {recipe.megapixels:g}"
    yield f"size {recipe.size}"
    if recipe.preset is not None:
        yield f"preset {recipe.preset}"
    if recipe.lora is not None:
        yield f"LoRA {recipe.lora}"
    yield from _pictures_and_part(recipe)
    for key in _LIMITS:
        limit = getattr(recipe, key)
        if limit != Off.OFF:
            yield f"{key} {limit:g}" if isinstance(limit, float) else f"{key} {limit}"


def _pictures_and_part(recipe: Recipe) -> Iterator[str]:
    if recipe.images:
        yield f"with {', '.join(map(printable, recipe.images))}"
    if recipe.mask is not None:
        yield f"mask {printable(recipe.mask)}"
    if recipe.region is not None:
        region = recipe.region
        yield f"region {region.width}x{region.height} at {region.x}, {region.y}"


def _rows(file: FilePreview) -> Iterator[tuple[str, str, str]]:
    news, job = file.news, file.job_preview
    lines = [] if job is not None and news.state == State.READY else [news.reason]
    if job is not None:
        lines += [job_words(job), *job.notes]
    lines += news.problems
    first, *others = lines
    yield news.file, news.state, first
    for line in others:
        yield "", "", line


def _count(seen: InboxPreview) -> str:
    pictures = [it.news for it in seen.files if kind_of(it.news.file) is Kind.IMAGE]
    states = Counter(news.state for news in pictures)
    by_state = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    failing = sum(bool(news.problems) for news in pictures)
    parts = [
        f"{len(pictures)} picture{'' if len(pictures) == 1 else 's'}",
        *([by_state] if by_state else []),
        f"{failing or 'none'} will fail",
        f"{len(seen.ignored) or 'nothing'} ignored",
    ]
    return f"{parts[0]}: {'; '.join(parts[1:])}." if pictures else f"No pictures; {parts[-1]}."
