"""The device that a model computes on, and how weights get there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from config.problems import Problem, UserError
from pipeline.qwen.copy_stream import CopyStream, CudaCopyStream
from pipeline.qwen.host_plan import HostPlan
from pipeline.qwen.offload_plan import GIB
from pipeline.qwen.vram_budget import allowed_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A device with memory of its own, to which weights come as they are needed."""

    device: torch.device
    copy_stream: CopyStream
    budget_bytes: Callable[[], int]  # that may be taken now, with what has been taken already
    host_plan: HostPlan = HostPlan()  # noqa: RUF009 - a frozen value


@dataclass(frozen=True, slots=True, kw_only=True)
class InHostMemory:
    """The processor, which computes where the weights are."""

    device: torch.device


ModelDevice = Streamed | InHostMemory


def require_gpu() -> None:
    """Raise UserError where no GPU can be used."""
    if not torch.cuda.is_available():
        what = "there was one, and it cannot be used any more"
        advice = "look what nvidia-smi and dmesg say; a restart of the machine may help"
        raise UserError([Problem("GPU", what, advice)])


def choose_device(vram_gib: float | None) -> ModelDevice:
    """The GPU if there is one, within `vram_gib` and what is free at each moment."""
    if not torch.cuda.is_available():
        return InHostMemory(device=torch.device("cpu"))
    # With its index: what limits the GPU's memory takes no device without one.
    device = torch.device("cuda", torch.cuda.current_device())
    _limit(device, vram_gib)
    return Streamed(
        device=device,
        copy_stream=CudaCopyStream(device),
        budget_bytes=partial(_budget_bytes, device, vram_gib),
    )


def _limit(device: torch.device, vram_gib: float | None) -> None:
    if vram_gib is not None:
        _, total_bytes = torch.cuda.mem_get_info(device)
        fraction = min(1.0, int(vram_gib * GIB) / total_bytes)
        torch.cuda.set_per_process_memory_fraction(fraction, device)


def _budget_bytes(device: torch.device, vram_gib: float | None) -> int:
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return allowed_bytes(free_bytes + torch.cuda.memory_reserved(device), vram_gib)
