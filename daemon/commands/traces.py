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
from daemon.control.documents import Review
from daemon.events.text import duration
from daemon.fs.names import printable
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job, State
from daemon.spool.records import JOB_RECORD, job_of_record

WHAT_THEY_WAIT_FOR = "taken from the inbox; a daemon that starts takes it up again"


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

    ended_at: float  # Unix time
    lines: tuple[str, ...]  # one sentence each


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receipt:
    """What a receipt says, and since when."""

    job_id: str
    name: str  # of the picture
    prompt: str
    seed: int
    steps: int
    total_seconds: float | None
    weights: str | None
    missed: str  # what the result falls short in; "" where it passed
    written_at: float  # Unix time


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What the report of a failure says, and since when."""

    job_id: str
    folder: str  # of the inbox
    files: tuple[str, ...]
    written_at: float  # Unix time


def find_traces(root: Path, name: str) -> tuple[JobTrace, ...]:
    """The ended jobs that had a file of this name in the inbox, the newest first."""
    folder, _, base = name.rpartition("/")
    found = [*_results(root, folder, base), *_failures(root, folder, base)]
    found = found or [*_originals(root, name)]
    return tuple(sorted(found, key=lambda trace: -trace.ended_at))


def of_result(root: Path, result: str) -> JobTrace | None:
    """The trace of a result by its path relative to the root; None where it has no receipt."""
    return _trace_of(root, root / f"{result}.json")


def reviews_since(root: Path, unix_time: float) -> Iterator[Review]:
    """The results in review/ whose receipts were written at this time or later."""
    review = root / "review"
    paths = (Path(folder, name) for folder, _, names in os.walk(review) for name in names)
    for path in sorted(it for it in paths if it.suffix == ".json"):
        receipt = _receipt(root, path)
        if receipt is not None and receipt.missed and receipt.written_at >= unix_time:
            yield Review(
                file=str(path.parent.relative_to(review) / receipt.name),
                result=str(path.with_suffix("").relative_to(root)),
                reason=receipt.missed,
                ended_at=receipt.written_at,
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
        if (report := _report(root, path)) is not None and report.job_id.startswith(word)
    )


def _results(root: Path, folder: str, base: str) -> Iterator[JobTrace]:
    for area in ("outbox", "review"):
        for path in _listed(root / area / folder):
            receipt = _receipt(root, path) if path.suffix == ".json" else None
            if receipt is not None and receipt.name == printable(base):
                yield _trace(receipt, root, path)


def _trace_of(root: Path, path: Path) -> JobTrace | None:
    receipt = _receipt(root, path)
    return None if receipt is None else _trace(receipt, root, path)


def _trace(receipt: _Receipt, root: Path, path: Path) -> JobTrace:
    result = printable(str(path.with_suffix("").relative_to(root)))
    lines = [
        f"{receipt.name} was edited: {result}.",
        f"Prompt: {receipt.prompt}",
        f"Seed {receipt.seed}, {receipt.steps} steps, job {receipt.job_id}.",
    ]
    if receipt.missed:
        lines.append(f"It did not pass, and needs a look: {receipt.missed}.")
    if receipt.total_seconds is not None:
        lines.append(f"It took {duration(receipt.total_seconds)} from its arrival.")
    if receipt.weights == "random":
        lines.append("The model has random weights: the result is a test pattern.")
    return JobTrace(ended_at=receipt.written_at, lines=tuple(lines))


def _failures(root: Path, folder: str, base: str) -> Iterator[JobTrace]:
    for path in _reports_in(root):
        report = _report(root, path)
        if report is None or report.folder != printable(folder):
            continue
        if printable(base) in report.files:
            yield JobTrace(ended_at=report.written_at, lines=of_failure(path.parent, root))


def _originals(root: Path, name: str) -> Iterator[JobTrace]:
    for day in _listed(root / "done"):
        original = day / name
        with contextlib.suppress(OSError):  # not of that day, or taken away meanwhile
            status = original.stat()
            if stat.S_ISREG(status.st_mode):
                where = printable(str(original.relative_to(root)))
                line = f"{printable(name)} was used by a job that has ended; it is {where} now."
                yield JobTrace(ended_at=status.st_ctime, lines=(line,))


def _reports_in(root: Path) -> Iterator[Path]:
    for day in _listed(root / "failed"):
        yield from (folder / "report.json" for folder in _listed(day))


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it is none, or was taken away meanwhile."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _receipt(root: Path, path: Path) -> _Receipt | None:
    """The receipt there; None where it is none of ours, or was taken away meanwhile."""
    at = codec.at
    try:
        said, written_at = _read(root, path)
        missed = at(tuple[str, ...] | None, said, "fidelity", "missed") or ()
        return _Receipt(
            job_id=at(str, said, "job_id"),
            name=at(str, said, "input", "name"),
            prompt=at(str, said, "recipe", "prompt"),
            seed=at(int, said, "recipe", "seed"),
            steps=at(int, said, "recipe", "steps"),
            total_seconds=at(float | None, said, "seconds", "total"),
            weights=at(str | None, said, "model", "weights"),
            missed="; ".join(missed) if at(str, said, "status") == State.REVIEW else "",
            written_at=written_at,
        )
    except (OSError, ValueError):
        return None


def _report(root: Path, path: Path) -> _Report | None:
    """The report there; None where it is none of ours, or was taken away meanwhile."""
    try:
        said, written_at = _read(root, path)
        return _Report(
            job_id=codec.at(str, said, "job_id"),
            folder=codec.at(str, said, "folder"),
            files=codec.at(tuple[str, ...], said, "files"),
            written_at=written_at,
        )
    except (OSError, ValueError):
        return None


def _read(root: Path, path: Path) -> tuple[object, float]:
    tree = SafeTree(root)
    return codec.parse(tree.read(path)), tree.status(path).st_mtime
