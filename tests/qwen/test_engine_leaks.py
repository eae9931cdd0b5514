"""Jobs and their failures leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig.stage_memory import decide, passing_through, place

from config.settings import ModelSettings
from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import Done, EditRequest, Event, Failed, Stage
from pipeline.qwen.engine import QwenEditor, open_editor
from pipeline.qwen.offload_plan import Plan

TESTS = Path(__file__).parents[1]
# What the allocator and the interpreter keep back: 60 jobs have never left more than a quarter of
# it, and a leak of a fifth of a megabyte a job would be more.
ALLOWED_KIB = 8 * 1024
ALLOWED_OBJECTS = 100


def test_a_hundred_jobs_of_which_a_fifth_fail_leave_nothing_behind(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    # One arena, which gives back what is free at its end when it is told to.
    path = f"{TESTS}{os.pathsep}{TESTS.parent}"
    environment = {**os.environ, "PYTHONPATH": path, "MALLOC_ARENA_MAX": "1"}
    child = subprocess.run(
        [sys.executable, "-m", "rig.hundred_jobs", tiny_models[EDIT_PLUS], tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    early, late = map(json.loads, child.stdout.splitlines())
    assert late["resident_kib"] - early["resident_kib"] <= ALLOWED_KIB
    assert late["objects"] - early["objects"] <= ALLOWED_OBJECTS
    for countable in ("tensors", "hooks", "files", "descriptors", "threads"):
        assert late[countable] == early[countable], countable


@pytest.fixture(scope="module")
def streaming(tiny_models: dict[str, Path]) -> Iterator[QwenEditor]:
    editor = open_editor(ModelSettings(path=tiny_models[EDIT_PLUS]), {}, at=place())
    yield editor
    editor.close()


def _held_bytes(editor: QwenEditor) -> int:
    """What the device holds of the weights that wait elsewhere."""
    places = [
        where
        for loader in editor._parts.loaders
        if loader._begun_with is not None
        for where in (*loader._free, *loader._places.values())
    ]
    return sum(where.numel() for where in places)


def _plan(text_resident: int) -> Plan:
    return replace(passing_through(0), text_resident=text_resident)


@pytest.mark.parametrize("end", ["its picture is broken", "nobody waits", "no plan holds it"])
@pytest.mark.parametrize("text_resident", [0, 2])
def test_a_batch_of_which_no_prompt_is_read_leaves_nothing_on_the_gpu(
    *,
    end: str,
    text_resident: int,
    streaming: QwenEditor,
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    listener: Any,
) -> None:
    decide(streaming, _plan(text_resident))
    room: Any = streaming._means.room
    while_prepared: list[int] = []

    def at_its_beginning(event: Event) -> frozenset[str]:
        if isinstance(event, Stage):
            while_prepared.append(_held_bytes(streaming))
            if end == "nobody waits":
                return frozenset({event.request_id})
            if end == "no plan holds it":
                room._plans.clear()
        return frozenset()

    listener.drop_at = at_its_beginning
    image = canvas((64, 32))
    if end == "its picture is broken":
        image.write_bytes(b"no picture")
    streaming.edit([request_of(images=(image,))], listener)
    assert [type(event) for event in listener.events if not isinstance(event, Stage)] == (
        [] if end == "nobody waits" else [Failed]
    )
    assert while_prepared[0] > 0
    assert _held_bytes(streaming) == 0


def test_a_batch_that_is_read_leaves_nothing_either(
    streaming: QwenEditor,
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    edit: Callable[..., Event],
) -> None:
    decide(streaming, _plan(2))
    ending = edit(streaming, request_of(images=(canvas((64, 32)),), steps=1))
    assert isinstance(ending, Done)
    assert _held_bytes(streaming) == 0
