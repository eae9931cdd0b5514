"""Where the model's parts live while it edits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum

import torch
from diffusers.hooks import apply_group_offloading

from pipeline.qwen.load import Pipeline

log = logging.getLogger(__name__)

GIB = 2**30
WORKING_GIB = 4  # activations of a 1 MP edit with references, beside the weights
MARGIN_GIB = 0.75  # what the driver and other programs may come to need


class Residence(StrEnum):
    """The ways to share a GPU between the parts, fastest first."""

    WHOLE = "whole"  # everything stays on the GPU
    BY_PART = "by part"  # the part at work is on the GPU, the others wait in main memory
    BY_BLOCK = "by block"  # the transformer's and encoder's blocks pass through the GPU


def choose(part_bytes: Mapping[str, int], budget_bytes: int) -> Residence:
    """The fastest way that fits the budget."""
    for_weights = budget_bytes - WORKING_GIB * GIB
    if sum(part_bytes.values()) <= for_weights:
        return Residence.WHOLE
    if max(part_bytes.values()) <= for_weights:
        return Residence.BY_PART
    return Residence.BY_BLOCK


def settle(pipe: Pipeline, device: torch.device, vram_gib: float | None) -> None:
    """Bring the parts to where they live, within `vram_gib` or what is free."""
    if device.type == "cpu":
        return
    budget_bytes = _budget_bytes(device, vram_gib)
    sizes = {
        name: sum(p.numel() * p.element_size() for p in part.parameters())
        for name, part in pipe.components.items()
        if isinstance(part, torch.nn.Module)
    }
    residence = choose(sizes, budget_bytes)
    log.info("model lives on the GPU %s, %.1f GiB allowed", residence, budget_bytes / GIB)
    match residence:
        case Residence.WHOLE:
            pipe.to(device)
        case Residence.BY_PART:
            pipe.enable_model_cpu_offload(device=device)
        case Residence.BY_BLOCK:
            _offload_blocks(pipe, device)


def _budget_bytes(device: torch.device, vram_gib: float | None) -> int:
    free_bytes: int
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    if vram_gib is None:
        return free_bytes - int(MARGIN_GIB * GIB)
    budget_bytes = int(vram_gib * GIB)
    torch.cuda.set_per_process_memory_fraction(min(1.0, budget_bytes / total_bytes), device)
    return min(budget_bytes, free_bytes)


def _offload_blocks(pipe: Pipeline, device: torch.device) -> None:
    apply_group_offloading(
        pipe.transformer,
        onload_device=device,
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=True,
    )
    # At block level the library finds no blocks in the text encoder and loads it whole.
    apply_group_offloading(
        pipe.text_encoder, onload_device=device, offload_type="leaf_level", use_stream=True
    )
    pipe.vae.to(device)  # 0.25 GB, and block offloading would never run on encode and decode
