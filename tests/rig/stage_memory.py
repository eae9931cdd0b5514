"""Plans that a test decides on."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from pipeline.editor import EditError, Failure
from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream
from pipeline.qwen.device import Streamed
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.offload_plan import GIB, ModelSize, Plan, TooSmallError, Work, plan
from pipeline.qwen.stage_memory import StageMemory

T = TypeVar("T")
MIXED_WORK = Work(
    sequences=8,
    tokens=3000,
    text_tokens=1500,
    pixels=65536,
    timesteps=7,
    kept_patches=8 * 3000,
    kept_text_tokens=8 * 1500,
)


class Decided(StageMemory):
    """Follows the first plan until the GPU runs out of memory, then the next."""

    def __init__(self, editor: QwenEditor, plans: Sequence[Plan], *, together: int | None) -> None:
        size = editor._parts.size
        super().__init__(place(), size, usual=MIXED_WORK, usual_batch=MIXED_WORK)
        self._plans = deque(plans)
        self._together = together

    def plan(self, work: Work) -> Plan:
        """The plan that is due."""
        if not self._plans:
            cause = "No plan is left for so little memory."
            raise EditError(cause, "Use smaller pictures.", Failure.PERMANENT)
        together = self._together or work.sequences
        return replace(self._plans[0], read_together=together, together=together)

    def retrying(self, doing: str, stage: Callable[[], T]) -> T:
        """As ever, with the next plan after each failure."""

        def counted() -> T:
            try:
                return stage()
            except torch.OutOfMemoryError:
                self._plans.popleft()
                raise

        return super().retrying(doing, counted)


def place(copy_stream: CopyStream | None = None, budget_bytes: int = GIB) -> Streamed:
    """The processor, as if it were a device with memory of its own."""
    cpu = torch.device("cpu")
    return Streamed(
        device=cpu,
        copy_stream=copy_stream or InlineCopyStream(),
        budget_bytes=lambda: budget_bytes,
    )


def least_bytes(size: ModelSize, work: Work) -> int:
    """The smallest budget that holds a plan with untiled pictures and all sequences together."""
    all_together = (work.sequences, work.sequences, None)

    def is_enough(budget_bytes: int) -> bool:
        try:
            found = plan(size, work, budget_bytes)
        except TooSmallError:
            return False
        return (found.read_together, found.together, found.tile_side) == all_together

    return bisect_left(range(1024 * GIB), True, key=is_enough)


def passing_through(resident: int) -> Plan:
    """Parts come for their stages; so many of the transformer's blocks stay meanwhile."""
    return Plan(
        keeps_all=False,
        vision_resident=0,
        text_resident=0,
        transformer_resident=resident,
        read_together=1,
        together=1,
        tile_side=None,
    )


def decide(editor: QwenEditor, *plans: Plan, together: int | None = None) -> None:
    """Let the editor follow these plans, all sequences together unless it is said how many."""
    room = Decided(editor, plans, together=together)
    editor._means = replace(editor._means, room=room)
