import os
import threading
from collections.abc import Iterator

import pytest

from daemon.fs.blocking import Stalled, call_all, call_with_deadline


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody writes to until the test does."""
    read, write = os.pipe()
    yield read, write
    os.write(write, b"end")  # whoever is left behind in it goes
    os.close(write)


def test_what_comes_back_is_given() -> None:
    assert call_with_deadline(lambda: "here", 1.0) == "here"


def test_what_is_raised_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        call_with_deadline(lambda: os.stat("/missing"), 1.0)  # noqa: PTH116 - any call will do


def test_a_call_that_does_not_come_back_is_left(pipe: tuple[int, int]) -> None:
    with pytest.raises(Stalled):
        call_with_deadline(lambda: os.read(pipe[0], 1), 0.3)


def test_one_that_does_not_come_back_hinders_no_other(pipe: tuple[int, int]) -> None:
    silent, here = call_all([lambda: os.read(pipe[0], 1), lambda: b"here"], 0.3)
    assert here.result() == b"here"
    assert (silent.has_come_back, here.has_come_back) == (False, True)


def test_one_that_takes_long_but_moves_is_waited_for() -> None:
    def slow() -> str:
        for _ in range(12):
            threading.Event().wait(0.15)
        return "at last"

    assert call_with_deadline(slow, 1.0) == "at last"
