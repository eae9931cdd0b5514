"""Weights on their way from where they are to where they will wait."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import groupby, islice
from pathlib import Path

import torch

from config.problems import Problem, UserError
from pipeline.checkpoint import COPY_AGAIN, WeightFile
from pipeline.qwen.weight_files import Extent, UnreadWeight, settle

_READERS = 16  # one thread fills fresh memory more slowly than a good disk reads
_RUN_BYTES = 128 * 2**20  # of a file, read by one thread in order, as disk and kernel like it
_REQUEST_BYTES = 16 * 2**20
_TURNED_BYTES = 2**20  # read aside, to be turned into the dtype that is computed with

Unit = Sequence[torch.nn.Parameter]
Places = Sequence[torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """Consecutive numbers of a weight, read at once."""

    path: Path
    start_byte: int
    dtype: torch.dtype  # in the file
    target: torch.Tensor  # (numbers,), of the dtype that is computed with


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingWay:
    """How files are read."""

    units_ahead: int | None = None  # of the one that was told last; None: all at once
    drops_page_cache: bool = False  # behind the reader


AT_ONCE = ReadingWay()


def fill(
    units: Sequence[Unit],
    places: Sequence[Places],
    on_full: Callable[[int], None],
    way: ReadingWay = AT_ONCE,
) -> None:
    """Bring every weight to its place, of its own shape and dtype; from now on it is there.

    Weights in files are read straight to their places, several at a time; a weight in memory is
    copied, and what it took is given up before the next is copied. `on_full` is told the number
    of each unit, in order, once all of it is there; the next are being read meanwhile. A place
    may be that of an earlier unit, of which `on_full` has been told before the later is read:
    `way` says how far that goes. Raises UserError if a file cannot be read or is no longer what
    it was when it was looked over.
    """
    _refuse_changed_files(
        weight.extent for unit in units for weight in unit if isinstance(weight, UnreadWeight)
    )
    ahead = len(units) if way.units_ahead is None else way.units_ahead
    with _readers() as readers:
        starting = (
            _start(_unread(unit, there), readers, way)
            for unit, there in zip(units, places, strict=True)
        )
        underway = deque(islice(starting, ahead))
        for index, unit in enumerate(units):
            underway.extend(islice(starting, 1))
            for read in underway.popleft():
                read.result()
            _settle(unit, places[index])
            on_full(index)


Wanted = Sequence[tuple[Extent, torch.Tensor]]


def bring(units: Sequence[Unit], places: Sequence[Places]) -> list[Wanted]:
    """Let every weight be at its place, of its own shape and dtype; from now on it is there.

    What is in memory is copied, and what it took is given up before the next is copied. Returns
    for each unit what is still to be read from files, by `read_units`. Raises UserError if a file
    is no longer what it was when it was looked over.
    """
    wanted = [_unread(unit, there) for unit, there in zip(units, places, strict=True)]
    _refuse_changed_files(extent for unit in wanted for extent, _ in unit)
    for unit, there in zip(units, places, strict=True):
        _settle(unit, there)
    return wanted


def read_units(wanted: Sequence[Wanted], on_full: Callable[[int], None], way: ReadingWay) -> None:
    """Read all straight to their places, several at a time; `on_full` as in `fill`.

    Raises UserError as `fill` does, and what `on_full` raises.
    """
    with _readers() as readers:
        underway = [_start(unit, readers, way) for unit in wanted]
        for index, reads in enumerate(underway):
            for one in reads:
                one.result()
            on_full(index)


def read(extents: Sequence[Extent], places: Places, way: ReadingWay = AT_ONCE) -> None:
    """Read the numbers of each extent to its place, of its shape and any dtype.

    Raises UserError as `fill` does.
    """
    _refuse_changed_files(extents)
    with _readers() as readers:
        for one in _start(list(zip(extents, places, strict=True)), readers, way):
            one.result()


def _unread(unit: Unit, places: Places) -> Wanted:
    return [
        (weight.extent, place)
        for weight, place in zip(unit, places, strict=True)
        if isinstance(weight, UnreadWeight)
    ]


def _refuse_changed_files(extents: Iterable[Extent]) -> None:
    files = {extent.file.path: extent.file for extent in extents}
    if problems := [problem for file in files.values() for problem in _changes(file)]:
        raise UserError(problems)


def _changes(file: WeightFile) -> Iterator[Problem]:
    try:
        size_bytes = file.path.stat().st_size
    except OSError as error:
        yield _unreadable(file.path, error)
        return
    if size_bytes != file.size_bytes:
        yield _changed(file.path, f"{size_bytes} bytes instead of {file.size_bytes}")


@contextmanager
def _readers() -> Iterator[ThreadPoolExecutor]:
    readers = ThreadPoolExecutor(_READERS, thread_name_prefix="weights")
    try:
        yield readers
    finally:
        readers.shutdown(cancel_futures=True)


def _start(wanted: Wanted, readers: ThreadPoolExecutor, way: ReadingWay) -> list[Future[None]]:
    """Ask for all of them, in the order in which they lie in their files."""
    requests = [request for extent, place in wanted for request in _requests(extent, place)]
    requests.sort(key=lambda request: (request.path, request.start_byte))
    runs = groupby(requests, key=lambda one: (one.path, one.start_byte // _RUN_BYTES))
    return [readers.submit(_read_run, path, list(run), way) for (path, _), run in runs]


def _requests(extent: Extent, place: torch.Tensor) -> Iterator[_Request]:
    numbers = place.view(-1)
    at_once_bytes = _REQUEST_BYTES if extent.dtype == place.dtype else _TURNED_BYTES
    most = at_once_bytes // extent.dtype.itemsize
    for first in range(0, numbers.numel(), most):
        yield _Request(
            path=extent.file.path,
            start_byte=extent.start_byte + first * extent.dtype.itemsize,
            dtype=extent.dtype,
            target=numbers[first : first + most],
        )


def _read_run(path: Path, run: Sequence[_Request], way: ReadingWay) -> None:
    try:
        with path.open("rb", buffering=0) as file:
            for request in run:
                _read(file, request)
                if way.drops_page_cache:
                    _drop_pages(file, request)
    except OSError as error:
        raise UserError([_unreadable(path, error)]) from error


def _read(file: FileIO, request: _Request) -> None:
    target = request.target
    file.seek(request.start_byte)
    if request.dtype == target.dtype:
        _read_bytes(file, request.path, target)
        return
    stored = torch.empty(target.shape, dtype=request.dtype)
    _read_bytes(file, request.path, stored)
    target.copy_(stored)


def _drop_pages(file: FileIO, request: _Request) -> None:
    size_bytes = request.target.numel() * request.dtype.itemsize
    os.posix_fadvise(file.fileno(), request.start_byte, size_bytes, os.POSIX_FADV_DONTNEED)


def _read_bytes(file: FileIO, path: Path, target: torch.Tensor) -> None:
    left = memoryview(target.view(torch.uint8).numpy())
    while left:
        count = file.readinto(left)
        if not count:
            raise UserError([_changed(path, f"it ends after {file.tell()} bytes")])
        left = left[count:]


def _settle(unit: Unit, places: Places) -> None:
    for weight, place in zip(unit, places, strict=True):
        match weight:
            case UnreadWeight():
                pass
            case _:
                place.copy_(weight.data)
        settle(weight, place)


def _unreadable(path: Path, error: OSError) -> Problem:
    advice = f"let everybody read it, check its disk or share, then {COPY_AGAIN}"
    return Problem(str(path), f"it cannot be read ({error.strerror})", advice)


def _changed(path: Path, how: str) -> Problem:
    advice = f"start again when nobody writes to it any more; if it stays so, {COPY_AGAIN}"
    return Problem(str(path), f"it has changed since it was looked over: {how}", advice)
