"""Whether the model folder is whole, what it is, and how this machine can hold it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.problems import UserError
from config.settings import Lora, ModelSettings, Pack
from daemon.commands.check_machine import FoundGpu, Gpu, NoGpu, UnknownGpuMemory, find_gpu
from daemon.commands.output import Finding, ok, problem, problems, warning
from daemon.control.client import ask_status
from daemon.fs.local_dirs import locate_local_dirs
from pipeline import checkpoint
from pipeline.checkpoint import Checkpoint
from pipeline.qwen import host_memory, host_plan, lora_file, model_sizes, precision, vram_budget
from pipeline.qwen.host_plan import HostLimits, HostPlan
from pipeline.qwen.lora_strength import UnusableLoraError
from pipeline.qwen.offload_plan import GIB, ModelSize, plan, stages
from pipeline.recipe import MEGAPIXEL

_HOLDING = {"loading", "idle", "busy"}  # states of an editor that has taken memory
_WITHOUT_MODEL = "none"
_SUBJECT = "model"
_CONTEXT_BYTES = GIB // 2  # about what CUDA takes in a process before the model takes anything


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineResources:
    """What a model that is loaded now would find."""

    memory_bytes: int  # main memory that is available
    gpu: FoundGpu
    precision: precision.Precision  # in which it would be computed


def machine_resources(environment: Mapping[str, str]) -> MachineResources:
    """Look at memory and GPU."""
    return MachineResources(
        memory_bytes=host_memory.available_bytes(),
        gpu=find_gpu(environment),
        precision=_precision(environment),
    )


def daemon_holds_model(roots: Iterable[Path], environment: Mapping[str, str]) -> bool:
    """Whether the daemon of one of these hot folders has loaded a model, or is about to."""
    try:
        found = locate_local_dirs(environment)
    except UserError:  # told where the places are looked at
        return False
    for root in roots:
        daemon, _ = ask_status(found, root)
        if daemon is not None and daemon.editor.get("weights") != _WITHOUT_MODEL:
            return daemon.editor.get("state") in _HOLDING
    return False


def _precision(environment: Mapping[str, str]) -> precision.Precision:
    try:
        return precision.asked_for(environment)
    except UserError:  # told where the switches are looked at
        return precision.Precision.BF16


def look_at_model(settings: ModelSettings, means: MachineResources | None) -> Iterator[Finding]:
    """Look a model over, and whether it fits; None: a daemon that holds one has the memory now."""
    if settings.path is None:
        advice = "name its folder in hotfolder.yaml (model.path) or with --model"
        yield problem(_SUBJECT, "no model is named", advice)
        return
    try:
        found = checkpoint.read(settings.path)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    yield ok(_SUBJECT, _described(found))
    yield _trained(found)
    if means is None:
        what = "whether it fits is not looked at while a running daemon holds a model"
        yield ok(_SUBJECT, f"{what}; stop it to have that checked")
    else:
        yield from _fitting(found, settings, means)


def look_at_loras(settings: ModelSettings) -> Iterator[Finding]:
    """Look at the headers of the LoRA files that instructions may name."""
    layers = _linear_layers(settings) if settings.loras else None
    for name, lora in settings.loras.items():
        try:
            file = lora_file.read(lora.path)
            changes = file.changes if layers is None else lora_file.for_layers(file, layers)
        except UnusableLoraError as error:
            yield _unusable(name, lora, str(error))
        except OSError as error:
            yield _unusable(name, lora, f"it cannot be read ({error.strerror})")
        else:
            count = f"{len(changes)} layer{'' if len(changes) == 1 else 's'}"
            what = f"{_size(file.size_bytes)}, changes {count}"
            yield ok(_SUBJECT, f"LoRA {name}: {lora.path}, {what}")


def _unusable(name: str, lora: Lora, why: str) -> Finding:
    advice = "point model.loras to a safetensors LoRA for this very model, or remove it there"
    return problem(_SUBJECT, f"LoRA {name}, {lora.path}, cannot be used: {why}", advice)


def _linear_layers(settings: ModelSettings) -> lora_file.Layers | None:
    """What a LoRA has to fit; None where the model cannot be read, which is told elsewhere."""
    try:
        if settings.path is None:
            return None
        return model_sizes.linear_layers(checkpoint.read(settings.path))
    except UserError:
        return None


def _described(found: Checkpoint) -> str:
    megapixels = found.working_pixels / MEGAPIXEL
    licence = f"licence {found.licence}" if found.licence else "no licence named"
    files = (path for path in found.path.rglob("*") if path.is_file())
    size = _size(sum(path.stat().st_size for path in files))
    return (
        f"{found.path}: {found.class_name}, works at {megapixels:.3g} megapixels, sides in"
        f" multiples of {found.multiple}, {licence}, {size} on disk"
    )


def _trained(found: Checkpoint) -> Finding:
    if found.weights == "random":
        advice = "good for trying; name a real model for real pictures"
        return warning(_SUBJECT, "its weights are random: results are test patterns", advice)
    return ok(_SUBJECT, "its weights are trained")


def _fitting(
    found: Checkpoint, settings: ModelSettings, means: MachineResources
) -> Iterator[Finding]:
    try:
        size = model_sizes.read(found, means.precision.item_bytes)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    budget_bytes = _budget_bytes(means.gpu, settings.vram_gib)
    limits = host_plan.limits_of(
        found,
        settings,
        means.precision,
        available_bytes=means.memory_bytes,
        budget_bytes=budget_bytes,
    )
    try:
        waiting = host_plan.choose(size, limits, where=str(found.path))
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
    else:
        yield from _memory(size, waiting, limits)
        size = host_plan.sized(size, waiting)
    yield from _look_at_plan(size, found, settings, means.gpu, budget_bytes)


def _budget_bytes(gpu: FoundGpu, vram_gib: float | None) -> int | None:
    """Of the GPU's memory; where that is not known, what is set. None without a GPU."""
    match gpu:
        case NoGpu():
            return None
        case UnknownGpuMemory():
            return 0 if vram_gib is None else int(vram_gib * GIB)
        case Gpu():
            return vram_budget.allowed_bytes(max(0, gpu.free_bytes - _CONTEXT_BYTES), vram_gib)


def _memory(size: ModelSize, waiting: HostPlan, limits: HostLimits) -> Iterator[Finding]:
    aside_bytes = size.modulation.all_bytes if waiting.keeps_modulation else 0
    locked_bytes = host_plan.weights_bytes(size, waiting) - aside_bytes
    is_streamed = limits.budget_bytes is not None
    locked = f", {_size(locked_bytes)} of it locked" if is_streamed else ""
    yield ok(
        _SUBJECT,
        f"it needs {_size(host_plan.needed_bytes(size, waiting))} of main memory (RAM){locked}"
        f" for as long as it is loaded; {_size(limits.available_bytes)} are available",
    )
    if not is_streamed:
        if limits.pack is Pack.LOSSLESS:
            advice = "leave model.pack out, or mend the GPU if there should be one"
            yield warning(
                _SUBJECT, "weights are packed for a GPU alone, and there is none", advice
            )
        return
    told = host_plan.describe(size, waiting)
    if waiting.keeps_modulation and waiting.keeps_encoder:
        yield ok(_SUBJECT, told)
        return
    enough = _size(host_plan.needed_bytes(size, HostPlan(packs=waiting.packs)))
    yield warning(_SUBJECT, told, f"with {enough} of main memory all of it would wait there")


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / 2**20:.1f} MiB"


def _look_at_plan(
    size: ModelSize,
    source: Checkpoint,
    settings: ModelSettings,
    gpu: FoundGpu,
    budget_bytes: int | None,
) -> Iterator[Finding]:
    """Tell the plan for a usual job; a problem where the GPU's memory holds none."""
    if isinstance(gpu, NoGpu) or budget_bytes is None:
        yield ok(_SUBJECT, "without a GPU the processor computes, in main memory")
        return
    if isinstance(gpu, UnknownGpuMemory):
        what = f"how much GPU memory is free could not be found out: {gpu.why}"
        yield warning(_SUBJECT, what, gpu.advice)
        if settings.vram_gib is None:
            return
    else:
        yield ok(_SUBJECT, _allowance(gpu, settings.vram_gib, budget_bytes))
    yield from _plans(size, source, settings, budget_bytes)


def _allowance(gpu: Gpu, vram_gib: float | None, budget_bytes: int) -> str:
    free, total = gpu.free_bytes / GIB, gpu.total_bytes / GIB
    written = "auto" if vram_gib is None else f"{vram_gib:g}"
    allowed = vram_budget.shown_gib(budget_bytes)
    return (
        f"it may use about {allowed} GiB of GPU memory (model.vram_gib: {written};"
        f" {gpu.name} has {free:.1f} of {total:.1f} GiB free)"
    )


def _plans(
    size: ModelSize, source: Checkpoint, settings: ModelSettings, budget_bytes: int
) -> Iterator[Finding]:
    try:
        found = vram_budget.plan_for_usual(size, vram_budget.usual_work(source), budget_bytes)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    reading, denoising, pictures = stages(found, size)
    yield ok(_SUBJECT, f"plan: {reading}")
    yield ok(_SUBJECT, f"plan for a job with guidance: {denoising}")
    jobs = vram_budget.usual_jobs_together(size, source, settings.batch, budget_bytes)
    if jobs > 1:
        _, denoising, _ = stages(
            plan(size, vram_budget.usual_work(source, jobs), budget_bytes), size
        )
        yield ok(_SUBJECT, f"plan for {jobs} such jobs at once: {denoising}")
    yield ok(_SUBJECT, f"plan: {pictures} (of {source.working_pixels / MEGAPIXEL:.1f} megapixels)")
