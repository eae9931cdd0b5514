"""The processes of one training, one per GPU: who this is, and gradients shared between all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True, slots=True)
class Rank:
    """One process among all."""

    number: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.number == 0


def join() -> Rank:
    """Meet the other processes, where torchrun started several."""
    number, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if not torch.cuda.is_available():
        return Rank(0, 1, torch.device("cpu"))
    torch.cuda.set_device(number)
    if count > 1:
        distributed.init_process_group("nccl")
    return Rank(number, count, torch.device("cuda", number))


def share(parameters: Sequence[torch.Tensor], rank: Rank) -> None:
    """Replace each gradient by the mean of all processes' gradients."""
    if rank.count == 1:
        return
    gradients = [one.grad for one in parameters if one.grad is not None]
    flat = torch.cat([one.reshape(-1) for one in gradients])
    distributed.all_reduce(flat)
    parts = flat.div_(rank.count).split([one.numel() for one in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def wait(rank: Rank) -> None:
    """Go on when all processes are here."""
    if rank.count > 1:
        distributed.barrier()


def agree(value: float, rank: Rank) -> float:
    """The first process's value, for all."""
    if rank.count == 1:
        return value
    shared = torch.tensor([value], device=rank.device, dtype=torch.float64)
    distributed.broadcast(shared, 0)
    return float(shared.item())
