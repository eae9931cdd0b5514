"""How one hot folder stands, as a document: for whoever asks, with a daemon or without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

from daemon.control.documents import Document, Review
from daemon.folder.messages import StatusChanged
from daemon.fs.names import printable
from daemon.history import Counts
from daemon.job import Plan


def folder_document(
    root: str,
    stands: StatusChanged,
    plan: Plan,
    jobs: Iterable[Document],
    today: Counts,
    *,
    reviews: Iterable[Review] = (),
) -> Document:
    """One hot folder: its files in the inbox, its jobs, its day and what needs a look since."""
    jobs = list(jobs)
    counts = Counter[str](str(file.state) for file in plan.states)
    counts.update(str(job["state"]) for job in jobs)
    return {
        "root": printable(root),
        "state": stands.state,
        "reason": stands.reason,
        "counts": dict(sorted(counts.items())),
        "today": asdict(today),
        "reviews": [
            {"file": printable(it.file), "result": printable(it.result), "reason": it.reason}
            for it in reviews
        ],
        "jobs": jobs,
        "files": [
            {
                "file": printable(file.path),
                "state": file.state,
                "reason": file.reason,
                "problems": [str(problem) for problem in file.problems],
            }
            for file in plan.states
        ],
        "ignored": [
            {"file": printable(file.path), "reason": file.reason} for file in plan.ignored
        ],
    }
