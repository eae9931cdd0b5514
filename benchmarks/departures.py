"""When each file left a folder, seen from outside and by nobody's own account."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)


class Departures:
    """Notes the Unix time at which a file is moved out of a folder, until its `with` ends."""

    def __init__(self, folder: Path) -> None:
        self.at: dict[str, float] = {}
        self._folder = os.fsencode(folder)
        self._reader = InotifyFD()

    def __enter__(self) -> Self:
        self._reader.start()
        mask = Mask(InotifyConstants.IN_MOVED_FROM)
        self._reader.add_callback(self._folder, mask, self, CallbackId(id(self)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.stop()
        self._reader.join()

    def on_event(self, event: InotifyEvent) -> None:
        """Take an event from the reader."""
        self.at[os.fsdecode(event.name)] = time.time()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Nothing leaves a folder that is gone."""

    def on_queue_overflow(self) -> None:
        """A file without its time fails the measure that asks for it."""
