"""A thread has an owner: what it raises is told, and it begins again after a rest."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.events.events import ThreadFailed
from daemon.fs.errors import rest_seconds
from daemon.fs.names import printable

_FAULT = "a fault of Hotfolder itself, please report it"
_IN_A_ROW_SECONDS = 300.0  # later than that, a fault is another one
_MOST_CHARACTERS = 3000  # of a traceback, from its end: a record of the journal has little room


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An exception that nobody expected: a fault of ours."""

    words: str  # "ValueError: embedded null byte (spool.py, line 77)"
    traceback: str

    @property
    def reason(self) -> str:
        """What to tell of it as the reason why something stands still."""
        return f"{_FAULT} ({self.words})"


def fault_of(error: BaseException) -> Fault:
    """What is to be told of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    words = "".join(traceback.format_exception_only(error)).strip()
    whole = "".join(traceback.format_exception(error))
    return Fault(words=f"{words}{where}", traceback=whole[-_MOST_CHARACTERS:])


def fault_in(act: Callable[[], None]) -> Fault | None:
    """Act; what that raised, None where it returned."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, its owner hears of it
        return fault_of(error)
    return None


def supervise(
    act: Callable[[], None],
    tell: Callable[[Fault], None],
    rest: Callable[[Fault, float], object],
) -> None:
    """Act until that returns, again and again where it raises.

    `tell` is called for each fault that is not the one before; `rest` for all, with the seconds
    to wait, which grow from one fault in a row to the next.
    """
    told = ""
    failures, failed_at = 0, time.monotonic()
    while (fault := fault_in(act)) is not None:
        if time.monotonic() - failed_at > _IN_A_ROW_SECONDS:
            told, failures = "", 0
        failures, failed_at = failures + 1, time.monotonic()
        if fault.words != told:
            tell(fault)
        told = fault.words
        rest(fault, rest_seconds(failures, once=False))


def thread_failed(thread: str, fault: Fault) -> ThreadFailed:
    """The event that tells of a fault; `thread` is what it served: "folder worker of /srv/hot"."""
    what = f"A fault of Hotfolder itself stopped the {thread}, which begins again"
    text = f"{what}: {fault.words}. No job is lost; please report it."
    return ThreadFailed(text=text, thread=thread, traceback=fault.traceback)


def job_hindered_by_fault(path: str, thread: str, fault: Fault) -> ThreadFailed:
    """The event that tells of a fault which one job bears alone; `path` is of its image."""
    what = f"A fault of Hotfolder itself holds up {printable(path)} alone: {fault.words}"
    text = f"{what}. None of its files is lost; please report it."
    return ThreadFailed(text=text, thread=thread, traceback=fault.traceback)


def tell_of_all_threads(tell: Callable[[ThreadFailed], None]) -> None:
    """Have `tell` called for threads of libraries, too, which end over what they raise."""

    def hook(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            fault = fault_of(ended.exc_value)
            thread = ended.thread.name if ended.thread else "a thread"
            text = f"A fault ended the thread {thread}: {fault.words}. Please report it."
            tell(ThreadFailed(text=text, thread=thread, traceback=fault.traceback))

    threading.excepthook = hook
