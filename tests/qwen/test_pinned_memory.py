"""Weights wait in main memory as fast as the system lets them, and it is said what it refuses."""

from __future__ import annotations

import os
import re
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rig.copy_streams import StingyLane
from rig.stage_memory import decide, passing_through, place
from safetensors.torch import save_file

from config.problems import UserError
from config.settings import ModelSettings
from pipeline import checkpoint
from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import EditRequest, Event, Stage, StageName
from pipeline.qwen.arrival_check import ArrivalCheck
from pipeline.qwen.copy_stream import InlineCopyStream, PinningError, lock_pages
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.offload_plan import GIB
from pipeline.qwen.pinned_memory import PinnedMemory
from pipeline.qwen.weight_files import Extent, UnreadWeight
from pipeline.qwen.weight_streaming import StreamLoader

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
    assert (memory.refusal, memory.unpinned_bytes) == ("out of memory", 3 * 4096)
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
    decide(editor, passing_through(1))
    found = picture_of(editor, request_of())
    told = re.findall(
        r"locks no more main memory \(out of memory\): 0\.0 of 0\.0 GiB", caplog.text
    )
    assert len(told) == 1
    editor.close()
    assert np.array_equal(found, picture_of(open_editor(), request_of()))


class _Gate(ArrivalCheck):
    """Lets the units be looked at up to one of them, and the others when it is opened."""

    def __init__(self, opens_before: int) -> None:
        super().__init__(InlineCopyStream(), torch.device("cpu"))
        self.opened = threading.Event()
        self._left = opens_before

    def refuse_what_changes(self, host: torch.Tensor, what: str) -> None:
        """Wait, and look."""
        if self._left == 0:
            assert self.opened.wait(DEADLINE_SECONDS)
        else:
            self._left -= 1
        super().refuse_what_changes(host, what)


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def in_files(folder: Path, units: int) -> list[list[UnreadWeight]]:
    """Unit n holds the number n a thousand times, in a file of its own."""
    found = []
    for number in range(units):
        path = folder / f"{number}.safetensors"
        save_file({"weight": torch.full((1000,), float(number))}, path)
        file = checkpoint.read_weight_file(path)
        extent = Extent(
            file=file,
            start_byte=file.data_start_byte,
            dtype=torch.float32,
            shape=torch.Size((1000,)),
        )
        found.append([UnreadWeight(extent, torch.float32)])
    return found


def test_units_are_used_while_others_are_still_being_read(
    tmp_path: Path, beside: ThreadPoolExecutor
) -> None:
    units, lane, gate = in_files(tmp_path, 4), InlineCopyStream(), _Gate(2)
    memory = PinnedMemory(units, lane, check=gate, beside=beside)
    loader = StreamLoader(units, memory, lane, torch.device("cpu"))
    loader.begin(4)
    for number in range(2):
        loader.acquire(number)
        assert units[number][0].tolist() == [number] * 1000
        loader.release(number)
    assert not memory.is_there(2)
    assert not memory.is_there(3)
    gate.opened.set()
    for number in (2, 3):
        loader.acquire(number)
        assert units[number][0].tolist() == [number] * 1000
        loader.release(number)
    assert loader.is_there
    loader.close()


def test_a_file_that_goes_wrong_is_told_to_whoever_needs_it_and_to_nobody_before(
    tmp_path: Path, beside: ThreadPoolExecutor
) -> None:
    units, lane = in_files(tmp_path, 4), StingyLane(GIB)
    broken = tmp_path / "2.safetensors"
    size_bytes = broken.stat().st_size
    waiting = threading.Event()
    beside.submit(waiting.wait, DEADLINE_SECONDS)
    memory = PinnedMemory(units, lane, beside=beside)
    os.truncate(broken, size_bytes - 100)  # after it was looked over, before it is read
    waiting.set()
    assert memory.flat(1)[:4].view(torch.float32).item() == 1
    for number in (2, 3):
        with pytest.raises(UserError, match=r"2\.safetensors: it has changed since"):
            memory.flat(number)
    with pytest.raises(UserError):
        memory.wait()
    memory.close()
    assert lane.left_bytes == GIB


def test_what_is_being_read_is_left_where_the_memory_is_closed(
    tmp_path: Path, beside: ThreadPoolExecutor
) -> None:
    units, lane, gate = in_files(tmp_path, 4), StingyLane(GIB), _Gate(1)
    memory = PinnedMemory(units, lane, check=gate, beside=beside)
    memory.flat(0)
    closing = threading.Thread(target=memory.close)
    closing.start()
    gate.opened.set()
    closing.join(DEADLINE_SECONDS)
    assert not closing.is_alive()
    assert lane.left_bytes == GIB
    assert not memory.is_there(3) or isinstance(memory._there[3].exception(), CancelledError)


def test_a_first_job_begins_while_weights_are_being_read(
    tiny_models: dict[str, Path],
    request_of: Callable[..., EditRequest],
    open_editor: Callable[..., Any],
    picture_of: Callable[..., Any],
) -> None:
    class Slow(InlineCopyStream):
        """Pins the transformer's blocks when the prompt has been read, and not before."""

        def __init__(self) -> None:
            self.pins = 0
            self.read = threading.Event()

        def pin(self, host: torch.Tensor) -> None:
            """Of the last stack only the first."""
            self.pins += 1
            if self.pins > PINS_BEFORE_BLOCKS:
                assert self.read.wait(DEADLINE_SECONDS)

    lane = Slow()
    editor = opening(ModelSettings(path=tiny_models[EDIT_PLUS]), {"DTYPE": "fp32"}, at=place(lane))
    decide(editor, passing_through(1))
    stages = []

    def listen(event: Event) -> frozenset[str]:
        if isinstance(event, Stage):
            stages.append((event.stage, editor._parts.is_there))
            if event.stage is StageName.DENOISE:
                lane.read.set()
        return frozenset()

    request = request_of()
    editor.edit([request], listen)
    assert stages[:2] == [(StageName.ENCODE, False), (StageName.DENOISE, False)]
    assert editor._parts.is_there
    with Image.open(request.result) as picture:
        found = np.asarray(picture)
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
