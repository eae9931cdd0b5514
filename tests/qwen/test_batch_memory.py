"""What the jobs of a batch keep while others are at work is in the plan."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import EditRequest
from pipeline.qwen.batch import Batch
from pipeline.qwen.block_pass import BlockStack
from pipeline.qwen.denoise_loop import DenoiseLoop
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.offload_plan import kept_bytes, kept_denoising_bytes, kept_reading_bytes
from pipeline.qwen.progress import Progress
from pipeline.qwen.stage_memory import largest
from pipeline.qwen.weight_streaming import ResidentLoader

# Of what is kept. A plan that counts more than that keeps blocks from staying on the GPU.
AT_MOST = 3
LONG = "paint the wall behind the table blue " * 8  # so that the template is the lesser part


class Scales(ResidentLoader):
    """Weighs, between the first block and the second, the tensors that were not there before."""

    def __init__(self) -> None:
        self.most_bytes = 0
        self._before = set(_storages())

    def acquire(self, index: int) -> None:
        """See Loader."""
        if index == 1:
            self.most_bytes = max(self.most_bytes, self.weigh())

    def weigh(self) -> int:
        """The bytes that are there now and were not when the scales were made."""
        return sum(size for where, size in _storages().items() if where not in self._before)


def _storages() -> dict[int, int]:
    found = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    tensors = [one for one in found if not isinstance(one, FakeTensor)]  # of the compiler's
    storages = [one.untyped_storage() for one in tensors if one.device.type == "cpu"]
    return {one.data_ptr(): one.nbytes() for one in storages}


@contextmanager
def weighing(scales: Scales, *stacks: BlockStack) -> Iterator[None]:
    """Within this context the scales weigh between the blocks of these stacks."""
    loaders = [stack.loader for stack in stacks]
    for stack in stacks:
        stack.loader = scales
    try:
        yield
    finally:
        for stack, loader in zip(stacks, loaders, strict=True):
            stack.loader = loader


@pytest.fixture
def several(
    canvas: Callable[..., Path], request_of: Callable[..., EditRequest]
) -> Callable[..., list[EditRequest]]:
    """several(count, cfg) -> so many jobs of one step, of two sizes."""
    images = [canvas((64, 32)), canvas((32, 64))]

    def make(count: int, cfg: float) -> list[EditRequest]:
        return [
            request_of(images=(images[number % 2],), steps=1, cfg=cfg, prompt=f"{number} {LONG}")
            for number in range(count)
        ]

    return make


@pytest.mark.parametrize(
    ("edit_class", "count", "cfg"),
    [
        (EDIT, 1, 4.0),
        (EDIT_PLUS, 1, 4.0),
        (EDIT_PLUS, 4, 4.0),
        (EDIT_PLUS, 64, 1.0),
    ],
)
def test_what_a_batch_keeps_is_planned_and_not_much_more(
    *,
    edit_class: str,
    count: int,
    cfg: float,
    open_editor: Callable[..., QwenEditor],
    several: Callable[..., list[EditRequest]],
    listener: Any,
) -> None:
    editor = open_editor(edit_class)
    encoder, transformer = editor._parts.encoder.stacks, editor._parts.transformer.stacks
    batch = Batch(replace(editor._means, jobs_together=count), Progress(listener))
    with torch.no_grad():
        prepared = [job for request in several(count, cfg) for job in batch._prepared(request)]
        (jobs,) = batch._parts(prepared)
        reading, denoising = Scales(), Scales()
        with weighing(reading, *encoder):
            flights = batch._encoded(jobs)
        kept = reading.weigh()
        with weighing(denoising, *transformer):
            DenoiseLoop(batch._stages).denoise(flights)
    size, work = editor._parts.size, largest([job.work for job in jobs])
    assert work.sequences == count * len(jobs[0].prepared.prompts)
    together = work.sequences
    planned = {
        reading.most_bytes: kept_reading_bytes(size, work, together=together),
        kept: kept_bytes(size, work),
        denoising.most_bytes: kept_denoising_bytes(size, work, together=together),
    }
    for seen_bytes, planned_bytes in planned.items():
        assert seen_bytes <= planned_bytes <= AT_MOST * seen_bytes
