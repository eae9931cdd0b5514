"""Requests that share the passage of the blocks: each is edited as if it were alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model.lanes import CrampedLane, EarlyLane, LateLane
from PIL import Image

from config.settings import ModelSettings
from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import Done, EditRequest, Event, Failed, Failure, Stage, StageName, Step
from pipeline.qwen import parts
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.lane import InlineLane, Lane
from pipeline.qwen.place import Streamed
from pipeline.qwen.plan import ModelSize, Work, least_bytes

MIXED_WORK = Work(sequences=8, tokens=3000, text_tokens=1500, pixels=65536)


@pytest.fixture(scope="module")
def size(folders: dict[str, Path]) -> ModelSize:
    from pipeline import checkpoint
    from pipeline.qwen import load, precision

    source = checkpoint.read(folders[EDIT_PLUS])
    return parts.measure(load.load(source, precision.Precision.FP32))


@pytest.fixture
def streaming(folders: dict[str, Path], size: ModelSize) -> Iterator[Callable[..., QwenEditor]]:
    """streaming(lane, resident, edit_class) -> an editor with so many blocks resident."""
    opened: list[QwenEditor] = []

    def open_it(
        lane: Lane, resident: int = 0, *, edit_class: str = EDIT_PLUS, spacious: int = 1
    ) -> QwenEditor:
        least = least_bytes(size, MIXED_WORK) + resident * size.transformer.block_bytes
        at = Streamed(device=torch.device("cpu"), lane=lane, budget_bytes=least * spacious)
        chosen = ModelSettings(path=folders[edit_class], batch=8)
        opened.append(opening(chosen, {"DTYPE": "fp32"}, at=at))
        return opened[-1]

    yield open_it
    for editor in opened:
        editor.close()


@pytest.fixture
def mixed(
    canvas: Callable[..., Path], request_of: Callable[..., EditRequest]
) -> Callable[[], list[EditRequest]]:
    """mixed() -> requests of different sizes, steps, seeds, guidance and references."""

    def make() -> list[EditRequest]:
        wide, tall = canvas((160, 64)), canvas((64, 96), tone=90)
        return [
            request_of(steps=3, cfg=4.0, negative_prompt="blurred"),
            request_of(images=(wide,), steps=1, seed=1),
            request_of(images=(tall, wide), steps=2, cfg=2.0, prompt="Turn the square to blue"),
        ]

    return make


def _pictures(requests: list[EditRequest]) -> list[Any]:
    return [np.asarray(Image.open(request.result)) for request in requests]


def _alone(editor: QwenEditor, requests: list[EditRequest]) -> list[Any]:
    for request in requests:
        editor.edit([request], lambda _event: frozenset())
    return _pictures(requests)


@pytest.mark.parametrize(("lane", "resident"), [(LateLane, 0), (EarlyLane, 1), (LateLane, 2)])
def test_a_mixed_batch_gives_what_each_gives_alone_whatever_is_resident(
    *,
    lane: Callable[[], Lane],
    resident: int,
    streaming: Callable[..., QwenEditor],
    mixed: Callable[[], list[EditRequest]],
    open_editor: Callable[..., Any],
    listener: Any,
) -> None:
    together = mixed()
    streaming(lane(), resident).edit(together, listener)
    assert sum(isinstance(event, Done) for event in listener.events) == 3
    expected = _alone(open_editor(), mixed())
    for found, alone in zip(_pictures(together), expected, strict=True):
        assert np.array_equal(found, alone)


def test_the_single_picture_model_streams_too(
    streaming: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    open_editor: Callable[..., Any],
) -> None:
    differences = {"cfg": 4.0, "steps": 3}
    found = picture_of(streaming(LateLane(), edit_class=EDIT), request_of(**differences))
    assert np.array_equal(found, picture_of(open_editor(EDIT), request_of(**differences)))


def test_stages_follow_each_other_for_all_and_early_leavers_leave(
    open_editor: Callable[..., Any], mixed: Callable[[], list[EditRequest]], listener: Any
) -> None:
    requests = mixed()
    open_editor().edit(requests, listener)
    stages = [event.stage for event in listener.events if isinstance(event, Stage)]
    assert stages == [*[StageName.ENCODE] * 3, *[StageName.DENOISE] * 3, *[StageName.DECODE] * 3]
    steps = [event for event in listener.events if isinstance(event, Step)]
    order = [(requests.index(_of(requests, step)), step.step) for step in steps]
    assert order == [(0, 1), (1, 1), (2, 1), (0, 2), (2, 2), (0, 3)]


def _of(requests: list[EditRequest], event: Event) -> EditRequest:
    return next(one for one in requests if one.request_id == event.request_id)


@pytest.mark.parametrize("moment", [StageName.ENCODE, StageName.DENOISE, 1, 2, StageName.DECODE])
def test_one_that_is_dropped_from_a_batch_leaves_the_others_unharmed(
    moment: Any,
    open_editor: Callable[..., Any],
    mixed: Callable[[], list[EditRequest]],
    listener: Any,
) -> None:
    requests = mixed()
    unwanted = requests[0]

    def at_the_moment(event: Event) -> frozenset[str]:
        match event:
            case Stage(name, stage) if name == unwanted.request_id and stage is moment:
                return frozenset({name})
            case Step(name, step, _) if name == unwanted.request_id and step == moment:
                return frozenset({name})
            case _:
                return frozenset()

    listener.drop_at = at_the_moment
    open_editor().edit(requests, listener)
    assert not unwanted.result.exists()
    endings = [event for event in listener.events if isinstance(event, Done | Failed)]
    assert [type(ending) for ending in endings] == [Done, Done]
    alone = _alone(open_editor(), mixed()[1:])
    for found, expected in zip(_pictures(requests[1:]), alone, strict=True):
        assert np.array_equal(found, expected)


def test_the_encoder_passes_once_a_batch(
    streaming: Callable[..., QwenEditor], mixed: Callable[[], list[EditRequest]]
) -> None:
    def copies(requests: list[EditRequest]) -> int:
        lane = EarlyLane()
        editor = streaming(lane)
        before = lane.copies
        # Nobody waits for more than the reading.
        editor.edit(requests, lambda event: _all_if_denoising(event, requests))
        return lane.copies - before

    assert copies(mixed()) == copies(mixed()[:1])


def _all_if_denoising(event: Event, requests: list[EditRequest]) -> frozenset[str]:
    if isinstance(event, Stage) and event.stage is StageName.DENOISE:
        return frozenset(request.request_id for request in requests)
    return frozenset()


def _copies_before_editing(streaming: Callable[..., QwenEditor]) -> int:
    lane = CrampedLane()
    streaming(lane)
    return lane.copies


@pytest.mark.parametrize("later", [1, 4, 7, 10])
def test_an_out_of_memory_costs_a_smaller_plan_and_not_the_job(
    later: int,
    streaming: Callable[..., QwenEditor],
    mixed: Callable[[], list[EditRequest]],
    open_editor: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lane = CrampedLane(_copies_before_editing(streaming) + later)
    editor = streaming(lane, spacious=2)
    requests = mixed()
    editor.edit(requests, lambda _event: frozenset())
    assert "ran out of memory" in caplog.text
    for found, alone in zip(_pictures(requests), _alone(open_editor(), mixed()), strict=True):
        assert np.array_equal(found, alone)


def test_a_gpu_that_is_always_out_of_memory_fails_the_job_and_says_so(
    streaming: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    start = _copies_before_editing(streaming)
    editor = streaming(CrampedLane(*range(start + 1, start + 1000)))
    ending = edit(editor, request_of())
    assert isinstance(ending, Failed)
    assert "memory" in ending.error.cause


def test_a_job_that_no_plan_holds_is_refused_and_the_next_is_edited(
    streaming: Callable[..., QwenEditor],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    listener: Any,
) -> None:
    large, small = request_of(images=(canvas((2048, 1536)),)), request_of()
    streaming(InlineLane()).edit([large, small], listener)
    endings = {e.request_id: e for e in listener.events if isinstance(e, Done | Failed)}
    refused = endings[large.request_id]
    assert isinstance(refused, Failed)
    assert refused.error.failure is Failure.PERMANENT
    assert "too large for the GPU" in refused.error.cause
    assert isinstance(endings[small.request_id], Done)


def test_many_jobs_and_failures_leave_no_tensor_behind(
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    tmp_path: Path,
) -> None:
    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    def some() -> list[EditRequest]:
        broken = tmp_path / "none.png"
        good = [request_of(steps=1) for _ in range(4)]
        return [*good, request_of(images=(broken,)), request_of(lora="none")]

    editor = open_editor()
    editor.edit(some(), lambda _event: frozenset())
    before = tensors()
    for _ in range(4):
        editor.edit(some(), lambda _event: frozenset())
    assert tensors() <= before


def test_the_plan_is_logged_when_the_editor_opens(
    streaming: Callable[..., QwenEditor], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        streaming(InlineLane())
    assert "GPU memory allowed" in caplog.text
