"""How a model will use the GPU, told before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from config.problems import UserError
from config.settings import ModelSettings
from daemon.commands.finding import Finding, ok, problems, warning
from daemon.commands.gpu import Found, Gpu, NoGpu, UntoldGpu
from pipeline.checkpoint import Checkpoint
from pipeline.qwen.budget import allowed_bytes, plan_for_usual, told_gib, usual_work
from pipeline.qwen.plan import GIB, ModelSize, plan, stages

_SUBJECT = "model"
_CONTEXT_BYTES = GIB // 2  # about what CUDA takes in a process before the model takes anything


def look_at_plan(
    size: ModelSize, source: Checkpoint, settings: ModelSettings, gpu: Found
) -> Iterator[Finding]:
    """Tell the plan for a usual job; a problem where the GPU's memory holds none."""
    match gpu:
        case NoGpu():
            yield ok(_SUBJECT, "without a GPU the processor computes, in main memory")
        case UntoldGpu(why, advice):
            what = f"how much GPU memory is free could not be found out: {why}"
            yield warning(_SUBJECT, what, advice)
            if settings.vram_gib is not None:
                yield from _plans(size, source, settings, int(settings.vram_gib * GIB))
        case Gpu():
            free_bytes = max(0, gpu.free_bytes - _CONTEXT_BYTES)
            budget_bytes = allowed_bytes(free_bytes, settings.vram_gib)
            yield ok(_SUBJECT, _allowance(gpu, settings.vram_gib, budget_bytes))
            yield from _plans(size, source, settings, budget_bytes)


def _allowance(gpu: Gpu, vram_gib: float | None, budget_bytes: int) -> str:
    free, total = gpu.free_bytes / GIB, gpu.total_bytes / GIB
    written = "auto" if vram_gib is None else f"{vram_gib:g}"
    return (
        f"it may use about {told_gib(budget_bytes)} GiB of GPU memory (model.vram_gib: {written}; "
        f"{gpu.name} has {free:.1f} of {total:.1f} GiB free)"
    )


def _plans(
    size: ModelSize, source: Checkpoint, settings: ModelSettings, budget_bytes: int
) -> Iterator[Finding]:
    try:
        found = plan_for_usual(size, usual_work(source), budget_bytes)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    reading, denoising, pictures = stages(found, size)
    yield ok(_SUBJECT, f"plan: {reading}")
    yield ok(_SUBJECT, f"plan for a job with guidance: {denoising}")
    if settings.batch > 1:
        several = plan(size, usual_work(source, settings.batch), budget_bytes)
        _, denoising, _ = stages(several, size)
        yield ok(_SUBJECT, f"plan for {settings.batch} such jobs at once: {denoising}")
    yield ok(_SUBJECT, f"plan: {pictures} (of {source.working_pixels / 1e6:.1f} megapixels)")
