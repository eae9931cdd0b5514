"""What the history keeps of a finished job."""

from __future__ import annotations

from daemon.history import Entry
from daemon.job import State
from daemon.receipt import Finished


def entry_of(folder_id: str, finished: Finished, results: tuple[str, ...], now: float) -> Entry:
    """The entry of a job finished at Unix time `now`."""
    task, prepared = finished.task, finished.prepared
    return Entry(
        job_id=task.job.job_id,
        folder_id=folder_id,
        path=task.job.path,
        image_sha256=task.job.image.sha256,
        content_key=task.content_key,
        state=State.DONE,
        results=results,
        seconds=now - task.job.claimed_at,
        denoise_seconds=sum(variant.edit.denoise_seconds for variant in finished.variants),
        steps=task.recipe.steps * task.recipe.variants,
        width=prepared.width,
        height=prepared.height,
        finished_at=now,
    )
