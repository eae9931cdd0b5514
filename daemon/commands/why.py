"""`hotfolder why`: why a file is where it is, in plain sentences."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from config.settings import Settings
from daemon.clock import local_time
from daemon.commands import ExitCode, select, traces
from daemon.commands.inquiry import OF_A_DAEMON_ELSEWHERE, Inquiry, Reply
from daemon.commands.output import Output
from daemon.commands.select import Located, NotFound
from daemon.commands.status import job_words
from daemon.commands.traces import JobTrace
from daemon.control.client import NO_DAEMON, ask_status
from daemon.control.documents import FileStatus
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_with_deadline
from daemon.fs.hot_folder import folder_id
from daemon.fs.names import is_hidden, printable
from daemon.history import History
from daemon.job import State
from daemon.spool.receipts import PREVIEW_SUFFIX


def why(arguments: argparse.Namespace) -> ExitCode:
    """Say where a file stands, and why; USAGE where no such file is or was here."""
    output = Output(sys.stdout, os.environ)
    try:
        around = partial(select.folders_around, arguments, arguments.file, select.usable)
        settings, roots = call_with_deadline(around, ANSWER_SECONDS * 2)
    except Stalled:
        output.line(f"{arguments.file}: {select.NO_ANSWER}; nobody knows now what lies there.")
        return ExitCode.FINE
    here = select.answering(roots)
    code = _why(arguments.file, settings, here, output) if here else ExitCode.FINE
    for root in roots:
        if root not in here:
            output.line(f"{root}: {select.NO_ANSWER}; nobody knows now what lies there.")
    return code if here == roots else ExitCode.FINE


def _why(file: Path, settings: Settings, roots: tuple[Path, ...], output: Output) -> ExitCode:
    reasons = Explainer(Inquiry.by(settings))
    found = select.locate_file(file, Path.cwd(), roots)
    lines = [*reasons.explain_all(file, found, roots)]
    for line in lines:
        output.line(line)
    if lines or isinstance(found, Located):
        return ExitCode.FINE
    output.line(f"{printable(found.name)} is not here, and no record of it is.")
    near = [name for root in roots for name in reasons.nearest(found, root)]
    if near:
        output.line(f"Did you mean {' or '.join(near)}?")
    return ExitCode.USAGE


_NEAREST_SHOWN = 3
_ALIKE = 0.75  # lampe.jpg and lamp.jpg, but not alone.jpg


@dataclass(frozen=True, slots=True)
class Explainer:
    """Answers by the settings in force."""

    inquiry: Inquiry

    def explain_all(
        self, file: Path, found: Located | NotFound, roots: tuple[Path, ...]
    ) -> Iterator[str]:
        """Why all that a command line means is where it is: a name alone may mean several."""
        is_asked = isinstance(found, Located) and found.path != f"inbox/{file}"
        places = [] if is_asked or len(file.parts) != 1 else _places(file.name, roots)
        several = [text for root, place in places if (text := [*self.explain(place, [root])])]
        for number, text in enumerate(several or [[*self.explain(found, roots)]]):
            yield from ("", *text) if number else text

    def explain(self, found: Located | NotFound, roots: Iterable[Path]) -> Iterator[str]:
        """Why a file is where it is, or what became of it; nothing where nobody knows it."""
        if isinstance(found, Located):
            yield from self._of_file(found)
            return
        for root in roots:
            yield from self._of_name(found, root)

    def _of_file(self, there: Located) -> Iterator[str]:
        match there.area:
            case "inbox":
                yield from self._in_inbox(there)
            case "outbox" | "review":
                yield from _in_outbox(there)
            case "failed":
                yield from _in_failed(there)
            case "done":
                yield from self._in_done(there)
            case ".hotfolder":
                yield from self._in_work(there)
            case _:
                yield f"{_shown(there)} is nothing that Hotfolder edits: pictures go into inbox/."

    def _of_name(self, missing: NotFound, root: Path) -> Iterator[str]:
        lines = [*self._under_way(missing.name, root)]
        ended = traces.find_traces(root, missing.name)
        if not lines and ended:
            newest, *older = ended
            lines += self._without_result(missing.name, root, newest)
            lines += [*newest.lines, f"That was at {_moment(newest.ended_at)}."]
            lines += [f"Before that, at {_moment(it.ended_at)}: {it.short}." for it in older]
        yield from lines or self._remembered(missing.name, root)

    def nearest(self, missing: NotFound, root: Path) -> tuple[str, ...]:
        """The files of the inbox that may be meant."""
        folder = self.inquiry.status(select.entry_of(self.inquiry.settings, root)).folder
        names = [*(it.file for it in folder.files), *(it.file for it in folder.ignored)]
        by_lower_case = {name.lower(): name for name in names}
        wanted = printable(missing.name).lower()
        close = get_close_matches(wanted, by_lower_case, _NEAREST_SHOWN, _ALIKE)
        return tuple(by_lower_case[name] for name in close)

    def _in_inbox(self, there: Located) -> Iterator[str]:
        name = printable(there.below or there.path)
        if any(map(is_hidden, there.below.split("/"))):
            yield f"{name} is never looked at: programs and systems give such names to files of"
            yield "their own, or to files that are still being copied. What to do: rename it."
            return
        reply = self.inquiry.explain(
            select.entry_of(self.inquiry.settings, there.root), there.below
        )
        for file in reply.folder.files:
            yield from _waiting(file, reply)
            return
        for ignored in reply.folder.ignored:
            yield f"{name} is ignored: {ignored.reason}."
            return
        yield f"{name} is a folder of the inbox; ask about a file in it."

    def _in_work(self, there: Located) -> Iterator[str]:
        yield f"{_shown(there)} belongs to Hotfolder itself: do not change it."
        for left in traces.claimed_jobs(there.root):
            if left.job_id in there.path.split("/"):
                yield from self._under_way(left.path, there.root)

    def _under_way(self, name: str, root: Path) -> Iterator[str]:
        question = {"verb": "explain", "path": name}
        daemon, note = ask_status(self.inquiry.local_dirs, root, question)
        for folder in () if daemon is None else daemon.folders:
            for file in folder.files:
                if file.state is State.HELD:
                    yield f"{file.file} is held: {file.reason}."
                    return
            for job in folder.jobs:
                yield f"{job.file} is {job.state}{f': {job.text}' if job.text else ''}."
                yield f"Its story so far is {traces.story(root, job.job_id)}."
                return
        for left in () if daemon else traces.claimed_jobs(root):
            if left.path == name:
                is_led = note != NO_DAEMON
                reason = OF_A_DAEMON_ELSEWHERE if is_led else traces.WHAT_THEY_WAIT_FOR
                yield f"{printable(name)} is claimed: {reason}."

    def _in_done(self, there: Located) -> Iterator[str]:
        day, _, name = there.below.partition("/")
        yield f"{_shown(there)} is an original; its job ended on {day.partition('_')[0]}."
        for trace in traces.find_traces(there.root, name)[:1]:
            yield from self._without_result(name, there.root, trace)
            yield from (line for line in trace.lines if _shown(there) not in line)  # said above

    def _without_result(self, name: str, root: Path, newest: JobTrace) -> Iterator[str]:
        """What the last job of this name ended as, where that has left no record of its own."""
        history = History(self.inquiry.local_dirs.state, lambda _: None, look=True)
        entry = history.last(folder_id(root), name)
        history.close()
        if entry is None or entry.finished_at < newest.ended_at:
            return
        when, job = _moment(entry.finished_at), f"job {entry.job_id}"
        match entry.state:
            case State.CANCELLED:
                yield f"{printable(name)} was cancelled at {when} ({job})."
            case State.DUPLICATE:
                yield f"{printable(name)} came again and was not edited a second time ({job}):"
                yield f"at {when} its name and content were those of before."
            case _:
                pass

    def _remembered(self, name: str, root: Path) -> Iterator[str]:
        troubles: list[str] = []
        history = History(self.inquiry.local_dirs.state, troubles.append, look=True)
        entry = history.last(folder_id(root), name)
        history.close()
        if entry is not None:
            when, results = _moment(entry.finished_at), ", ".join(map(printable, entry.results))
            yield f"{printable(name)} ended as {entry.state} at {when} (job {entry.job_id})."
            yield f"Its results were {results}." if results else "It has no result."
            story = traces.story(root, entry.job_id)
            yield f"Its story is {story}; its other records were removed."
        yield from troubles


def _waiting(file: FileStatus, reply: Reply) -> Iterator[str]:
    says_its_state = file.reason.startswith(file.state)
    yield f"{file.file} is {file.text if says_its_state else f'{file.state}: {file.text}'}."
    if file.problems:
        yield "What to do:"
        yield from (f"  - {problem}" for problem in file.problems)
    if file.job is not None:
        yield f"Its job would be {job_words(file.job)}."
        yield from file.job.notes
    if reply.hindrance:
        yield reply.hindrance
    if reply.is_without_daemon:
        yield f"No daemon is running; hotfolder run --root {reply.root} starts one."
    elif reply.note:
        yield f"{reply.note[0].upper()}{reply.note[1:]}."


def _places(base: str, roots: tuple[Path, ...]) -> list[tuple[Path, Located | NotFound]]:
    """All that has this base name, else all that has it before an ending."""
    places = [(root, place) for root in roots for place in traces.places_of(root, base)]
    return places or [
        (root, place)
        for root in roots
        for name in traces.names_without_ending(root, base)
        for place in traces.places_of(root, name)
    ]


def _in_outbox(there: Located) -> Iterator[str]:
    result = there.path.removesuffix(".json").removesuffix(PREVIEW_SUFFIX)
    trace = traces.of_result(there.root, result)
    if trace is None:
        yield f"{_shown(there)} has no receipt: it is not complete yet, or is not a result."
        return
    yield from trace.lines
    yield f"It has been complete since {_moment(trace.ended_at)}."


def _in_failed(there: Located) -> Iterator[str]:
    parts = there.path.split("/")
    folder = there.root.joinpath(*parts[:3])
    lines = traces.of_failure(folder, there.root) if len(parts) >= 3 else ()
    yield from lines or (f"{_shown(there)} lies among the failed jobs, without a WHY.txt.",)


def _shown(there: Located) -> str:
    return printable(there.path)


def _moment(unix_time: float) -> str:
    return f"{local_time(unix_time):%Y-%m-%d %H:%M}"
