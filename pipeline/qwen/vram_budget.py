"""How much of the GPU's memory a model may take, and whether a usual job fits into it."""

from __future__ import annotations

import math

from config.problems import Problem, UserError
from pipeline.checkpoint import Checkpoint
from pipeline.qwen.offload_plan import (
    GIB,
    ModelSize,
    Plan,
    TooSmallError,
    Work,
    plan,
    smallest_bytes,
)

MARGIN_BYTES = 3 * GIB // 4  # what the driver and other programs may come to need

_USUAL_TEXT_TOKENS = 1500  # a long prompt beside a picture of a megapixel
_PIXELS_PER_PATCH = 16 * 16
_SEQUENCES_OF_A_GUIDED_JOB = 2
_USUAL_TIMESTEPS = 40  # steps of the published models' examples


def allowed_bytes(free_bytes: int, vram_gib: float | None) -> int:
    """What may be taken of a GPU: `vram_gib` as far as it is free; else the free, less a margin.

    `free_bytes` is what would be free if nothing of the model were there.
    """
    if vram_gib is None:
        return max(0, free_bytes - MARGIN_BYTES)
    return min(int(vram_gib * GIB), free_bytes)


def usual_work(source: Checkpoint, jobs: int = 1) -> Work:
    """Jobs with guidance, each on one picture of the model's own area."""
    pixels = source.working_pixels
    sequences = _SEQUENCES_OF_A_GUIDED_JOB * jobs
    patches = 2 * pixels // _PIXELS_PER_PATCH  # of the result and of the picture
    return Work(
        sequences=sequences,
        tokens=patches + _USUAL_TEXT_TOKENS,
        text_tokens=_USUAL_TEXT_TOKENS,
        pixels=pixels,
        timesteps=_USUAL_TIMESTEPS,
        kept_patches=sequences * patches,
        kept_text_tokens=sequences * _USUAL_TEXT_TOKENS,
    )


def usual_jobs_together(size: ModelSize, source: Checkpoint, most: int, budget_bytes: int) -> int:
    """How many usual jobs are edited together: the most, unless what they keep is too large."""
    for jobs in range(most, 1, -1):
        if smallest_bytes(size, usual_work(source, jobs)) <= budget_bytes:
            return jobs
    return 1


def plan_for_usual(size: ModelSize, usual: Work, budget_bytes: int) -> Plan:
    """The plan that a usual job will find; raises UserError if the budget holds none."""
    try:
        return plan(size, usual, budget_bytes)
    except TooSmallError as error:
        # Rounded so that the figure, written as model.vram_gib, is enough.
        needed_gib = math.ceil(10 * smallest_bytes(size, usual) / GIB) / 10
        what = (
            f"this model needs at least {needed_gib:.1f} GiB of GPU memory for a usual job, "
            f"and {shown_gib(budget_bytes)} GiB are allowed or free"
        )
        advice = "raise it if it is set, close other programs on the GPU, or use a larger GPU"
        raise UserError([Problem("model.vram_gib", what, advice)]) from error


def shown_gib(budget_bytes: int) -> str:
    """A budget for people: never more than there is."""
    return f"{math.floor(10 * budget_bytes / GIB) / 10:.1f}"
