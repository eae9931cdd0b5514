"""`hotfolder status` and `plan`: how hot folders stand, and what would happen to their files.

Without a daemon they tell what lies there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial

from config.problems import Problem, UserError
from config.settings import FolderSettings
from daemon.commands import ExitCode, select
from daemon.commands.inquiry import Inquiry, Reply, ask_all
from daemon.commands.output import Output, as_json, watch, write_json
from daemon.control.documents import SCHEMA, FileStatus, FolderStatus, JobPreview
from daemon.fs.names import Kind, printable
from daemon.job import FolderState, State

_FILES_SHOWN = 20
_OTHER_ENDS = (State.REVIEW, State.QUARANTINED, State.DUPLICATE, State.CANCELLED)


def status(arguments: argparse.Namespace) -> ExitCode:
    """Say how every hot folder and its daemon stand."""
    selection = select.named(arguments)
    inquire = Inquiry.by(selection.settings).status
    if arguments.watch:
        watch(lambda output: _write_each(selection.folders, inquire, _write_status, output))
        return ExitCode.FINE
    if arguments.json:
        replies, problems = ask_all(selection.folders, inquire)
        about = next((as_json(it.daemon) for it in replies if it.daemon), {})
        standing = [{**as_json(it.folder), "running": it.daemon is not None} for it in replies]
        write_json({"schema": SCHEMA, "running": bool(about), **about, "folders": standing})
        _raise_any(problems)
    else:
        output = Output(sys.stdout, os.environ)
        _write_each(selection.folders, inquire, _write_status, output)
    return ExitCode.FINE


def plan(arguments: argparse.Namespace) -> ExitCode:
    """Say what would happen to every file of the inboxes; problems among them are no failure."""
    selection = select.named(arguments)
    inquire = partial(Inquiry.by(selection.settings).plan, is_whole=arguments.json)
    if arguments.json:
        replies, problems = ask_all(selection.folders, inquire)
        running = any(it.daemon for it in replies)
        planned = [_plan_json(it) for it in replies]
        write_json({"schema": SCHEMA, "running": running, "folders": planned})
        _raise_any(problems)
    else:
        output = Output(sys.stdout, os.environ)
        _write_each(selection.folders, inquire, _write_plan, output)
    return ExitCode.FINE


def _write_each(
    folders: Iterable[FolderSettings],
    ask: Callable[[FolderSettings], Reply],
    write: Callable[[Output, Reply], None],
    output: Output,
) -> None:
    """Write how each stands, then raise UserError where some of them cannot be used."""
    replies, problems = ask_all(folders, ask)
    for reply in replies:
        write(output, reply)
    _raise_any(problems)


def _raise_any(problems: tuple[Problem, ...]) -> None:
    if problems:
        raise UserError(problems)


def _write_status(output: Output, reply: Reply) -> None:
    folder = reply.folder
    for line in _head(folder, reply):
        output.line(line)
    jobs = [(job.file, job.state, job.text) for job in folder.jobs]
    latest = folder.reviews[-_FILES_SHOWN:]
    reviews = [(it.file, State.REVIEW, f"{it.result}: {it.reason}") for it in latest]
    output.table([*jobs, *_files(folder), *reviews])
    if folder.ignored:
        number = len(folder.ignored)
        files = "1 file is" if number == 1 else f"{number} files are"
        output.line(f"{files} ignored: hotfolder plan says why.")


def _head(folder: FolderStatus, reply: Reply) -> Iterator[str]:
    reason = f" ({folder.reason})" if folder.reason else ""
    yield f"{folder.root}: {folder.state}{reason}; {reply.worker}"
    if reply.daemon and folder.state is not FolderState.STANDBY:  # no editor is needed there
        yield _editor(reply.daemon.editor)
    if reply.is_away and reply.daemon is None:
        return  # nobody knows what lies there, or what was done today
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
    if editor.get("state") == "unloaded":
        return "editor not loaded while all hot folders are paused"
    facts = (editor.get(key) for key in ("model", "class", "dtype", "weights"))
    described = ", ".join(filter(None, facts))
    return f"editor {editor.get('state', 'unknown')}{f': {described}' if described else ''}"


def _files(folder: FolderStatus) -> Iterator[tuple[str, str, str]]:
    files = [file for file in folder.files if file.is_worth_a_line]
    for file in files[:_FILES_SHOWN]:
        words = filter(None, (_beside_state(file), *file.problems))
        yield file.file, file.state, "; ".join(words)
    if len(files) > _FILES_SHOWN:
        yield f"and {len(files) - _FILES_SHOWN} more", "", ""


def _beside_state(file: FileStatus) -> str:
    """Its words where its state stands before them: "ready, 3rd of 12" is "3rd of 12" there."""
    rest = file.text.removeprefix(file.state)
    return rest.lstrip(",: ") if not rest or rest[0] in ",:" else file.text


def job_words(job: JobPreview) -> str:
    """A job that has not begun, in one phrase."""
    return f"{job.prompt} to {' and '.join(map(printable, job.results))} ({job.choices})"


def _plan_json(reply: Reply) -> dict[str, object]:
    return {
        "root": reply.folder.root,
        "state": reply.folder.state,
        "reason": reply.folder.reason,
        "files": [] if reply.is_away else list(map(_file_json, reply.folder.files)),
        "ignored": [] if reply.is_away else list(map(as_json, reply.folder.ignored)),
    }


def _file_json(file: FileStatus) -> dict[str, object]:
    document = as_json(file)
    if file.job is not None and file.job.recipe is not None:
        job = {**file.job.recipe, "results": file.job.results, "notes": file.job.notes}
        document["job"] = job
    return document


def _write_plan(output: Output, reply: Reply) -> None:
    """Write what would happen in one inbox, with a count at the end."""
    folder = reply.folder
    if reply.is_away:
        output.line(f"{reply.root}: offline ({folder.reason})")
        return
    output.line(f"{reply.root}: {reply.worker}")
    rows = (row for file in folder.files if file.is_worth_a_line for row in _plan_rows(file))
    output.table([*rows, *((it.file, "ignored", it.reason) for it in folder.ignored)])
    output.line(_planned(reply))
    if reply.hindrance:
        output.line(reply.hindrance)


def _plan_rows(file: FileStatus) -> Iterator[tuple[str, str, str]]:
    job = file.job
    is_plain = job is not None and file.state is State.READY and file.read_as is None
    lines = (
        [str(file.turn)] if is_plain and file.turn else [] if is_plain else [_beside_state(file)]
    )
    if job is not None:
        lines += [job_words(job), *job.notes]
    lines += file.problems
    first, *others = lines
    yield file.file, file.state, first
    for line in others:
        yield "", "", line


def _planned(reply: Reply) -> str:
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
