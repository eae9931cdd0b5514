"""What an editor promises through the seam."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from config import codec
from config.problems import UserError
from config.settings import ModelSettings
from pipeline import editor_worker
from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import (
    Done,
    EditError,
    EditRequest,
    Event,
    Failed,
    Failure,
    Stage,
    StageName,
    Step,
)
from pipeline.qwen import engine
from pipeline.qwen.encode import open_canvases
from pipeline.qwen.prompt import Length, check_length


class HangUpError(Exception):
    """What a listener raises."""


def test_it_says_what_it_is(open_editor: Callable[..., Any], tiny_models: dict[str, Path]) -> None:
    facts = open_editor(EDIT_PLUS, "bf16").describe()
    assert facts.path == str(tiny_models[EDIT_PLUS])
    assert (facts.class_name, facts.dtype, facts.weights) == (EDIT_PLUS, "bf16", "random")
    assert (facts.working_pixels, facts.multiple) == (65536, 32)
    assert {name for name, _version in facts.versions} == {"torch", "diffusers", "transformers"}
    assert facts.device == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_where_a_gpu_is_needed_the_cpu_takes_not_its_place(tiny_models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="it cannot be used any more"):
        editor_worker.open_editor(
            "qwen", ModelSettings(path=tiny_models[EDIT_PLUS]), needs_gpu=True
        )


def test_every_stage_and_step_is_told_in_order(
    open_editor: Callable[..., Any], request_of: Callable[..., EditRequest], listener: Any
) -> None:
    request = request_of(request_id="a", steps=3)
    open_editor().edit([request], listener)
    *before, done = listener.events
    assert before == [
        Stage("a", StageName.ENCODE),
        Stage("a", StageName.DENOISE),
        *[Step("a", step, 3) for step in (1, 2, 3)],
        Stage("a", StageName.DECODE),
    ]
    assert isinstance(done, Done)
    assert done.result.path == request.result
    assert done.result.peak_vram_gib == 0
    assert min(done.result.encode_seconds, done.result.denoise_seconds) > 0


def test_the_result_is_a_png_of_the_first_images_size(
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    request = request_of(images=(canvas((64, 160)), canvas((96, 96))))
    edit(open_editor(EDIT_PLUS, "bf16"), request)
    with Image.open(request.result) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (64, 160))


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    editor = open_editor(EDIT_PLUS, "bf16")
    first, again = (picture_of(editor, request_of(seed=2**63 - 1)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, picture_of(editor, request_of(seed=1)))


@pytest.mark.parametrize("change", [{"prompt": "Make it blue"}, {"cfg": 4.0}, {"steps": 3}])
def test_everything_that_is_asked_for_shows_in_the_picture(
    change: dict[str, Any],
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    editor = open_editor()
    plain = picture_of(editor, request_of())
    assert not np.array_equal(plain, picture_of(editor, request_of(**change)))


def test_a_negative_prompt_counts_only_with_guidance(
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    def picture(cfg: float, negative: str) -> Any:
        return picture_of(open_editor(), request_of(cfg=cfg, negative_prompt=negative))

    assert np.array_equal(picture(1.0, " "), picture(1.0, "blurred"))
    assert not np.array_equal(picture(4.0, " "), picture(4.0, "blurred"))


def test_a_random_picture_is_neither_flat_nor_black(
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    assert picture_of(open_editor(EDIT, "bf16"), request_of(steps=8)).std() > 20


def test_a_second_image_is_refused_by_a_model_that_takes_one(
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    ending = edit(open_editor(EDIT), request_of(images=(canvas(), canvas())))
    assert isinstance(ending, Failed)
    assert ending.error.failure is Failure.PERMANENT
    assert EDIT_PLUS in ending.error.advice


@pytest.mark.parametrize("size", [(100, 96), (32, 3232)])
def test_a_canvas_that_the_model_cannot_take_is_refused_with_its_size(
    size: tuple[int, int],
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    ending = edit(open_editor(), request_of(images=(canvas(size),)))
    assert isinstance(ending, Failed)
    assert ending.error.failure is Failure.PERMANENT
    assert f"{size[0]}x{size[1]}" in ending.error.cause


def test_the_sides_of_a_canvas_follow_the_multiple_that_the_model_declares(
    canvas: Callable[..., Path],
) -> None:
    path = canvas((224, 112))
    assert [one.size for one in open_canvases([path], several=True, multiple=112)] == [(224, 112)]
    with pytest.raises(EditError, match="224x112; both sides must be multiples of 32"):
        open_canvases([path], several=True, multiple=32)


def test_a_picture_that_leaves_no_room_for_a_prompt_is_told_apart_from_a_long_prompt() -> None:
    with pytest.raises(EditError, match="no room is left for a prompt") as raised:
        check_length(Length(tokens=3, allowed=-1300), what="prompt")
    assert raised.value.advice == "Write a smaller megapixels."
    with pytest.raises(EditError, match="too long: 3 tokens, and the model takes 2"):
        check_length(Length(tokens=3, allowed=2), what="prompt")


def test_one_failed_request_stops_no_other(
    tmp_path: Path,
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    listener: Any,
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    requests = [request_of(), request_of(images=(broken,)), request_of()]
    open_editor().edit(requests, listener)
    endings = [event for event in listener.events if isinstance(event, Done | Failed)]
    assert len(endings) == 3
    found = {ending.request_id: type(ending) for ending in endings}
    assert [found[one.request_id] for one in requests] == [Done, Failed, Done]


def test_whatever_a_library_makes_of_a_foreign_schedule_costs_the_job_alone(
    tmp_path: Path,
    tiny_models: dict[str, Path],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    model = shutil.copytree(tiny_models[EDIT_PLUS], tmp_path / "model")
    file = model / "scheduler" / "scheduler_config.json"
    schedule = json.loads(file.read_text())
    file.write_text(json.dumps(schedule | {"shift_terminal": "much"}))
    opened = engine.open_editor(ModelSettings(path=model), {"DTYPE": "fp32"})
    try:
        for _ in range(2):  # and the editor goes on
            ending = edit(opened, request_of())
            assert isinstance(ending, Failed)
            assert "failed while reading the model's scheduler/ (TypeError" in ending.error.cause
    finally:
        opened.close()


def test_noise_that_a_schedule_adds_in_its_steps_comes_from_the_seed(
    tmp_path: Path,
    tiny_models: dict[str, Path],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    open_editor: Callable[..., Any],
) -> None:
    model = shutil.copytree(tiny_models[EDIT_PLUS], tmp_path / "model")
    file = model / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"stochastic_sampling": True}))
    opened = engine.open_editor(ModelSettings(path=model), {"DTYPE": "fp32"})
    try:
        first, again, other = (
            picture_of(opened, request_of(steps=3, seed=seed)) for seed in (5, 5, 6)
        )
    finally:
        opened.close()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, picture_of(open_editor(), request_of(steps=3, seed=5)))


def _events_of_one_edit() -> list[Any]:
    return [StageName.ENCODE, StageName.DENOISE, 1, 2, StageName.DECODE]


def _is_at(event: Event, moment: Any) -> bool:
    match event:
        case Stage(_, stage):
            return bool(stage is moment)
        case Step(_, step, _):
            return bool(step == moment)
        case _:
            return False


@pytest.mark.parametrize("moment", _events_of_one_edit())
def test_a_dropped_request_leaves_nothing_and_the_next_is_as_ever(
    moment: Any,
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    listener: Any,
) -> None:
    editor = open_editor(EDIT_PLUS, "bf16")
    expected = picture_of(editor, request_of())
    unwanted, wanted = request_of(cfg=4.0, steps=5), request_of()
    ids = frozenset({unwanted.request_id})
    listener.drop_at = lambda event: ids if _is_at(event, moment) else frozenset()
    editor.edit([unwanted, wanted], listener)
    assert _is_at([e for e in listener.events if e.request_id in ids][-1], moment)
    assert not list(unwanted.result.parent.glob(f"{unwanted.result.name}*"))
    with Image.open(wanted.result) as picture:
        assert np.array_equal(np.asarray(picture), expected)


def test_a_request_dropped_before_its_turn_never_starts(
    open_editor: Callable[..., Any], request_of: Callable[..., EditRequest], listener: Any
) -> None:
    first, second = request_of(), request_of()
    listener.drop_at = lambda _event: frozenset({second.request_id})
    open_editor().edit([first, second], listener)
    assert {event.request_id for event in listener.events} == {first.request_id}
    assert isinstance(listener.events[-1], Done)


@pytest.mark.parametrize("moment", _events_of_one_edit())
def test_after_a_listener_has_raised_the_next_result_is_that_of_a_fresh_editor(
    moment: Any,
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    editor = open_editor(EDIT_PLUS, "bf16")
    expected = picture_of(editor, request_of())

    def hang_up(event: Event) -> frozenset[str]:
        if _is_at(event, moment):
            raise HangUpError
        return frozenset()

    unwanted = request_of(cfg=4.0, steps=5)
    with pytest.raises(HangUpError):
        editor.edit([unwanted], hang_up)
    assert not unwanted.result.exists()
    assert np.array_equal(picture_of(editor, request_of()), expected)


def test_a_result_that_cannot_be_written_is_the_machines_fault(
    tmp_path: Path,
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    ending = edit(open_editor(), request_of(result=tmp_path / "gone" / "a.png"))
    assert isinstance(ending, Failed)
    assert "a.png.part: No such file" in ending.error.cause
    assert ending.error.failure is Failure.ENVIRONMENT


def test_a_failure_crosses_to_another_process_without_its_tensors(
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    ending = edit(open_editor(), request_of(images=(Path("/nowhere.png"),)))
    assert isinstance(ending, Failed)
    assert ending.error.__traceback__ is None
    assert ending.error.__context__ is None
    assert codec.load(Failed, codec.dump(ending)).error.cause == ending.error.cause
