"""The logs that people read on the share: one sentence an event, by day and by job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from daemon.events.events import Event, for_the_day, job_of, sentence
from daemon.fs.dirfd import NotRegularFile
from daemon.fs.errors import is_of_a_log, words_of
from daemon.fs.names import numbered
from daemon.fs.safe_tree import SafeTree


class FolderLog:
    """Appends to LOG-YYYY-MM-DD.txt and <job id>.log, as far as they can be written."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._tree = folder, SafeTree(folder.parent)
        self._day = ""  # the log of the day that was written last
        self._failing: dict[str, str] = {}  # the reason why a log is not written, by its name

    @property
    def reason(self) -> str:
        """Why the log of the day is not written, and what to do; "" where it is."""
        return self._failing.get(self._day, "")

    def write(self, event: Event, unix_time: float) -> str:
        """Write an event, which happened at that time, where it belongs.

        Gives the reason where a log cannot be written, once as long as that stays so: no work
        depends on a log. Raises OSError where the share does not work.
        """
        moment = datetime.fromtimestamp(unix_time, UTC).astimezone()
        line = f"{moment:%Y-%m-%d %H:%M:%S %z} {sentence(event)}\n"
        if for_the_day(event):
            self._turn_to(f"LOG-{moment:%Y-%m-%d}.txt")
        news = [self._tried(name, line) for name in self._logs_of(event)]
        return next(filter(None, news), "")

    def _turn_to(self, day: str) -> None:
        if day != self._day:
            self._failing.pop(self._day, None)
            self._day = day

    def _logs_of(self, event: Event) -> Iterator[str]:
        if for_the_day(event):
            yield self._day
        if job_id := job_of(event):
            yield f"{job_id}.log"

    def _tried(self, name: str, line: str) -> str:
        """Write a line; gives why it cannot be, where that is news."""
        try:
            self._append(name, line)
        except OSError as error:
            if not is_of_a_log(error, self._folder.parent):
                raise
            is_news = name not in self._failing and not self.reason
            self._failing[name] = "; ".join(words_of(error, self._folder.parent))
            return self._failing[name] if is_news else ""
        self._failing.pop(name, None)
        return ""

    def _append(self, name: str, line: str) -> None:
        self._tree.make_folder(self._folder)  # somebody may have tidied up
        content = line.encode("utf-8", "backslashreplace")
        for free in numbered(name):
            # Whatever lies there under that name, a link perhaps, is not written to.
            with contextlib.suppress(NotRegularFile):
                self._tree.append(self._folder / free, content)
                return
