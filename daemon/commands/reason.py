"""Why a file is where it is: the one answer of `hotfolder why`, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from config.settings import Settings
from daemon.commands import bulletin, papers
from daemon.commands.asking import ask, folders_in
from daemon.commands.left import WHAT_THEY_WAIT_FOR, left_jobs
from daemon.commands.outlook import FileOutlook, Outlook, outlook
from daemon.commands.papers import Trace
from daemon.commands.plan_page import job_words
from daemon.commands.selection import entry_of
from daemon.commands.whereabouts import Missing, There
from daemon.history import History
from daemon.inbox.names import is_hidden, printable
from daemon.job import State
from daemon.places import Places
from daemon.receipt import PREVIEW_SUFFIX
from daemon.spool import folder_id

_NEAREST_SHOWN = 3
_ALIKE = 0.75  # lampe.jpg and lamp.jpg, but not alone.jpg


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """Answers by the settings in force."""

    settings: Settings
    default_steps: int
    places: Places

    def of_file(self, there: There) -> Iterator[str]:
        """Why a file is where it is."""
        match there.corner:
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

    def of_name(self, missing: Missing, root: Path) -> Iterator[str]:
        """What became of a file that was in the inbox once; nothing where nobody knows it."""
        lines = [*self._under_way(missing.name, root)]
        traces = papers.traces(root, missing.name)
        if not lines and traces:
            newest, *older = traces
            lines += self._without_result(missing.name, root, newest)
            lines += [*newest.lines, f"That was at {_moment(newest.ended_at)}."]
            lines += [f"Before that there were {len(older)} more."] if older else []
        yield from lines or self._remembered(missing.name, root)

    def nearest(self, missing: Missing, root: Path) -> tuple[str, ...]:
        """The files of the inbox that may be meant."""
        seen = self._look(root)
        names = [
            *(it.news.file for it in seen.files),
            *(printable(it.path) for it in seen.ignored),
        ]
        by_lower_case = {name.lower(): name for name in names}
        wanted = printable(missing.name).lower()
        close = get_close_matches(wanted, by_lower_case, _NEAREST_SHOWN, _ALIKE)
        return tuple(by_lower_case[name] for name in close)

    def _in_inbox(self, there: There) -> Iterator[str]:
        name = printable(there.below or there.path)
        if any(map(is_hidden, there.below.split("/"))):
            yield f"{name} is never looked at: programs and systems give such names to files of"
            yield "their own, or to files that are still being copied. What to do: rename it."
            return
        seen = self._look(there.root)
        for file in seen.files:
            if file.news.file == name:
                yield from _waiting(file, seen)
                return
        for ignored in seen.ignored:
            if printable(ignored.path) == name:
                yield f"{name} is left alone: {ignored.reason}."
                return
        yield f"{name} is a folder of the inbox; ask about a file in it."

    def _in_work(self, there: There) -> Iterator[str]:
        yield f"{_shown(there)} belongs to Hotfolder itself: leave it alone."
        for left in left_jobs(there.root):
            if left.job_id in there.path.split("/"):
                yield from self._under_way(left.path, there.root)

    def _look(self, root: Path) -> Outlook:
        return outlook(
            entry_of(self.settings, root), self.settings, self.default_steps, self.places
        )

    def _under_way(self, name: str, root: Path) -> Iterator[str]:
        said, _ = ask(self.places, root)
        for document in folders_in(said):
            news = bulletin.read(document)
            for file in news.files:
                if (file.file, file.state) == (printable(name), State.HELD):
                    yield f"{file.file} is held: {file.reason}."
                    return
            for job in news.jobs:
                if job.file == printable(name):
                    yield f"{job.file} is {job.state}{f': {job.text}' if job.text else ''}."
                    yield f"Its story so far is logs/{job.job_id}.log."
                    return
        for left in () if said else left_jobs(root):
            if left.path == name:
                yield f"{printable(name)} is claimed: {WHAT_THEY_WAIT_FOR}."

    def _in_done(self, there: There) -> Iterator[str]:
        day, _, name = there.below.partition("/")
        yield f"{_shown(there)} is an original; its job ended on {day}."
        for trace in papers.traces(there.root, name)[:1]:
            yield from self._without_result(name, there.root, trace)
            yield from trace.lines

    def _without_result(self, name: str, root: Path, newest: Trace) -> Iterator[str]:
        """What the last job of this name ended as, where that has left no paper of its own."""
        history = History(self.places.state, lambda _: None, look=True)
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
        history = History(self.places.state, troubles.append, look=True)
        entry = history.last(folder_id(root), name)
        history.close()
        if entry is not None:
            when, results = _moment(entry.finished_at), ", ".join(map(printable, entry.results))
            yield f"{printable(name)} ended as {entry.state} at {when} (job {entry.job_id})."
            yield f"Its results were {results}." if results else "It has no result."
            yield f"Its story is logs/{entry.job_id}.log; its other papers were taken away."
        yield from troubles


def _waiting(file: FileOutlook, seen: Outlook) -> Iterator[str]:
    news = file.news
    says_its_state = news.reason.startswith(news.state)
    yield f"{news.file} is {news.reason if says_its_state else f'{news.state}: {news.reason}'}."
    if news.problems:
        yield "What to do:"
        yield from (f"  - {problem}" for problem in news.problems)
    if file.forecast is not None:
        yield f"Its job would be {job_words(file.forecast)}."
        yield from file.forecast.notes
    if not seen.running:
        yield f"No daemon is running; hotfolder run --root {seen.root} starts one."


def _in_outbox(there: There) -> Iterator[str]:
    result = there.path.removesuffix(".json").removesuffix(PREVIEW_SUFFIX)
    trace = papers.of_result(there.root, result)
    if trace is None:
        yield f"{_shown(there)} has no receipt: it is not complete yet, or is not a result."
        return
    yield from trace.lines
    yield f"It has been complete since {_moment(trace.ended_at)}."


def _in_failed(there: There) -> Iterator[str]:
    parts = there.path.split("/")
    folder = there.root.joinpath(*parts[:3])
    lines = papers.of_failure(folder, there.root) if len(parts) >= 3 else ()
    yield from lines or (f"{_shown(there)} lies among the failed jobs, without a WHY.txt.",)


def _shown(there: There) -> str:
    return printable(there.path)


def _moment(unix_time: float) -> str:
    return f"{datetime.fromtimestamp(unix_time, UTC).astimezone():%Y-%m-%d %H:%M}"
