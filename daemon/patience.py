"""Calls that touch a share, which may never come back: made in threads that can be left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from daemon.pulse import Pulse, switches_of

T = TypeVar("T")

_FEEL_SECONDS = 0.1


class Silent(Exception):  # noqa: N818 - no error of ours: the share's silence
    """A call stands in a system call that does not come back."""


class Call(Generic[T]):
    """A call on its way in a thread of its own."""

    def __init__(self, act: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        # A daemon thread: one that never comes back must not keep the process from its end.
        self._thread = threading.Thread(target=_do, args=(act, self._future), daemon=True)
        self._thread.start()
        self._pulse = Pulse()
        self._still_seconds = 0.0

    def is_open(self, now: float, silent_seconds: float) -> bool:
        """Whether it may still come back; felt every moment, at `now` in monotonic seconds."""
        assert self._thread.native_id is not None
        count = switches_of(self._thread.native_id)
        self._still_seconds = self._pulse.feel(count, now, is_at_work=True)
        return not self._future.done() and self._still_seconds < silent_seconds

    @property
    def has_come_back(self) -> bool:
        """Whether it has given or raised something."""
        return self._future.done()

    def result(self) -> T:
        """What it gave or raised; raises Silent where it has not come back."""
        if not self.has_come_back:
            raise Silent
        return self._future.result()


def call_all(acts: Iterable[Callable[[], T]], silent_seconds: float) -> list[Call[T]]:
    """Make calls side by side, and wait until each has come back or stands still for so long."""
    calls = [Call(act) for act in acts]
    waiting = calls
    while waiting := [it for it in waiting if it.is_open(time.monotonic(), silent_seconds)]:
        wait([it._future for it in waiting], timeout=_FEEL_SECONDS)
    return calls


def call(act: Callable[[], T], silent_seconds: float) -> T:
    """What a call gives or raises; raises Silent where it stands still for so long."""
    return call_all([act], silent_seconds)[0].result()


def _do(act: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(act())
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(error)
