"""What the daemon says on a terminal: coloured sentences and a progress bar per running job."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from daemon.events.events import Event, sentence
from daemon.events.job_events import (
    JobCancelled,
    JobDone,
    JobDuplicate,
    JobFailed,
    JobGivenBack,
    JobQuarantined,
    JobRetry,
    JobRunning,
    StepDone,
)
from daemon.events.text import plain

_COUNT_AND_NAME = "{task.completed:.0f}/{task.total:.0f} {task.description}"
_STYLES = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "red"}


class _Terminal(Console):
    """A console that falls silent when its terminal is gone, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class TerminalLog:
    """Sentences above, the running jobs below; events may come from any thread."""

    def __init__(self, stream: TextIO, now: Callable[[], datetime], *, verbose: bool) -> None:
        self._now = now
        self._console = _Terminal(file=stream)
        # Drawn when something happens: no thread that redraws an idle terminal.
        self._progress = Progress(
            # The count comes first: it stays in sight where the window is too narrow for the name.
            TextColumn(_COUNT_AND_NAME, markup=False, table_column=_one_line()),
            BarColumn(bar_width=20),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bars: dict[str, TaskID] = {}
        self._least = logging.DEBUG if verbose else logging.INFO
        self._lock = threading.Lock()

    def tell(self, event: Event) -> None:
        """Print the sentence of an event, or move its job's bar."""
        if event.kind.level < self._least:
            return
        try:
            with self._lock:
                self._show(event)
        except (OSError, ValueError):
            self._console.quiet = True  # the terminal is gone: the work goes on, unwatched

    def close(self) -> None:
        """Clear the bars away and show the cursor; print nothing more."""
        with contextlib.suppress(OSError, ValueError), self._lock:
            self._progress.stop()
        self._console.quiet = True

    def _show(self, event: Event) -> None:
        match event:
            case StepDone():
                self._move(event)
                return
            case JobRunning():
                self._begin(event)
            case JobDone() | JobFailed() | JobQuarantined() | JobDuplicate():
                self._end(event.job_id)
            case JobGivenBack() | JobRetry() | JobCancelled():
                self._end(event.job_id)
            case _:
                pass
        words = _shown(sentence(event), self._console)
        said = Text.assemble((f"{self._now():%H:%M:%S} ", "dim"), (words, _style(event)))
        self._console.print(said, soft_wrap=True)  # a path stays one piece when it is copied

    def _begin(self, event: JobRunning) -> None:
        self._end(event.job_id)
        if not self._bars:
            self._progress.start()
        name = _shown(plain(event.path), self._console)
        self._bars[event.job_id] = self._progress.add_task(name, total=event.steps)
        self._progress.refresh()

    def _move(self, event: StepDone) -> None:
        bar = self._bars.get(event.job_id)
        if bar is not None:
            self._progress.update(bar, completed=event.step, total=event.steps, refresh=True)

    def _end(self, job_id: str) -> None:
        bar = self._bars.pop(job_id, None)
        if bar is None:
            return
        self._progress.remove_task(bar)
        if self._bars:
            self._progress.refresh()
        else:
            self._progress.stop()


def _one_line() -> Column:
    return Column(no_wrap=True, overflow="ellipsis")


def _style(event: Event) -> str:
    is_well = isinstance(event, JobDone) and event.kind.level == logging.INFO
    return "green" if is_well else _STYLES.get(event.kind.level, "")


def _shown(text: str, console: Console) -> str:
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)
