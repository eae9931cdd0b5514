"""What lies on disk of jobs: receipts and reports of ended ones, records of claimed ones."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config import codec
from daemon.control.documents import ReviewStatus
from daemon.events.text import duration
from daemon.fs.names import printable
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job, State, story_of
from daemon.spool.records import JOB_RECORD, job_of_record

WHAT_THEY_WAIT_FOR = "its files have left the inbox; a daemon that starts goes on with it"


def claimed_jobs(root: Path) -> tuple[Job, ...]:
    """Read the records of the jobs in work/, oldest first; changes nothing."""
    tree, work = SafeTree(root), root / ".hotfolder" / "work"
    try:
        names = [name for name, _ in tree.entries(work)]
    except OSError:
        return ()
    records = (_left_record(tree, work / name / JOB_RECORD) for name in names)
    return tuple(job for job in records if job is not None)


def _left_record(tree: SafeTree, record: Path) -> Job | None:
    try:
        return job_of_record(tree, record)
    except OSError:
        return None  # filed meanwhile, or no record of ours: a daemon that starts sees to it


_BEGINNING_OF_ID = re.compile(r"[0-9]{8}-")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTrace:
    """What is left of one ended job, newest by `ended_at`."""

    name: str  # of a file that it had
    ended_at: float  # Unix time
    lines: tuple[str, ...]  # one sentence each
    missed: str = ""  # what its result falls short in; "" where it passed, or has none


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What the report of a failure says."""

    job_id: str
    folder: str  # of the inbox
    files: tuple[str, ...]


def find_traces(root: Path, name: str) -> tuple[JobTrace, ...]:
    """The ended jobs that had a file of this name in the inbox, the newest first."""
    folder, _, base = name.rpartition("/")
    found = [*_results(root, folder, base), *_failures(root, folder, base)]
    found = found or [*_originals(root, name)]
    return tuple(sorted(found, key=lambda trace: -trace.ended_at))


def of_result(root: Path, result: str) -> JobTrace | None:
    """The trace of a result by its path relative to the root; None where it has no receipt."""
    return _by_receipt(root, root / f"{result}.json")


def reviews_since(root: Path, unix_time: float) -> Iterator[ReviewStatus]:
    """The results in review/ whose receipts were written at this time or later."""
    review = root / "review"
    paths = (Path(folder, name) for folder, _, names in os.walk(review) for name in names)
    for path in sorted(it for it in paths if it.suffix == ".json"):
        trace = _by_receipt(root, path)
        if trace is not None and trace.missed and trace.ended_at >= unix_time:
            yield ReviewStatus(
                file=printable(str(path.parent.relative_to(review) / trace.name)),
                result=printable(str(path.with_suffix("").relative_to(root))),
                reason=trace.missed,
            )


def of_failure(folder: Path, root: Path) -> tuple[str, ...]:
    """The first lines of WHY.txt in a folder of failed/; empty where there is none."""
    try:
        text = SafeTree(root).read(folder / "WHY.txt").decode("utf-8", "replace")
    except OSError:
        return ()
    where = printable(str((folder / "WHY.txt").relative_to(root)))
    return (*text.partition("\n\n")[0].splitlines(), f"The whole report is {where}.")


def failed_job(root: Path, word: str) -> tuple[str, ...]:
    """The folders below failed/ of the jobs whose ids begin with `word`, relative to the root."""
    if not _BEGINNING_OF_ID.match(word):
        return ()
    return tuple(
        str(path.parent.relative_to(root))
        for path in _reports_in(root)
        if (found := _report(root, path)) is not None and found[0].job_id.startswith(word)
    )


def story(root: Path, job_id: str) -> str:
    """Where a job's story is, relative to the root; earlier versions kept all in one folder."""
    by_day, flat = story_of(job_id), f"logs/{job_id}.log"
    return by_day if (root / by_day).exists() or not (root / flat).exists() else flat


def _results(root: Path, folder: str, base: str) -> Iterator[JobTrace]:
    for area in ("outbox", "review"):
        for path in _listed(root / area / folder):
            trace = _by_receipt(root, path) if path.suffix == ".json" else None
            if trace is not None and trace.name == printable(base):
                yield trace


def _failures(root: Path, folder: str, base: str) -> Iterator[JobTrace]:
    name = printable(base)
    for path in _reports_in(root):
        if (found := _report(root, path)) is None:
            continue
        report, written_at = found
        if report.folder == printable(folder) and name in report.files:
            yield JobTrace(name=name, ended_at=written_at, lines=of_failure(path.parent, root))


def _originals(root: Path, name: str) -> Iterator[JobTrace]:
    for day in _listed(root / "done"):
        original = day / name
        with contextlib.suppress(OSError):  # not of that day, or taken away meanwhile
            status = original.stat()
            if stat.S_ISREG(status.st_mode):
                where = printable(str(original.relative_to(root)))
                line = f"{printable(name)} was used by a job that has ended; it is {where} now."
                yield JobTrace(name=printable(name), ended_at=status.st_ctime, lines=(line,))


def _reports_in(root: Path) -> Iterator[Path]:
    for day in _listed(root / "failed"):
        yield from (folder / "report.json" for folder in _listed(day))


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it is none, or was taken away meanwhile."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _by_receipt(root: Path, path: Path) -> JobTrace | None:
    """What a receipt tells; None where it is none of ours, or was taken away meanwhile."""
    try:
        said, written_at = _read(root, path)
        name = codec.at(str, said, "input", "name")
        missed = codec.at(tuple[str, ...] | None, said, "fidelity", "missed") or ()
        falls_short = "; ".join(missed) if codec.at(str, said, "status") == State.REVIEW else ""
        result = printable(str(path.with_suffix("").relative_to(root)))
        lines = tuple(_lines_of_receipt(said, name, result, falls_short))
        return JobTrace(name=name, ended_at=written_at, lines=lines, missed=falls_short)
    except (OSError, ValueError):
        return None


def _lines_of_receipt(said: object, name: str, result: str, missed: str) -> Iterator[str]:
    at = codec.at
    steps, seed = at(int, said, "recipe", "steps"), at(int, said, "recipe", "seed")
    yield f"{name} was edited: {result}."
    yield f"Prompt: {at(str, said, 'recipe', 'prompt')}"
    yield f"Seed {seed}, {steps} steps, job {at(str, said, 'job_id')}."
    if missed:
        yield f"It did not pass, and needs a look: {missed}."
    if (seconds := at(float | None, said, "seconds", "total")) is not None:
        yield f"It took {duration(seconds)} from its arrival."
    if at(str | None, said, "model", "weights") == "random":
        yield "The model has random weights: the result is a test pattern."


def _report(root: Path, path: Path) -> tuple[_Report, float] | None:
    """The report there, and since when; None where it is none of ours, or was taken away."""
    try:
        said, written_at = _read(root, path)
        return codec.part(_Report, said), written_at
    except (OSError, ValueError):
        return None


def _read(root: Path, path: Path) -> tuple[object, float]:
    tree = SafeTree(root)
    return codec.parse(tree.read(path)), tree.status(path).st_mtime
