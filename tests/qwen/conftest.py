from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import EditRequest, Event
from pipeline.qwen import offline

# Before any test module imports a model library.
offline.enforce()

SMALL = (128, 96)  # (width, height) of most canvases here
SMALL_PIXELS = SMALL[0] * SMALL[1]


class Listener:
    """Remembers events, and drops or raises at one of them if told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.drop_at: Callable[[Event], frozenset[str]] = lambda _event: frozenset()

    def __call__(self, event: Event) -> frozenset[str]:
        self.events.append(event)
        return self.drop_at(event)


@pytest.fixture(scope="session")
def open_editor(tiny_models: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    """open_editor(edit_class, dtype) -> QwenEditor, the same one for the same arguments."""
    from config.settings import ModelSettings
    from pipeline.qwen import engine

    opened: dict[tuple[str, str], engine.QwenEditor] = {}

    def opening(edit_class: str = EDIT_PLUS, dtype: str = "fp32") -> engine.QwenEditor:
        if (edit_class, dtype) not in opened:
            settings = ModelSettings(path=tiny_models[edit_class])
            opened[edit_class, dtype] = engine.open_editor(settings, {"DTYPE": dtype})
        return opened[edit_class, dtype]

    yield opening
    for editor in opened.values():
        editor.close()


@pytest.fixture
def canvas(tmp_path: Path) -> Callable[..., Path]:
    """canvas(size, tone) -> a PNG with a gradient and a square in it."""
    numbers = itertools.count()

    def draw(size: tuple[int, int] = SMALL, tone: int = 0) -> Path:
        width, height = size
        down, across = np.mgrid[0:height, 0:width]
        pixels = np.stack([across * 2, down * 2, 255 - across], axis=-1) % 256
        pixels[height // 4 : height // 2, width // 4 : width // 2] = (tone, 255 - tone, 128)
        path = tmp_path / f"canvas{next(numbers)}.png"
        Image.fromarray(pixels.astype("uint8")).save(path)
        return path

    return draw


@pytest.fixture
def request_of(tmp_path: Path, canvas: Callable[..., Path]) -> Callable[..., EditRequest]:
    """request_of(**differences) -> a request for a quick edit."""
    numbers = itertools.count()

    def make(**differences: Any) -> EditRequest:
        name = f"job{next(numbers)}"
        usual = {
            "request_id": name,
            "images": (canvas(),),
            "prompt": "Make the square red",
            "negative_prompt": " ",
            "steps": 2,
            "cfg": 1.0,
            "seed": 7,
            "lora": None,
            "result": tmp_path / f"{name}.png",
        }
        return EditRequest(**{**usual, **differences})

    return make


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def edit() -> Callable[..., Event]:
    """edit(editor, request) -> how it ended."""

    def run(editor: Any, request: EditRequest) -> Event:
        told = Listener()
        editor.edit([request], told)
        return told.events[-1]

    return run


@pytest.fixture
def picture_of(edit: Callable[..., Event]) -> Callable[..., Any]:
    """picture_of(editor, request) -> the edited pixels, uint8 of (height, width, 3)."""
    from pipeline.editor import Done

    def run(editor: Any, request: EditRequest) -> Any:
        ending = edit(editor, request)
        assert isinstance(ending, Done), ending
        with Image.open(ending.result.path) as picture:
            return np.asarray(picture)

    return run
