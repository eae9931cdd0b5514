"""Whether the model folder is whole, what it is, and whether this machine can hold it."""

from __future__ import annotations

from collections.abc import Iterator

from config.problems import UserError
from config.settings import Lora, ModelSettings
from daemon.commands.finding import Finding, ok, problem, problems, warning
from daemon.commands.gpu import NoGpu
from daemon.commands.means import Means
from daemon.commands.plan_check import look_at_plan
from pipeline import checkpoint, weights
from pipeline.checkpoint import Checkpoint
from pipeline.qwen import memory, sizes

_SUBJECT = "model"
_GIB = 2**30


def look_at_model(settings: ModelSettings, means: Means | None) -> Iterator[Finding]:
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


def look_at_loras(loras: dict[str, Lora]) -> Iterator[Finding]:
    """Look for the LoRA files that instructions may name."""
    advice = "copy it there again, or remove it from model.loras"
    for name, lora in loras.items():
        try:
            size_bytes = weights.read(lora.path).size_bytes
        except (OSError, weights.BrokenWeightsError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            yield problem(_SUBJECT, f"LoRA {name}, {lora.path}: {reason}", advice)
        else:
            yield ok(_SUBJECT, f"LoRA {name}: {lora.path}, {_size(size_bytes)}")


def _described(found: Checkpoint) -> str:
    megapixels = found.working_pixels / 1e6
    licence = f"licence {found.licence}" if found.licence else "no licence named"
    files = (path for path in found.path.rglob("*") if path.is_file())
    size = _size(sum(path.stat().st_size for path in files))
    return (
        f"{found.path}: {found.class_name}, works at {megapixels:.2g} megapixels,"
        f" {licence}, {size} on disk"
    )


def _trained(found: Checkpoint) -> Finding:
    if found.weights == "random":
        advice = "good for trying; name a real model for real pictures"
        return warning(_SUBJECT, "its weights are random: results are test patterns", advice)
    return ok(_SUBJECT, "its weights are trained")


def _fitting(found: Checkpoint, settings: ModelSettings, means: Means) -> Iterator[Finding]:
    try:
        size = sizes.read(found, means.item_bytes)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    yield from _memory(found, means)
    yield from look_at_plan(size, found, settings, means.gpu)


def _memory(found: Checkpoint, means: Means) -> Iterator[Finding]:
    try:
        memory.refuse_unless_it_fits(found, means.item_bytes, means.memory_bytes)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    needed = _size(memory.needed_bytes(found, means.item_bytes))
    locked = "" if isinstance(means.gpu, NoGpu) else ", locked for as long as it is loaded"
    available = _size(means.memory_bytes)
    yield ok(
        _SUBJECT, f"it needs {needed} of main memory (RAM){locked}; {available} are available"
    )


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB / 10 else f"{count / 2**20:.1f} MiB"
