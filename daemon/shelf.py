"""Finished jobs on local scratch: until they are published they outlive the daemon."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from daemon import files, typed_json
from daemon.job import Job
from daemon.receipt import Finished, Variant
from pipeline.pictures import Composed, Preview

_RECORD = "finished.json"


def put(finished: Finished) -> None:
    """Write what is to be known of a finished job beside its results, whole or not at all.

    Raises OSError where scratch is full or was emptied.
    """
    # Not synced, as the results are not: after a power cut their hashes say what they are worth.
    folder = finished.task.scratch
    fresh = folder / f"{_RECORD}.new"
    fresh.write_text(typed_json.dump(finished), encoding="ascii")
    fresh.replace(folder / _RECORD)


def find(job: Job, scratch: Path) -> Finished | None:
    """The finished job in its scratch folder; None where it is another attempt's, or not whole."""
    try:
        finished = typed_json.load(Finished, (scratch / _RECORD).read_bytes())
    except (OSError, ValueError):  # none, or not ours to read: the job is edited again
        return None
    is_of_it = finished.task.job == job and finished.task.scratch == scratch
    is_whole = len(finished.variants) == finished.task.recipe.variants
    if is_of_it and is_whole and all(_is_whole(one, scratch) for one in finished.variants):
        return finished
    return None


def _is_whole(variant: Variant, scratch: Path) -> bool:
    with contextlib.suppress(OSError):
        return all(
            one.path.parent == scratch and files.sha256_of(one.path) == one.sha256
            for one in _made(variant)
        )
    return False


def _made(variant: Variant) -> Iterator[Composed | Preview]:
    yield variant.composed
    if variant.composed.preview is not None:
        yield variant.composed.preview


def sizes(finished: Finished) -> tuple[int, ...]:
    """How many bytes the results have; raises FileNotFoundError where one is not there."""
    return tuple(one.path.stat().st_size for it in finished.variants for one in _made(it))


def is_there(finished: Finished) -> bool:
    """Whether the results are still on scratch; somebody may have emptied the cache."""
    return all(one.path.exists() for variant in finished.variants for one in _made(variant))
