"""The logs that people read on the share: one sentence an event, by day and by job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from daemon.clock import local_time
from daemon.events.events import Event, JobEvent, sentence
from daemon.fs.dirfd import NotRegularFile
from daemon.fs.errors import is_of_a_log, words_of
from daemon.fs.names import numbered
from daemon.fs.safe_tree import SafeTree
from daemon.job import story_of


class _Kind(Enum):
    """The logs by what they are about: what hinders one of a kind mostly hinders all."""

    DAY, JOB = auto(), auto()


@dataclass(frozen=True, slots=True)
class _NotWritten:
    """A log that could not be written, and why."""

    name: str
    reason: str


class FolderLog:
    """Appends to LOG-YYYY-MM-DD.txt and YYYY-MM-DD/<job id>.log, as far as they can be written."""

    def __init__(self, tree: SafeTree) -> None:
        """`tree` is that of the hot folder."""
        self._folder, self._tree = tree.root / "logs", tree
        self._day = ""  # the log of the day that was written last
        self._failing: dict[_Kind, _NotWritten] = {}  # the last one of each kind

    @property
    def reason(self) -> str:
        """Why the log of the day is not written, and what to do; "" where it is."""
        failing = self._failing.get(_Kind.DAY)
        return failing.reason if failing else ""

    def write(self, event: Event, unix_time: float) -> str:
        """Write an event, which happened at that time, where it belongs.

        Gives the reason where a log cannot be written, once a day as long as that stays so, and
        for the logs of all jobs together: no work depends on a log. Raises OSError where the
        share does not work.
        """
        moment = local_time(unix_time)
        line = f"{moment:%Y-%m-%d %H:%M:%S %z} {sentence(event)}\n"
        if event.kind.for_the_day:
            self._turn_to(f"LOG-{moment:%Y-%m-%d}.txt")
        news = [self._tried(kind, name, line) for kind, name in self._logs_of(event)]
        return next(filter(None, news), "")

    def _turn_to(self, day: str) -> None:
        if day != self._day:
            self._failing.clear()
            self._day = day

    def _logs_of(self, event: Event) -> Iterator[tuple[_Kind, str]]:
        if event.kind.for_the_day:
            yield _Kind.DAY, self._day
        if isinstance(event, JobEvent):
            yield _Kind.JOB, story_of(event.job_id).removeprefix("logs/")

    def _tried(self, kind: _Kind, name: str, line: str) -> str:
        """Write a line; gives why it cannot be, where that is news."""
        try:
            self._append(name, line)
        except OSError as error:
            if not is_of_a_log(error, self._tree.root):
                raise
            is_news = kind not in self._failing and not self.reason
            reason = "; ".join(words_of(error, self._tree.root))
            self._failing[kind] = _NotWritten(name, reason)
            return reason if is_news else ""
        # That of another job says nothing: it may have been there before.
        if (failing := self._failing.get(kind)) and failing.name == name:
            del self._failing[kind]
        return ""

    def _append(self, name: str, line: str) -> None:
        below, _, base = name.rpartition("/")
        folder = self._folder / below
        self._tree.make_folder(folder)  # somebody may have tidied up
        content = line.encode("utf-8", "backslashreplace")
        for free in numbered(base):
            # Whatever lies there under that name, a link perhaps, is not written to.
            with contextlib.suppress(NotRegularFile):
                self._tree.append(folder / free, content)
                return
