"""Batches, made ahead by processes of their own; the i-th batch of a seed is always the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

Batch = TypeVar("Batch")


class _Stream(IterableDataset, Generic[Batch]):  # type: ignore[misc] # torch is untyped here
    def __init__(
        self, make: Callable[[random.Random, int], Batch], *, seed: str, start: int
    ) -> None:
        self._make, self._seed, self._start = make, seed, start

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for index in itertools.count(self._start + number, count):
            yield self._make(random.Random(f"{self._seed}/{index}"), index)


def batches(
    make: Callable[[random.Random, int], Batch],
    *,
    seed: str,
    start: int,
    workers: int,
) -> Iterator[Batch]:
    """`make(chance, index)` for index start, start + 1, …, for ever."""
    loader = DataLoader(
        _Stream(make, seed=seed, start=start),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)
