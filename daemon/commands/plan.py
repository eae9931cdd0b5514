"""`hotfolder plan`: what would happen to every file of the inboxes."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial

from daemon.commands import ExitCode
from daemon.commands.inquiry import Inquiry, Reply, ask_all
from daemon.commands.output import Output, as_json, write_json
from daemon.commands.select import select
from daemon.control.documents import SCHEMA, FileStatus, JobPreview
from daemon.fs.names import Kind, printable
from daemon.job import FolderState, State


def plan(arguments: argparse.Namespace) -> ExitCode:
    """Say what would happen to every file of the inboxes; problems among them are no failure."""
    selection = select(arguments)
    inquire = partial(Inquiry.by(selection.settings).plan, is_whole=arguments.json)
    replies = ask_all(selection.folders, inquire)
    if arguments.json:
        running = any(it.daemon for it in replies)
        planned = [_json(it) for it in replies]
        write_json({"schema": SCHEMA, "running": running, "folders": planned})
        return ExitCode.FINE
    output = Output(sys.stdout, os.environ)
    for it in replies:
        _write(output, it)
    return ExitCode.FINE


def job_words(job: JobPreview) -> str:
    """A job that has not begun, in one phrase."""
    return f"{job.prompt} to {' and '.join(map(printable, job.results))} ({job.choices})"


def _json(reply: Reply) -> dict[str, object]:
    return {
        "root": reply.folder.root,
        "state": FolderState.OFFLINE if reply.is_away else FolderState.ONLINE,
        "reason": reply.folder.reason if reply.is_away else "",
        "files": [] if reply.is_away else list(map(_file_json, reply.folder.files)),
        "ignored": [] if reply.is_away else list(map(as_json, reply.folder.ignored)),
    }


def _file_json(file: FileStatus) -> dict[str, object]:
    document = as_json(file)
    if file.job is not None and file.job.recipe is not None:
        job = {**file.job.recipe, "results": file.job.results, "notes": file.job.notes}
        document["job"] = job
    return document


def _write(output: Output, reply: Reply) -> None:
    """Write what would happen in one inbox, with a count at the end."""
    folder = reply.folder
    if reply.is_away:
        output.line(f"{reply.root}: offline ({folder.reason})")
        return
    output.line(f"{reply.root}: {'a daemon serves it' if reply.daemon else reply.note}")
    rows = (row for file in folder.files if file.is_worth_a_line for row in _rows(file))
    output.table([*rows, *((it.file, "ignored", it.reason) for it in folder.ignored)])
    output.line(_count(reply))


def _rows(file: FileStatus) -> Iterator[tuple[str, str, str]]:
    job = file.job
    lines = [] if job is not None and file.state is State.READY else [file.reason]
    if job is not None:
        lines += [job_words(job), *job.notes]
    lines += file.problems
    first, *others = lines
    yield file.file, file.state, first
    for line in others:
        yield "", "", line


def _count(reply: Reply) -> str:
    pictures = [file for file in reply.folder.files if file.kind is Kind.IMAGE]
    states = Counter(file.state for file in pictures)
    by_state = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    failing = sum(bool(file.problems) for file in pictures)
    parts = [
        f"{len(pictures)} picture{'' if len(pictures) == 1 else 's'}",
        *([by_state] if by_state else []),
        f"{failing or 'none'} will fail",
        f"{len(reply.folder.ignored) or 'nothing'} ignored",
    ]
    return f"{parts[0]}: {'; '.join(parts[1:])}." if pictures else f"No pictures; {parts[-1]}."
