"""The local folders of jobs: private copies, canvases, and results until they are published."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Container, Iterator
from pathlib import Path
from shutil import rmtree

from config import codec
from daemon.fs.local import sha256_of
from daemon.job import JOB_ID, Job
from daemon.spool.receipts import FinishedJob, Variant
from pipeline.pixel_requests import Composed, Preview

_RECORD = "finished.json"


class ScratchDirs:
    """Folders below `base`, which other hot folders share; each name says whose it is."""

    def __init__(self, base: Path, identity: str) -> None:
        """`identity` is the id of the hot folder, whatever path it has."""
        self.base = base
        self._mark = hashlib.sha256(identity.encode()).hexdigest()[:12]

    def of(self, job_id: str) -> Path:
        """The folder of a job."""
        return self.base / f"{job_id}.{self._mark}"

    def drop(self, job_id: str) -> None:
        """Remove the folder of a job."""
        rmtree(self.of(job_id), ignore_errors=True)

    def keep_only(self, job_ids: Container[str]) -> None:
        """Remove the folders of all jobs but these; what we did not make stays."""
        for path in self.base.glob(f"*.{self._mark}"):
            if JOB_ID.fullmatch(path.stem) and path.stem not in job_ids:
                rmtree(path, ignore_errors=True)


def save_finished(finished: FinishedJob) -> None:
    """Write what is to be known of a finished job beside its results, whole or not at all.

    Raises OSError where scratch is full or was emptied.
    """
    # Not synced, as the results are not: after a power cut their hashes say what they are worth.
    folder = finished.resolved_job.scratch
    fresh = folder / f"{_RECORD}.new"
    fresh.write_text(codec.dump(finished), encoding="ascii")
    fresh.replace(folder / _RECORD)


def load_finished(job: Job, scratch: Path) -> FinishedJob | None:
    """The finished job in its scratch folder; None where it is another attempt's, or not whole."""
    try:
        finished = codec.load(FinishedJob, (scratch / _RECORD).read_bytes())
    except (OSError, ValueError):  # none, or not ours to read: the job is edited again
        return None
    is_of_it = finished.job == job and finished.resolved_job.scratch == scratch
    is_whole = len(finished.variants) == finished.resolved_job.recipe.variants
    if is_of_it and is_whole and all(_is_whole(one, scratch) for one in finished.variants):
        return finished
    return None


def _is_whole(variant: Variant, scratch: Path) -> bool:
    with contextlib.suppress(OSError):
        return all(
            one.path.parent == scratch and sha256_of(one.path) == one.sha256
            for one in _made(variant)
        )
    return False


def _made(variant: Variant) -> Iterator[Composed | Preview]:
    yield variant.composed
    if variant.composed.preview is not None:
        yield variant.composed.preview


def finished_sizes(finished: FinishedJob) -> tuple[int, ...]:
    """How many bytes the results have; raises FileNotFoundError where one is not there."""
    return tuple(one.path.stat().st_size for it in finished.variants for one in _made(it))


def has_finished(finished: FinishedJob) -> bool:
    """Whether the results are still on scratch; somebody may have emptied the cache."""
    return all(one.path.exists() for variant in finished.variants for one in _made(variant))
