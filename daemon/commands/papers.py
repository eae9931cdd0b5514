"""What receipts and failure reports say about the files of ended jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from daemon.ground import Ground
from daemon.inbox.names import printable
from daemon.job import State
from daemon.log.wording import duration
from daemon.status import Review

_Paper = Mapping[str, object]
_NO_PAPER: _Paper = {}
_BEGINNING_OF_ID = re.compile(r"[0-9]{8}-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is left of one ended job, newest by `ended_at`."""

    ended_at: float  # Unix time
    lines: tuple[str, ...]  # one sentence each


def traces(root: Path, name: str) -> tuple[Trace, ...]:
    """The ended jobs that had a file of this name in the inbox, the newest first."""
    folder, _, base = name.rpartition("/")
    found = [*_results(root, folder, base), *_failures(root, folder, base)]
    found = found or [*_originals(root, name)]
    return tuple(sorted(found, key=lambda trace: -trace.ended_at))


def of_result(root: Path, result: str) -> Trace | None:
    """The trace of a result by its path relative to the root; None where it has no receipt."""
    return next(_of_receipt(root, root / f"{result}.json"), None)


def reviews_since(root: Path, unix_time: float) -> Iterator[Review]:
    """The results in review/ whose receipts were written at this time or later."""
    for path in sorted((root / "review").rglob("*.json")):
        paper, ended_at = _read(root, path), path.lstat().st_mtime
        missed = _missed(paper)
        if missed and ended_at >= unix_time:
            result = str(path.with_suffix("").relative_to(root))
            folder = PurePath(result).parent.relative_to("review")
            file = str(folder / str(_field(paper, "input", "name")))
            yield Review(file=file, result=result, reason=missed, ended_at=ended_at)


def of_failure(folder: Path, root: Path) -> tuple[str, ...]:
    """The first lines of WHY.txt in a folder of failed/; empty where there is none."""
    try:
        text = Ground(root).read(folder / "WHY.txt").decode("utf-8", "replace")
    except OSError:
        return ()
    where = printable(str((folder / "WHY.txt").relative_to(root)))
    return (*text.partition("\n\n")[0].splitlines(), f"The whole report is {where}.")


def failed_job(root: Path, word: str) -> tuple[str, ...]:
    """The folders below failed/ of the jobs whose ids begin with `word`, relative to the root."""
    if not _BEGINNING_OF_ID.match(word):
        return ()
    reports = sorted((root / "failed").glob("*/*/report.json"))
    return tuple(
        str(path.parent.relative_to(root))
        for path in reports
        if str(_read(root, path).get("job_id")).startswith(word)
    )


def _results(root: Path, folder: str, base: str) -> Iterator[Trace]:
    for corner in ("outbox", "review"):
        for path in (root / corner / folder).glob("*.json"):
            if _field(_read(root, path), "input", "name") == printable(base):
                yield from _of_receipt(root, path)


def _of_receipt(root: Path, path: Path) -> Iterator[Trace]:
    paper = _read(root, path)
    if paper is _NO_PAPER:
        return
    result = printable(str(path.with_suffix("").relative_to(root)))
    steps, seed = _field(paper, "recipe", "steps"), _field(paper, "recipe", "seed")
    total = _field(paper, "seconds", "total")
    lines = [
        f"{_field(paper, 'input', 'name')} was edited: {result}.",
        f"Prompt: {_field(paper, 'recipe', 'prompt')}",
        f"Seed {seed}, {steps} steps, job {paper.get('job_id')}.",
    ]
    if missed := _missed(paper):
        lines.append(f"It did not pass, and needs a look: {missed}.")
    if isinstance(total, int | float):
        lines.append(f"It took {duration(total)} from its arrival.")
    if _field(paper, "model", "weights") == "random":
        lines.append("The model has random weights: the result is a test pattern.")
    yield Trace(ended_at=path.stat().st_mtime, lines=tuple(lines))


def _failures(root: Path, folder: str, base: str) -> Iterator[Trace]:
    for path in (root / "failed").glob("*/*/report.json"):
        paper = _read(root, path)
        files = paper.get("files")
        is_it = isinstance(files, list) and printable(base) in files
        if is_it and paper.get("folder") == printable(folder):
            yield Trace(ended_at=path.stat().st_mtime, lines=of_failure(path.parent, root))


def _originals(root: Path, name: str) -> Iterator[Trace]:
    for path in (root / "done").glob("*"):
        original = path / name
        if original.is_file():
            where = printable(str(original.relative_to(root)))
            line = f"{printable(name)} was used by a job that has ended; it is {where} now."
            yield Trace(ended_at=original.stat().st_ctime, lines=(line,))


def _read(root: Path, path: Path) -> _Paper:
    try:
        paper = json.loads(Ground(root).read(path))
    except (OSError, ValueError):
        return _NO_PAPER  # no paper of ours, or taken away meanwhile
    return paper if isinstance(paper, dict) else _NO_PAPER


def _missed(paper: _Paper) -> str:
    """What a result falls short in; "" where it passed."""
    missed = _field(paper, "fidelity", "missed")
    if paper.get("status") != State.REVIEW or not isinstance(missed, list):
        return ""
    return "; ".join(map(str, missed))


def _field(paper: _Paper, table: str, key: str) -> object:
    inner = paper.get(table)
    return inner.get(key) if isinstance(inner, dict) else None
