"""What a job's results will tell of how they came about."""

from __future__ import annotations

from dataclasses import replace

from daemon.inbox.names import printable
from daemon.job import Task
from daemon.receipt import own_version
from pipeline.editor import ModelFacts
from pipeline.provenance import Provenance


def provenance(
    task: Task, seed: int, facts: ModelFacts, *, now: float, embeds_prompt: bool
) -> Provenance:
    """The facts of the result that was edited with this seed, at Unix time `now`."""
    return Provenance(
        job_id=task.job.job_id,
        recipe=replace(task.recipe, seed=seed, variants=1),
        model=facts,
        software=f"Hotfolder {own_version()}",
        made_at=now,
        source_name=printable(task.job.image.name),
        source_sha256=task.job.image.sha256,
        embeds_prompt=embeds_prompt,
    )
