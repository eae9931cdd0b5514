"""Plans that a test decides on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from pipeline.editor import EditError, Failure
from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream
from pipeline.qwen.device import Streamed
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.offload_plan import GIB, Plan, Work
from pipeline.qwen.stage_memory import StageMemory

T = TypeVar("T")
MIXED_WORK = Work(sequences=8, tokens=3000, text_tokens=1500, pixels=65536)


class Decided(StageMemory):
    """Follows the first plan until the GPU runs out of memory, then the next."""

    def __init__(self, editor: QwenEditor, plans: Sequence[Plan], *, together: int | None) -> None:
        super().__init__(place(), editor._parts.size, MIXED_WORK)
        self._plans = deque(plans)
        self._together = together

    def plan(self, work: Work) -> Plan:
        """The plan that is due."""
        if not self._plans:
            cause = "No plan is left for so little memory."
            raise EditError(cause, "Use smaller pictures.", Failure.PERMANENT)
        return replace(self._plans[0], together=self._together or work.sequences)

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
        device=cpu, copy_stream=copy_stream or InlineCopyStream(), budget_bytes=budget_bytes
    )


def passing_through(resident: int) -> Plan:
    """Parts come for their stages; so many of the transformer's blocks stay meanwhile."""
    return Plan(
        keeps_all=False,
        vision_resident=0,
        text_resident=0,
        transformer_resident=resident,
        together=1,
        tile_side=None,
    )


def decide(editor: QwenEditor, *plans: Plan, together: int | None = None) -> None:
    """Let the editor follow these plans, all sequences together unless it is said how many."""
    room = Decided(editor, plans, together=together)
    editor._means = replace(editor._means, room=room)
