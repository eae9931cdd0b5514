"""Requests that share the passage of the blocks: each is edited as if it were alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rig import stage_memory
from rig.copy_streams import BrokenLane, CrampedLane, EarlyLane, LateLane
from rig.stage_memory import MIXED_WORK, decide, passing_through, place

from config.problems import UserError
from config.settings import ModelSettings
from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import (
    Done,
    EditRequest,
    Event,
    Failed,
    Failure,
    OnEvent,
    Stage,
    StageName,
    Step,
)
from pipeline.qwen import components
from pipeline.qwen.batch import Batch
from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream
from pipeline.qwen.denoise import Denoising
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.offload_plan import Plan, Work, smallest_bytes
from pipeline.qwen.progress import Progress
from pipeline.qwen.stage_memory import StageMemory

BLOCKS = 4


@pytest.fixture(scope="module")
def least_bytes(tiny_models: dict[str, Path]) -> int:
    """Memory that is just enough to pass the mixed jobs through."""
    from pipeline import checkpoint
    from pipeline.qwen import load, precision

    pipe = load.load(checkpoint.read(tiny_models[EDIT_PLUS]), precision.Precision.FP32)
    return stage_memory.least_bytes(components.measure(pipe), MIXED_WORK)


@pytest.fixture
def planning(
    tiny_models: dict[str, Path], least_bytes: int
) -> Iterator[Callable[..., QwenEditor]]:
    """planning(copy stream, edit_class) -> an editor that plans for itself."""
    opened: list[QwenEditor] = []

    def open_it(copy_stream: CopyStream, *, edit_class: str = EDIT_PLUS) -> QwenEditor:
        chosen = ModelSettings(path=tiny_models[edit_class], batch=8)
        opened.append(opening(chosen, {"DTYPE": "fp32"}, at=place(copy_stream, least_bytes)))
        opened[-1]._parts.wait()
        return opened[-1]

    yield open_it
    for editor in opened:
        editor.close()


@pytest.fixture
def streaming(planning: Callable[..., QwenEditor]) -> Callable[..., QwenEditor]:
    """streaming(copy_stream, *plans) -> an editor by the plans; without one nothing stays."""

    def open_it(copy_stream: CopyStream, *plans: Plan, edit_class: str = EDIT_PLUS) -> QwenEditor:
        editor = planning(copy_stream, edit_class=edit_class)
        decide(editor, *(plans or [passing_through(0)]))
        return editor

    return open_it


@pytest.fixture
def mixed(
    canvas: Callable[..., Path], request_of: Callable[..., EditRequest]
) -> Callable[[], list[EditRequest]]:
    """mixed() -> requests of different sizes, steps, seeds, guidance and references."""

    def make() -> list[EditRequest]:
        wide, tall = canvas((160, 64)), canvas((64, 96), tone=90)
        return [
            request_of(steps=4, cfg=4.0, negative_prompt="blurred"),
            request_of(images=(wide,), steps=1, seed=1),
            request_of(images=(tall, wide), steps=2, cfg=2.0, prompt="Turn the square to blue"),
        ]

    return make


class Crossings:
    """Listens, and notes how many copies were made by each step of the longest job."""

    def __init__(self, copy_stream: Any, longest: EditRequest) -> None:
        self._copy_stream = copy_stream
        self._longest = longest.request_id
        self._copies: dict[int, int] = {}
        self.endings: list[Event] = []

    def __call__(self, event: Event) -> frozenset[str]:
        match event:
            case Step(name, step, _) if name == self._longest:
                self._copies[step] = self._copy_stream.copies
            case Done() | Failed():
                self.endings.append(event)
            case _:
                pass
        return frozenset()

    @property
    def of_a_step(self) -> int:
        """Of one in the midst, where the first ones and the last ones change nothing."""
        return self._copies[2] - self._copies[1]


def _pictures(requests: list[EditRequest]) -> list[Any]:
    return [np.asarray(Image.open(request.result)) for request in requests]


def _alone(editor: QwenEditor, requests: list[EditRequest]) -> list[Any]:
    for request in requests:
        editor.edit([request], lambda _event: frozenset())
    return _pictures(requests)


@pytest.fixture(scope="module")
def known() -> list[Any]:
    """What `alone` has computed already."""
    return []


@pytest.fixture
def alone(
    open_editor: Callable[..., Any], mixed: Callable[[], list[EditRequest]], known: list[Any]
) -> list[Any]:
    """The pictures of the mixed jobs when each is alone, and all weights are at home."""
    if not known:
        known += _alone(open_editor(), mixed())
    return known


@pytest.mark.parametrize("kind", [LateLane, EarlyLane])
@pytest.mark.parametrize("resident", range(BLOCKS + 1))
def test_a_mixed_batch_gives_what_each_gives_alone_whatever_is_resident(
    *,
    kind: Callable[[], Any],
    resident: int,
    streaming: Callable[..., QwenEditor],
    mixed: Callable[[], list[EditRequest]],
    alone: list[Any],
) -> None:
    together, copy_stream = mixed(), kind()
    crossings = Crossings(copy_stream, together[0])
    streaming(copy_stream, passing_through(resident)).edit(together, crossings)
    assert [type(ending) for ending in crossings.endings] == [Done] * 3
    assert crossings.of_a_step == BLOCKS - resident
    for found, expected in zip(_pictures(together), alone, strict=True):
        assert np.array_equal(found, expected)


def test_the_single_picture_model_streams_too(
    streaming: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    open_editor: Callable[..., Any],
) -> None:
    request, copy_stream = request_of(cfg=4.0, steps=4), LateLane()
    crossings = Crossings(copy_stream, request)
    streaming(copy_stream, edit_class=EDIT).edit([request], crossings)
    assert crossings.of_a_step == BLOCKS
    expected = picture_of(open_editor(EDIT), request_of(cfg=4.0, steps=4))
    assert np.array_equal(_pictures([request])[0], expected)


def test_sequences_that_fly_in_turns_give_the_same_pictures(
    planning: Callable[..., QwenEditor],
    mixed: Callable[[], list[EditRequest]],
    alone: list[Any],
) -> None:
    in_turns, copy_stream = mixed(), EarlyLane()
    editor = planning(copy_stream)
    decide(editor, passing_through(1), together=2)
    editor.edit(in_turns, lambda _event: frozenset())
    for found, expected in zip(_pictures(in_turns), alone, strict=True):
        assert np.array_equal(found, expected)


def test_jobs_that_keep_too_much_for_one_batch_are_edited_in_parts(
    planning: Callable[..., QwenEditor],
    mixed: Callable[[], list[EditRequest]],
    alone: list[Any],
    listener: Any,
) -> None:
    requests, editor = mixed(), planning(EarlyLane())
    size, works = editor._parts.size, _works(editor, requests)
    enough = place(budget_bytes=max(smallest_bytes(size, work) for work in works))
    room = StageMemory(enough, size, usual=works[0], usual_batch=works[0])
    editor._means = replace(editor._means, room=room)
    under_way: list[int] = []

    def count(event: Event) -> frozenset[str]:
        if isinstance(event, Stage) and event.stage is StageName.DENOISE:
            under_way.append(sum(type(one) is Denoising for one in gc.get_objects()))
        return frozenset()

    listener.drop_at = count
    editor.edit(requests, listener)
    assert under_way == [1, 2, 2]  # the first alone, then the two smaller ones together
    told = [type(event) for event in listener.events if isinstance(event, Step | Done | Failed)]
    assert [ending for ending in told if ending is not Step] == [Done] * 3
    assert told.index(Done) < len(told) - 1 - told[::-1].index(Step)
    for found, expected in zip(_pictures(requests), alone, strict=True):
        assert np.array_equal(found, expected)


def _works(editor: QwenEditor, requests: list[EditRequest]) -> list[Work]:
    """What each asks for alone."""
    batch = Batch(editor._means, Progress(lambda _event: frozenset()))
    return [job.work for request in requests for job in batch._prepared(request)]


def test_what_stays_for_good_crosses_once(
    planning: Callable[..., QwenEditor], mixed: Callable[[], list[EditRequest]]
) -> None:
    copy_stream = EarlyLane()
    editor = planning(copy_stream)
    requests = mixed()[1:2]
    assert editor._means.room.plan(replace(MIXED_WORK, sequences=1, tokens=300)).keeps_all
    editor.edit(requests, lambda _event: frozenset())
    before = copy_stream.copies
    editor.edit(requests, lambda _event: frozenset())
    assert copy_stream.copies == before


def test_stages_follow_each_other_for_all_and_early_leavers_leave(
    open_editor: Callable[..., Any], mixed: Callable[[], list[EditRequest]], listener: Any
) -> None:
    requests = mixed()
    open_editor().edit(requests, listener)
    stages = [event.stage for event in listener.events if isinstance(event, Stage)]
    assert stages == [*[StageName.ENCODE] * 3, *[StageName.DENOISE] * 3, *[StageName.DECODE] * 3]
    steps = [event for event in listener.events if isinstance(event, Step)]
    order = [(requests.index(_of(requests, step)), step.step) for step in steps]
    assert order == [(0, 1), (1, 1), (2, 1), (0, 2), (2, 2), (0, 3), (0, 4)]


def _of(requests: list[EditRequest], event: Event) -> EditRequest:
    return next(one for one in requests if one.request_id == event.request_id)


@pytest.mark.parametrize("moment", [StageName.ENCODE, StageName.DENOISE, 1, 2, StageName.DECODE])
def test_one_that_is_dropped_from_a_batch_leaves_the_others_unharmed(
    moment: Any,
    open_editor: Callable[..., Any],
    mixed: Callable[[], list[EditRequest]],
    alone: list[Any],
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
    for found, expected in zip(_pictures(requests[1:]), alone[1:], strict=True):
        assert np.array_equal(found, expected)


def test_the_encoder_passes_once_a_batch(
    streaming: Callable[..., QwenEditor], mixed: Callable[[], list[EditRequest]]
) -> None:
    def copies(requests: list[EditRequest]) -> int:
        copy_stream = EarlyLane()
        editor = streaming(copy_stream)
        before = copy_stream.copies
        # Nobody waits for more than the reading.
        editor.edit(requests, lambda event: _all_if_denoising(event, requests))
        return copy_stream.copies - before

    assert copies(mixed()) == copies(mixed()[:1])
    assert copies(mixed()) >= 2 + 2  # its layers, and those of its vision tower


def _all_if_denoising(event: Event, requests: list[EditRequest]) -> frozenset[str]:
    if isinstance(event, Stage) and event.stage is StageName.DENOISE:
        return frozenset(request.request_id for request in requests)
    return frozenset()


def _cramping(
    copy_stream: CrampedLane, at: object, requests: list[EditRequest], *, times: int = 1
) -> OnEvent:
    """A listener that lets the copy stream fail, from a stage or step of the first request on."""

    def listen(event: Event) -> frozenset[str]:
        match event:
            case Stage(name, moment) | Step(name, moment, _):
                if name == requests[0].request_id and moment == at:
                    copy_stream.failing = times
            case _:
                pass
        return frozenset()

    return listen


@pytest.mark.parametrize("moment", [StageName.ENCODE, StageName.DENOISE, 1, 2, 3, 4])
def test_an_out_of_memory_costs_a_smaller_plan_and_not_the_job(
    moment: object,
    streaming: Callable[..., QwenEditor],
    mixed: Callable[[], list[EditRequest]],
    alone: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    copy_stream, requests = CrampedLane(), mixed()
    editor = streaming(copy_stream, passing_through(2), passing_through(0))
    editor.edit(requests, _cramping(copy_stream, moment, requests))
    assert copy_stream.failing == 0
    assert caplog.text.count("ran out of memory") == 1
    for found, expected in zip(_pictures(requests), alone, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("moment", [StageName.ENCODE, StageName.DENOISE, 1, 4])
def test_a_gpu_that_is_always_out_of_memory_fails_the_jobs_and_says_so(
    moment: object,
    streaming: Callable[..., QwenEditor],
    mixed: Callable[[], list[EditRequest]],
    listener: Any,
) -> None:
    copy_stream, requests = CrampedLane(), mixed()
    listener.drop_at = _cramping(copy_stream, moment, requests, times=1000)
    editor = streaming(copy_stream, passing_through(2), passing_through(0))
    editor.edit(requests, listener)
    copy_stream.failing = 0
    endings = [event for event in listener.events if isinstance(event, Done | Failed)]
    assert len(endings) == 3
    assert all(isinstance(e, Failed) and "memory" in e.error.cause for e in endings)
    assert not [request for request in requests if request.result.exists()]


def test_a_budget_shrinks_until_no_plan_is_left(
    planning: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    listener: Any,
) -> None:
    copy_stream, request = CrampedLane(), request_of()
    listener.drop_at = _cramping(copy_stream, StageName.ENCODE, [request], times=1000)
    planning(copy_stream).edit([request], listener)
    copy_stream.failing = 0
    assert isinstance(listener.events[-1], Failed)
    assert "memory" in listener.events[-1].error.cause


def test_a_job_that_no_plan_holds_is_refused_and_the_next_is_edited(
    planning: Callable[..., QwenEditor],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    listener: Any,
) -> None:
    large, small = request_of(images=(canvas((2048, 1536)),)), request_of()
    planning(InlineCopyStream()).edit([large, small], listener)
    endings = {e.request_id: e for e in listener.events if isinstance(e, Done | Failed)}
    refused = endings[large.request_id]
    assert isinstance(refused, Failed)
    assert refused.error.failure is Failure.PERMANENT
    assert "too large for the GPU" in refused.error.cause
    assert refused.error.advice.startswith("Write a smaller megapixels")
    assert isinstance(endings[small.request_id], Done)


def test_the_plan_is_logged_when_the_editor_opens(
    planning: Callable[..., QwenEditor], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        planning(InlineCopyStream())
    assert "GPU memory allowed" in caplog.text


def test_opening_brings_every_weight_once_and_compares_it(
    planning: Callable[..., QwenEditor],
) -> None:
    copy_stream = EarlyLane()
    editor = planning(copy_stream)
    stacks = [*editor._parts.encoder.stacks, *editor._parts.transformer.stacks]
    beside = 3  # what of encoder, transformer and VAE is in no stack
    assert copy_stream.copies >= sum(len(stack.blocks) for stack in stacks) + beside


def test_an_editor_whose_weights_do_not_arrive_whole_edits_nothing(
    tiny_models: dict[str, Path], request_of: Callable[..., EditRequest], listener: Any
) -> None:
    settings, request = ModelSettings(path=tiny_models[EDIT_PLUS]), request_of()
    editor = opening(settings, {"DTYPE": "fp32"}, at=place(BrokenLane(at=2)))
    with pytest.raises(UserError, match="weights do not reach it unchanged"):
        editor.edit([request], listener)
    assert not request.result.exists()
    editor.close()


def test_a_job_is_edited_after_another_for_which_no_memory_was_left(
    planning: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
    listener: Any,
) -> None:
    copy_stream, request = CrampedLane(), request_of()
    editor = planning(copy_stream)
    listener.drop_at = _cramping(copy_stream, StageName.ENCODE, [request], times=1000)
    editor.edit([request], listener)
    assert isinstance(listener.events[-1], Failed)
    copy_stream.failing = 0
    assert isinstance(edit(editor, request_of()), Done)
