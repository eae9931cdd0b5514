"""What the history keeps of a job that has ended."""

from __future__ import annotations

from dataclasses import replace

from daemon.history import Entry
from daemon.job import Job, State
from daemon.receipt import Finished, work_seconds
from daemon.work.task import content_key


def entry_of_result(
    folder_id: str, finished: Finished, results: tuple[str, ...], now: float
) -> Entry:
    """The entry of a job whose results were published at Unix time `now`."""
    task, prepared = finished.task, finished.prepared
    return Entry(
        job_id=task.job.job_id,
        folder_id=folder_id,
        path=task.job.path,
        image_sha256=task.job.image.sha256,
        content_key=task.content_key,
        state=finished.status,
        results=results,
        total_seconds=work_seconds(finished),
        denoise_seconds=sum(variant.edit.denoise_seconds for variant in finished.variants),
        steps=task.recipe.steps * task.recipe.variants,
        width=prepared.width,
        height=prepared.height,
        finished_at=now,
    )


def entry_of_ending(folder_id: str, job: Job, state: State, now: float) -> Entry:
    """The entry of a job that ended without a result at Unix time `now`."""
    return Entry(
        job_id=job.job_id,
        folder_id=folder_id,
        path=job.path,
        image_sha256=job.image.sha256,
        content_key="",
        state=state,
        results=(),
        total_seconds=now - job.claimed_at,
        denoise_seconds=0.0,
        steps=0,
        width=0,
        height=0,
        finished_at=now,
    )


def entry_found(folder_id: str, job: Job, results: tuple[str, ...], now: float) -> Entry:
    """The entry of a job of which only its published results are known, at Unix time `now`."""
    needs_a_look = any(result.startswith("review/") for result in results)
    state = State.REVIEW if needs_a_look else State.DONE
    entry = entry_of_ending(folder_id, job, state, now)
    # Nobody knows how long it took: the days until the restart were no work.
    return replace(entry, content_key=content_key(job), results=results, total_seconds=0.0)
