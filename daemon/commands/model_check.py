"""Whether the model folder is whole, what it is, and whether this machine can hold it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import prod
from pathlib import Path

from config.problems import UserError
from config.settings import Lora
from daemon.commands.finding import Finding, ok, problem, problems, warning
from pipeline import checkpoint, weights
from pipeline.checkpoint import Checkpoint

_SUBJECT = "model"
_GIB = 2**30
_BYTES_PER_WEIGHT = 2  # bf16, whatever the file holds
_HELD_IN_RAM = re.compile(r"(model|diffusion_pytorch_model)(-\d+-of-\d+)?\.safetensors")


def look_at_model(path: Path | None, available_bytes: int | None) -> Iterator[Finding]:
    """Look a model folder over; `available_bytes` of memory are there, None: nobody knows."""
    if path is None:
        advice = "name its folder in hotfolder.yaml (model.path) or with --model"
        yield problem(_SUBJECT, "no model is named", advice)
        return
    try:
        found = checkpoint.read(path)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    yield ok(_SUBJECT, _described(found))
    yield _trained(found)
    yield _memory(path, available_bytes)


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


def _memory(path: Path, available_bytes: int | None) -> Finding:
    try:
        needed = sum(map(_weights_in, _weight_files(path))) * _BYTES_PER_WEIGHT
    except (OSError, weights.BrokenWeightsError) as error:
        return problem(_SUBJECT, f"{path} cannot be read: {error}", "copy the model folder again")
    text = f"its weights take {_size(needed)} of memory (RAM)"
    if available_bytes is None:
        return warning(_SUBJECT, text, "how much this machine has could not be found out")
    if needed > available_bytes:
        what = f"{text}, only {_size(available_bytes)} are available"
        return problem(_SUBJECT, what, "end other programs, add memory or use a smaller model")
    return ok(_SUBJECT, f"{text}, {_size(available_bytes)} are available")


def _weight_files(path: Path) -> Iterator[Path]:
    for component in ("text_encoder", "transformer", "vae"):
        for file in (path / component).iterdir():
            if _HELD_IN_RAM.fullmatch(file.name):
                yield file


def _weights_in(file: Path) -> int:
    tensors = json.loads(weights.read(file).header)
    shapes = (tensor["shape"] for name, tensor in tensors.items() if name != "__metadata__")
    return sum(map(prod, shapes))


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB / 10 else f"{count / 2**20:.1f} MiB"
