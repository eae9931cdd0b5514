"""A GPU that runs out of memory, wherever that is, costs time and changes no picture."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rig.stage_memory import MIXED_WORK, decide, passing_through, place
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from config.settings import ModelSettings
from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import Done, EditError, EditRequest, Event, Failure, Step
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.offload_plan import GIB, ModelSize, after_out_of_memory, plan, smallest_bytes
from pipeline.qwen.stage_memory import StageMemory

Kind = tuple[str, torch.dtype, torch.Size]


class Cramped(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Counts operations that take memory, and runs out of it at one of them, once."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.kinds: list[Kind] = []
        self._fails_at = fails_at

    def __torch_dispatch__(
        self,
        operation: Any,
        _types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = operation(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        if tensors and _memory(made).isdisjoint(_memory((args, kwargs))):
            if len(self.kinds) == self._fails_at:
                self._fails_at = None
                message = "CUDA out of memory."
                raise torch.OutOfMemoryError(message)
            self.kinds.append((str(operation), tensors[0].dtype, tensors[0].shape))
        return made


def _memory(tree: Any) -> set[int]:
    tensors = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


@pytest.fixture(scope="module")
def editor(tiny_models: dict[str, Path]) -> Iterator[QwenEditor]:
    # In bf16, where a step ends with the rounding of what it computed in fp32.
    opened = opening(ModelSettings(path=tiny_models[EDIT_PLUS]), {"DTYPE": "bf16"}, at=place())
    yield opened
    opened.close()


@pytest.fixture
def job(
    canvas: Callable[..., Path], request_of: Callable[..., EditRequest]
) -> Callable[[], EditRequest]:
    """job() -> always the same job, one with guidance."""
    image = canvas((64, 32))
    return lambda: request_of(images=(image,), cfg=4.0, steps=2)


def _edited(editor: QwenEditor, request: EditRequest, pressure: Cramped) -> Any:
    decide(editor, passing_through(1), passing_through(0))
    told: list[Event] = []

    def listen(event: Event) -> frozenset[str]:
        told.append(event)
        return frozenset()

    with pressure:
        editor.edit([request], listen)
    assert isinstance(told[-1], Done), told[-1]
    assert [event.step for event in told if isinstance(event, Step)] == [1, 2]
    with Image.open(request.result) as picture:
        return np.asarray(picture)


def _enough_to_keep_all(size: ModelSize) -> int:
    """The least budget with which a mixed batch leaves every weight where it is."""

    def stays(budget_bytes: int) -> bool:
        return plan(size, MIXED_WORK, budget_bytes).keeps_all

    least = smallest_bytes(size, MIXED_WORK)
    enough = bisect_left(range(4 * GIB), True, lo=least, key=stays)
    assert enough > least
    return enough


def test_what_stays_for_good_while_it_denoises_stays_while_it_reads(editor: QwenEditor) -> None:
    size = editor._parts.size
    enough = _enough_to_keep_all(size)
    room = StageMemory(
        place(budget_bytes=enough),
        size,
        usual=replace(MIXED_WORK, sequences=2),
        usual_batch=MIXED_WORK,
    )
    assert room.for_reading(()).keeps_all
    assert room.for_reading([replace(MIXED_WORK, sequences=4)] * 2).keeps_all


class Shared:
    """A device on which other programs come and go."""

    def __init__(self, editor: QwenEditor) -> None:
        self.size = editor._parts.size
        self.free_bytes = _enough_to_keep_all(self.size)
        self.less_bytes = smallest_bytes(self.size, MIXED_WORK)
        at = replace(place(), budget_bytes=lambda: self.free_bytes)
        self.room = StageMemory(at, self.size, usual=MIXED_WORK, usual_batch=MIXED_WORK)

    def next_batch(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes
        self.room.begin_batch()

    def is_planned_with(self, budget_bytes: int) -> bool:
        works = [replace(MIXED_WORK, sequences=sequences) for sequences in range(1, 9)]
        return all(self.room.plan(it) == plan(self.size, it, budget_bytes) for it in works)


def test_each_batch_is_planned_with_what_other_programs_leave_free(editor: QwenEditor) -> None:
    shared = Shared(editor)
    before_bytes, less_bytes = shared.free_bytes, shared.less_bytes
    assert shared.is_planned_with(before_bytes)
    assert not shared.is_planned_with(less_bytes)
    shared.free_bytes = less_bytes
    assert shared.is_planned_with(before_bytes)  # a batch under way goes on as it was planned
    for free_bytes in (less_bytes, before_bytes, 4 * GIB):
        shared.next_batch(free_bytes)
        assert shared.is_planned_with(free_bytes)


def test_what_was_learnt_from_an_out_of_memory_stays_when_others_take_less(
    editor: QwenEditor,
) -> None:
    shared = Shared(editor)
    shared.next_batch(4 * GIB)
    moments = iter([True, False])

    def cramped() -> None:
        if next(moments):
            message = "CUDA out of memory."
            raise torch.OutOfMemoryError(message)

    shared.room.retrying("denoising", cramped)
    narrow_bytes = after_out_of_memory(4 * GIB)
    shared.next_batch(5 * GIB)
    assert shared.is_planned_with(narrow_bytes)
    shared.next_batch(shared.less_bytes)
    assert shared.is_planned_with(shared.less_bytes)
    for _ in range(20):
        shared.next_batch(5 * GIB)
    assert shared.is_planned_with(5 * GIB)


def test_a_job_that_another_program_leaves_no_room_for_may_be_tried_again(
    editor: QwenEditor,
) -> None:
    shared = Shared(editor)
    large, huge = (replace(MIXED_WORK, tokens=tokens) for tokens in (100_000, 10_000_000))
    fitting_bytes = smallest_bytes(shared.size, large)
    for free_bytes in (fitting_bytes, shared.less_bytes):
        shared.next_batch(free_bytes)
    for work, failure in ((large, Failure.TRANSIENT), (huge, Failure.PERMANENT)):
        with pytest.raises(EditError, match="too large for the GPU") as raised:
            shared.room.plan(work)
        assert raised.value.failure is failure


def _usual(editor: QwenEditor, job: Callable[[], EditRequest]) -> tuple[Any, list[Kind]]:
    """The picture, and all operations that took memory on the way to it."""
    _edited(editor, job(), Cramped())  # fills the libraries' caches
    watching = Cramped()
    return _edited(editor, job(), watching), watching.kinds


@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.torture)])
def test_an_out_of_memory_at_an_operation_of_any_kind_changes_no_picture(
    every: int, editor: QwenEditor, job: Callable[[], EditRequest]
) -> None:
    expected, kinds = _usual(editor, job)
    last_of_each_kind = {kind: number for number, kind in enumerate(kinds)}
    for kind, moment in [*last_of_each_kind.items()][::every]:
        found = _edited(editor, job(), Cramped(moment))
        assert np.array_equal(found, expected), f"operation {moment}, {kind}"


def test_an_out_of_memory_while_a_step_is_rounded_does_not_count_it_twice(
    editor: QwenEditor, job: Callable[[], EditRequest]
) -> None:
    expected, kinds = _usual(editor, job)
    rounding: Kind = ("aten._to_copy.default", torch.bfloat16, torch.Size([1, 8, 64]))
    moments = [number for number, kind in enumerate(kinds) if kind == rounding]
    assert len(moments) >= 2
    for moment in moments:
        found = _edited(editor, job(), Cramped(moment))
        assert np.array_equal(found, expected), f"operation {moment}"
