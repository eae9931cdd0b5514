"""Weights wait in main memory as fast as the system lets them, and it is said what it refuses."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rig.copy_streams import StingyLane
from rig.stage_memory import decide, passing_through, place

from config.problems import UserError
from config.settings import ModelSettings
from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import EditRequest
from pipeline.qwen.copy_stream import InlineCopyStream, PinningError, lock_pages
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.offload_plan import GIB
from pipeline.qwen.pinned_memory import PinnedMemory

MIB = 2**20
DEADLINE_SECONDS = 60
PINS_BEFORE_BLOCKS = 8  # of the tiny model


@contextmanager
def _address_space(more_bytes: int) -> Iterator[None]:
    """Within this context the process gets no more address space than this."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    now = re.search(r"^VmSize:\s+(\d+) kB", status, re.MULTILINE)
    assert now
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(now[1]) * 1024 + more_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_memory_that_the_system_does_not_give_is_a_sentence() -> None:
    weight = torch.nn.Parameter(torch.empty(GIB, dtype=torch.bfloat16, device="meta"))
    with (
        _address_space(256 * MIB),
        pytest.raises(
            UserError,
            match=r"main memory \(RAM\): the system gives no 2\.0 GiB at once for weights "
            r"\(Cannot allocate memory\); raise the limit .*ulimit -v.*overcommit",
        ),
    ):
        PinnedMemory([[weight]], InlineCopyStream())


def test_a_driver_that_refuses_is_asked_once_and_told_of() -> None:
    units = [[torch.nn.Parameter(torch.full((1024,), float(number)))] for number in range(5)]
    copy_stream = StingyLane(2 * 4096)
    memory = PinnedMemory(units, copy_stream)
    assert (copy_stream.left_bytes, copy_stream.refused) == (0, 1)
    assert (memory.pins.refusal, memory.pins.unpinned_bytes) == ("out of memory", 3 * 4096)
    assert [weight[7].item() for (weight,) in units] == [0, 1, 2, 3, 4]
    memory.close()
    assert copy_stream.left_bytes == 2 * 4096


def test_a_model_that_is_not_locked_edits_as_ever_and_the_log_says_so(
    tiny_models: dict[str, Path],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    open_editor: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = ModelSettings(path=tiny_models[EDIT_PLUS])
    editor = opening(settings, {"DTYPE": "fp32"}, at=place(StingyLane(MIB)))
    told = re.findall(
        r"locks no more main memory \(out of memory\): 0\.0 of 0\.0 GiB", caplog.text
    )
    assert len(told) == 1
    decide(editor, passing_through(1))
    found = picture_of(editor, request_of())
    editor.close()
    assert np.array_equal(found, picture_of(open_editor(), request_of()))


def _cudart(answer: int) -> Any:
    """The runtime's functions as torch has them, with one answer to whatever is registered."""
    return SimpleNamespace(
        cudaError=SimpleNamespace(success=0),
        cudaHostRegister=lambda _address, _bytes, _flags: answer,
        cudaGetErrorString={0: "no error", 2: "out of memory"}.__getitem__,
    )


def test_an_answer_of_the_runtime_other_than_success_is_a_refusal() -> None:
    host = torch.zeros(4096, dtype=torch.uint8)
    lock_pages(host, _cudart(0))
    with pytest.raises(PinningError, match="out of memory"):
        lock_pages(host, _cudart(2))
