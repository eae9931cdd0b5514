"""The small model does what it is told, measured in the picture, on what it can do well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus
from studio import SMALL_MODEL, colour_of, inside, likeness_db, load, picture, save, scene, thing

from benchmarks.oracle import restore_picture_positions
from config.settings import ModelSettings
from pipeline import checkpoint
from pipeline.editor import EditRequest, Event, Failed
from pipeline.qwen import read_prompt
from pipeline.qwen.engine import open_editor
from pipeline.qwen.processor import PlainProcessor
from training.exam import nearer_db, to_change
from training.scene import ADDED_RADIUS, PLACES, SHAPES, Scene, Thing

HEART = scene("white", thing("heart", "red"))
SAMPLE = scene("grey", thing("circle", "green"))
TWO = scene("grey", thing("square", "blue", 0.28, 0.3), thing("star", "yellow", 0.68, 0.66))
ADD_A_CIRCLE = "Add a purple circle at the bottom"
# What is asked for at a place is there only where the text encoder sees pictures as pictures.
PLACED = {
    ADD_A_CIRCLE: thing("circle", "purple", *PLACES["bottom"]),
    "Add a green ring on the right": thing("ring", "green", *PLACES["right"]),
    "Add a yellow triangle on the left": thing("triangle", "yellow", *PLACES["left"]),
}


Edit = Callable[..., torch.Tensor]


def editing(editor: Any, folder: Path) -> Edit:
    """edit(words, picture, ...) -> the result; 8 steps, no guidance unless asked for."""
    numbers = count()

    def edit(words: str, *pictures: torch.Tensor, seed: int = 7, cfg: float = 1.0) -> torch.Tensor:
        name = str(next(numbers))
        paths = [folder / f"{name}-{n}.png" for n, _ in enumerate(pictures)]
        for pixels, path in zip(pictures, paths, strict=True):
            save(pixels, path)
        request = EditRequest(
            request_id=name,
            images=tuple(paths),
            prompt=words,
            negative_prompt=" ",
            steps=8,
            cfg=cfg,
            seed=seed,
            lora=None,
            result=folder / f"{name}.png",
        )
        editor.edit([request], _fail_loudly)
        return load(request.result)

    return edit


def _fail_loudly(event: Event) -> frozenset[str]:
    if isinstance(event, Failed):
        raise event.error
    return frozenset()


@pytest.fixture(scope="module")
def edit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edit]:
    editor = open_editor(ModelSettings(path=SMALL_MODEL))
    yield editing(editor, tmp_path_factory.mktemp("edits"))
    editor.close()


@pytest.fixture(scope="module")
def heart() -> torch.Tensor:
    return picture(HEART)


@pytest.mark.parametrize(
    ("words", "colour"),
    [("Make the heart orange", "orange"), ("把心形变成黑色", "black")],
)
def test_the_named_thing_takes_the_named_colour_and_the_rest_stays(
    edit: Edit, heart: torch.Tensor, words: str, colour: str
) -> None:
    result = edit(words, heart)
    assert colour_of(result, inside(HEART, 0, result)) == colour
    around = ~inside(HEART, 0, result, grown=0.06)
    assert likeness_db(result, heart, around) >= 30


@pytest.mark.parametrize(
    ("words", "colour"),
    [("Change the background to pink", "pink"), ("把背景换成黑色", "black")],
)
def test_the_background_takes_the_named_colour_and_the_thing_stays(
    edit: Edit, heart: torch.Tensor, words: str, colour: str
) -> None:
    result = edit(words, heart)
    assert colour_of(result, ~inside(HEART, 0, result, grown=0.08)) == colour
    assert colour_of(result, inside(HEART, 0, result)) == "red"


def test_a_thing_that_is_to_go_is_gone(edit: Edit, heart: torch.Tensor) -> None:
    result = edit("Remove the heart", heart)
    assert colour_of(result, inside(HEART, 0, result)) == "white"


@pytest.mark.parametrize(
    ("words", "index", "asked"),
    [
        ("Paint the star red.", 1, thing("star", "red", 0.68, 0.66)),
        ("把方形涂成紫色", 0, thing("square", "purple", 0.28, 0.3)),
        ("Replace the square with a ring", 0, thing("ring", "blue", 0.28, 0.3)),
        ("把星形换成心形", 1, thing("heart", "yellow", 0.68, 0.66)),
        ("Take the star away", 1, None),
        ("去掉方形", 0, None),
    ],
)
def test_of_two_things_the_named_one_changes_and_the_other_stays(
    edit: Edit, words: str, index: int, asked: Thing | None
) -> None:
    before = picture(TWO)
    after = picture(TWO.with_thing(index, asked) if asked else TWO.without(index))
    result = edit(words, before)
    assert nearer_db(before, after, result) > 6
    around = ~to_change(before, after) & ~inside(TWO, index, result, grown=0.1)
    assert likeness_db(result, after, around) >= 30


def with_added(added: Thing) -> Scene:
    return replace(HEART, things=(*HEART.things, replace(added, radius=ADDED_RADIUS)))


def is_there(added: Thing, result: torch.Tensor) -> bool:
    return colour_of(result, inside(with_added(added), 1, result)) == added.colour


@pytest.mark.parametrize(
    ("words", "added"),
    [*PLACED.items(), ("在左下角画一个蓝色的星形", thing("star", "blue", *PLACES["bottom left"]))],
)
def test_a_thing_comes_where_it_is_asked_for_in_its_shape(
    edit: Edit, heart: torch.Tensor, words: str, added: Thing
) -> None:
    result = edit(words, heart)
    assert is_there(added, result)
    assert colour_of(result, inside(HEART, 0, result)) == "red"
    near = inside(with_added(replace(added, shape="circle")), 1, result, grown=0.03)
    likeness = {
        shape: likeness_db(result, picture(with_added(replace(added, shape=shape))), near)
        for shape in SHAPES
    }
    assert max(likeness, key=lambda shape: likeness[shape]) == added.shape


@pytest.mark.parametrize("words", ["Change nothing", "什么都不要改变"])
def test_change_nothing_changes_nothing(edit: Edit, heart: torch.Tensor, words: str) -> None:
    assert likeness_db(edit(words, heart), heart) >= 30


def test_black_and_white_has_no_colour(edit: Edit, heart: torch.Tensor) -> None:
    result = edit("Make the picture black and white", heart)
    assert float((result.amax(0) - result.amin(0)).mean()) < 0.03


def test_the_second_picture_gives_its_colour(edit: Edit, heart: torch.Tensor) -> None:
    words = "Paint the heart like the shape in picture 2"
    result = edit(words, heart, picture(SAMPLE))
    assert colour_of(result, inside(HEART, 0, result)) == "green"
    swapped = edit(words, picture(SAMPLE), heart)
    assert colour_of(swapped, inside(HEART, 0, swapped)) != "green"
    assert likeness_db(swapped, result) < 20


def test_a_seed_decides_and_guidance_acts(edit: Edit, heart: torch.Tensor) -> None:
    words = "Make the heart orange"
    first = edit(words, heart)
    assert torch.equal(edit(words, heart), first)
    assert not torch.equal(edit(words, heart, seed=8), first)
    guided = edit(words, heart, cfg=3.0)
    assert not torch.equal(guided, first)
    assert colour_of(guided, inside(HEART, 0, guided)) == "orange"


def test_without_the_positions_of_pictures_an_edit_goes_wrong(
    edit: Edit, heart: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_prompt, "mark_image_tokens", lambda ids, _token: ids * 0)
    editor = open_editor(ModelSettings(path=SMALL_MODEL))
    blind = editing(editor, tmp_path)
    found = {words: is_there(added, blind(words, heart)) for words, added in PLACED.items()}
    editor.close()
    assert not any(found.values()), found


def test_the_plain_pipeline_gives_the_same_picture(
    edit: Edit, heart: torch.Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Its own area is a constant of 1 MP.
    area = checkpoint.read(SMALL_MODEL).working_pixels
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", area)
    pipe = DiffusionPipeline.from_pretrained(
        SMALL_MODEL, processor=None, dtype=torch.bfloat16, local_files_only=True
    )
    pipe.processor = PlainProcessor(pipe.tokenizer, SMALL_MODEL / "processor")
    restore_picture_positions(pipe.text_encoder)
    pipe.set_progress_bar_config(disable=True)
    save(heart, tmp_path / "heart.png")
    result = pipe(
        image=_opened(tmp_path / "heart.png"),
        prompt=ADD_A_CIRCLE,
        true_cfg_scale=1.0,
        num_inference_steps=8,
        width=256,
        height=256,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    result.save(tmp_path / "theirs.png")
    assert torch.equal(load(tmp_path / "theirs.png"), edit(ADD_A_CIRCLE, heart))


def _opened(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as opened:
        return opened.convert("RGB")


def test_the_weights_are_those_of_the_published_classes_and_small() -> None:
    found = checkpoint.read(SMALL_MODEL)
    assert (found.class_name, found.weights) == (checkpoint.EDIT_PLUS, "trained")
    weights = [path.stat().st_size for path in SMALL_MODEL.rglob("*.safetensors")]
    assert sum(weights) <= 40_000_000
    assert max(weights) <= 16_000_000
