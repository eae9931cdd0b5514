"""`hotfolder status`: how hot folders stand; without a daemon, what lies in them."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from daemon.commands import ExitCode
from daemon.commands.inquiry import Inquiry, Reply, ask_all
from daemon.commands.output import Output, as_json, write_json
from daemon.commands.select import select
from daemon.control.documents import SCHEMA, FolderStatus
from daemon.fs.names import Kind
from daemon.job import FolderState, State

_FILES_SHOWN = 20
_OTHER_ENDS = (State.REVIEW, State.QUARANTINED, State.DUPLICATE, State.CANCELLED)


def status(arguments: argparse.Namespace) -> ExitCode:
    """Say how every hot folder and its daemon stand."""
    selection = select(arguments)
    replies = ask_all(selection.folders, Inquiry.by(selection.settings).status)
    if arguments.json:
        about = next((as_json(it.daemon) for it in replies if it.daemon), {})
        standing = [{**as_json(it.folder), "running": it.daemon is not None} for it in replies]
        write_json({"schema": SCHEMA, "running": bool(about), **about, "folders": standing})
        return ExitCode.FINE
    output = Output(sys.stdout, os.environ)
    for it in replies:
        _write(output, it)
    return ExitCode.FINE


def _write(output: Output, reply: Reply) -> None:
    folder = reply.folder
    for line in _head(folder, reply):
        output.line(line)
    output.table([(job.file, job.state, job.text) for job in folder.jobs])
    output.table(list(_files(folder)))
    reviews = folder.reviews[-_FILES_SHOWN:]
    output.table([(it.file, State.REVIEW, f"{it.result}: {it.reason}") for it in reviews])
    if folder.ignored:
        number = len(folder.ignored)
        files = "1 file is" if number == 1 else f"{number} files are"
        output.line(f"{files} ignored: hotfolder plan says why.")


def _head(folder: FolderStatus, reply: Reply) -> Iterator[str]:
    reason = f" ({folder.reason})" if folder.reason else ""
    served = f"served by process {reply.daemon.pid}" if reply.daemon else reply.note
    yield f"{folder.root}: {folder.state}{reason}; {served}"
    if reply.daemon and folder.state is not FolderState.STANDBY:  # no editor is needed there
        yield _editor(reply.daemon.editor)
    counts = ", ".join(f"{number} {state}" for state, number in sorted(_counted(folder).items()))
    yield f"now: {counts or 'nothing'}; today: {', '.join(_today(folder))}"


def _today(folder: FolderStatus) -> Iterator[str]:
    numbers = asdict(folder.today)
    yield f"{numbers['done']} done"
    yield f"{numbers['failed']} failed"
    yield from (f"{numbers[state]} {state}" for state in _OTHER_ENDS if numbers[state])


def _counted(folder: FolderStatus) -> Counter[str]:
    """Pictures alone: what stands beside a picture would count it twice."""
    pictures = [file for file in folder.files if file.kind is Kind.IMAGE]
    return Counter(it.state for it in pictures) + Counter(job.state for job in folder.jobs)


def _editor(editor: Mapping[str, str]) -> str:
    facts = (editor.get(key) for key in ("model", "class", "dtype", "weights"))
    described = ", ".join(filter(None, facts))
    return f"editor {editor.get('state', 'unknown')}{f': {described}' if described else ''}"


def _files(folder: FolderStatus) -> Iterator[tuple[str, str, str]]:
    files = [file for file in folder.files if file.is_worth_a_line]
    for file in files[:_FILES_SHOWN]:
        yield file.file, file.state, "; ".join((file.reason, *file.problems))
    if len(files) > _FILES_SHOWN:
        yield f"and {len(files) - _FILES_SHOWN} more", "", ""
