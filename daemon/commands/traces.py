"""What lies on disk of jobs: receipts and reports of ended ones, records of claimed ones."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from config import codec
from daemon.commands.select import Located, NotFound
from daemon.control.documents import ReviewStatus
from daemon.events.text import duration
from daemon.fs.names import Kind, kind_of, pair_key, printable, result_names, stem_of
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job, State, below, story_of
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


_SURE_BEGINNING = 40  # characters of a name that no result has shortened
_BEGINNING_OF_ID = re.compile(r"[0-9]{8}-")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTrace:
    """What is left of one ended job, newest by `ended_at`."""

    ended_at: float  # Unix time
    lines: tuple[str, ...]  # one sentence each
    short: str  # all of it in a phrase


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What the receipt of one result tells."""

    job_id: str
    path: str  # of the original in the inbox
    result: str  # relative to the root
    prompt: str
    steps: int
    seed: int
    missed: str  # what it falls short in; "" where it passed
    seconds: float | None  # from the arrival of the original
    is_random: bool  # the model's weights are
    ended_at: float  # Unix time


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What the report of a failure says."""

    job_id: str
    folder: str  # of the inbox
    files: tuple[str, ...]


def find_traces(root: Path, name: str) -> tuple[JobTrace, ...]:
    """The ended jobs that had a file of this name in the inbox, the newest first."""
    folder, _, base = name.rpartition("/")
    found = [*_jobs_of(_results(root, folder, base)), *_failures(root, folder, base)]
    found = found or [*_originals(root, name)]
    return tuple(sorted(found, key=lambda trace: -trace.ended_at))


def of_result(root: Path, result: str) -> JobTrace | None:
    """The trace of the job of a result, with all its results; None where it has no receipt.

    `result` is its path relative to the root.
    """
    of = _by_receipt(root, root / f"{result}.json")
    if of is None:
        return None
    folder, _, base = of.path.rpartition("/")
    others = (it for it in _results(root, folder, base) if it.job_id == of.job_id)
    (trace,) = _jobs_of(dict.fromkeys((of, *others)))
    return trace


def places_of(root: Path, base: str) -> tuple[Located | NotFound, ...]:
    """All that has, or had, this base name in a hot folder, the newest first.

    What lies there as it is comes as it lies, what jobs have or had by its name in the inbox.
    """
    of_jobs = [*_of_jobs(root, base)]
    known = {place.name for _, place in of_jobs}
    found: list[tuple[float, Located | NotFound]]
    found = [*_lying(root, base), *of_jobs, *_originals_named(root, base, known)]
    by_time = sorted(found, key=lambda place: -place[0])
    return tuple(dict.fromkeys(place for _, place in by_time))


def names_without_ending(root: Path, stem: str) -> tuple[str, ...]:
    """The base names that are this one before an ending; those of pictures where there are any."""
    lying = (
        name for area in ("inbox", "done") for _, _, it in os.walk(root / area) for name in it
    )
    claimed = (file.name for job in claimed_jobs(root) for file in job.files)
    failed = (name for _, report, _ in _reports(root) for name in report.files)
    key = pair_key(stem)
    names = {it for it in (*lying, *claimed, *failed) if pair_key(stem_of(it)) == key}
    return tuple(sorted({it for it in names if kind_of(it) is Kind.IMAGE} or names))


def _lying(root: Path, base: str) -> Iterator[tuple[float, Located]]:
    """The files of the inbox, and the results whose originals have another name."""
    for path in _named(root / "inbox", base):
        with contextlib.suppress(OSError):  # it was taken away meanwhile
            at = path.lstat().st_ctime
            yield at, Located(root=root, path=str(path.relative_to(root)))
    for area in ("outbox", "review"):
        for path in _named(root / area, base):
            of = _by_receipt(root, path.with_name(f"{path.name}.json"))
            if of is not None and of.path.rpartition("/")[2] != printable(base):
                yield of.ended_at, Located(root=root, path=str(path.relative_to(root)))


def _of_jobs(root: Path, base: str) -> Iterator[tuple[float, NotFound]]:
    for job in claimed_jobs(root):
        if any(file.name == base for file in job.files):
            yield job.claimed_at, NotFound(name=job.path)
    for area in ("outbox", "review"):
        receipts = (_by_receipt(root, it) for it in _receipts_of(root / area, base))
        for of in filter(None, receipts):
            if of.path.rpartition("/")[2] == printable(base):
                yield of.ended_at, NotFound(name=of.path)
    for _, report, written_at in _reports(root):
        if printable(base) in report.files:
            yield written_at, NotFound(name=below(report.folder, base))


def _originals_named(
    root: Path, base: str, known: Collection[str]
) -> Iterator[tuple[float, Located]]:
    """The originals in done/ of which no receipt or report tells by that name."""
    for day in _listed(root / "done"):
        for path in _named(day, base):
            if printable(str(path.relative_to(day))) not in known:
                with contextlib.suppress(OSError):
                    at = path.lstat().st_ctime
                    yield at, Located(root=root, path=str(path.relative_to(root)))


def _named(folder: Path, base: str) -> Iterator[Path]:
    """The files of that name below a folder; a name that people read the same is the same."""
    key = pair_key(base)
    for above, _, names in os.walk(folder):
        yield from (Path(above, name) for name in names if pair_key(name) == key)


def _receipts_of(folder: Path, base: str) -> Iterator[Path]:
    """The receipts below a folder that may be of an original of that name."""
    beginning = pair_key(next(result_names(stem_of(base), "x", None)))[:_SURE_BEGINNING]
    beginning = beginning.removesuffix(".x")
    for above, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".json") and pair_key(name).startswith(beginning):
                yield Path(above, name)


def reviews_since(root: Path, unix_time: float) -> Iterator[ReviewStatus]:
    """The results in review/ whose receipts were written at this time or later."""
    review = root / "review"
    paths = (Path(folder, name) for folder, _, names in os.walk(review) for name in names)
    for path in sorted(it for it in paths if it.suffix == ".json"):
        trace = _by_receipt(root, path)
        if trace is not None and trace.missed and trace.ended_at >= unix_time:
            yield ReviewStatus(file=trace.path, result=trace.result, reason=trace.missed)


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
        for path, report, _ in _reports(root)
        if report.job_id.startswith(word)
    )


def story(root: Path, job_id: str) -> str:
    """Where a job's story is, relative to the root; earlier versions kept all in one folder."""
    by_day, flat = story_of(job_id), f"logs/{job_id}.log"
    return by_day if (root / by_day).exists() or not (root / flat).exists() else flat


def _results(root: Path, folder: str, base: str) -> Iterator[_Result]:
    for area in ("outbox", "review"):
        for path in _listed(root / area / folder):
            of = _by_receipt(root, path) if path.suffix == ".json" else None
            if of is not None and of.path.rpartition("/")[2] == printable(base):
                yield of


def _jobs_of(results: Iterable[_Result]) -> Iterator[JobTrace]:
    """The jobs that have made these results, each with all of its own."""
    by_job: dict[str, list[_Result]] = {}
    for of in results:
        by_job.setdefault(of.job_id, []).append(of)
    for of_one in by_job.values():
        several = sorted(of_one, key=lambda it: it.seed)
        yield JobTrace(
            ended_at=max(it.ended_at for it in several),
            lines=tuple(_lines_of_job(several)),
            short=f"edited, {', '.join(it.result for it in several)}",
        )


def _failures(root: Path, folder: str, base: str) -> Iterator[JobTrace]:
    for path, report, written_at in _reports(root):
        if report.folder == printable(folder) and printable(base) in report.files:
            where = f"failed, {printable(str(path.parent.relative_to(root)))}"
            lines = of_failure(path.parent, root)
            yield JobTrace(ended_at=written_at, lines=lines, short=where)


def _originals(root: Path, name: str) -> Iterator[JobTrace]:
    for day in _listed(root / "done"):
        original = day / name
        with contextlib.suppress(OSError):  # not of that day, or taken away meanwhile
            status = original.stat()
            if stat.S_ISREG(status.st_mode):
                where = printable(str(original.relative_to(root)))
                line = f"{printable(name)} was used by a job that has ended; it is {where} now."
                yield JobTrace(ended_at=status.st_ctime, lines=(line,), short=f"used, {where}")


def _reports(root: Path) -> Iterator[tuple[Path, _Report, float]]:
    """The reports of failed jobs that are ours: where, what they say, and since when."""
    for day in _listed(root / "failed"):
        for path in (folder / "report.json" for folder in _listed(day)):
            with contextlib.suppress(OSError, ValueError):  # none, or it was taken away meanwhile
                said, written_at = _read(root, path)
                yield path, codec.part(_Report, said), written_at


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it is none, or was taken away meanwhile."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _by_receipt(root: Path, path: Path) -> _Result | None:
    """What a receipt tells; None where it is none of ours, or was taken away meanwhile."""
    at = codec.at
    try:
        said, written_at = _read(root, path)
        missed = at(tuple[str, ...] | None, said, "fidelity", "missed") or ()
        _, *folders = path.parent.relative_to(root).parts
        return _Result(
            job_id=at(str, said, "job_id"),
            path=below(printable("/".join(folders)), at(str, said, "input", "name")),
            result=printable(str(path.with_suffix("").relative_to(root))),
            prompt=at(str, said, "recipe", "prompt"),
            steps=at(int, said, "recipe", "steps"),
            seed=at(int, said, "recipe", "seed"),
            missed="; ".join(missed) if at(str, said, "status") == State.REVIEW else "",
            seconds=at(float | None, said, "seconds", "total"),
            is_random=at(str | None, said, "model", "weights") == "random",
            ended_at=written_at,
        )
    except (OSError, ValueError):
        return None


def _lines_of_job(results: Sequence[_Result]) -> Iterator[str]:
    first = results[0]
    yield f"{first.path} was edited: {', '.join(it.result for it in results)}."
    yield f"Prompt: {first.prompt}"
    seeds = ", ".join(str(it.seed) for it in results)
    word = "Seed" if len(results) == 1 else "Seeds"
    yield f"{word} {seeds}, {first.steps} steps, job {first.job_id}."
    for it in results:
        if it.missed:
            which = "It" if len(results) == 1 else it.result
            yield f"{which} did not pass, and needs a look: {it.missed}."
    if seconds := [it.seconds for it in results if it.seconds is not None]:
        yield f"It took {duration(max(seconds))} from its arrival."
    if any(it.is_random for it in results):
        yield "The model has random weights: the result is a test pattern."


def _read(root: Path, path: Path) -> tuple[object, float]:
    tree = SafeTree(root)
    return codec.parse(tree.read(path)), tree.status(path).st_mtime
