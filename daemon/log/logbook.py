"""The logs that people read on the share: one sentence an event, by day and by job."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from daemon.descent import NotPlain
from daemon.ground import Ground
from daemon.inbox.names import numbered
from daemon.log.story import Event, for_the_day, job_of, sentence


class Logbook:
    """Appends to LOG-YYYY-MM-DD.txt and <job id>.log."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ground = folder, Ground(folder.parent)

    def write(self, event: Event, unix_time: float) -> None:
        """Write an event, which happened at that time, where it belongs; raises OSError."""
        moment = datetime.fromtimestamp(unix_time, UTC).astimezone()
        line = f"{moment:%Y-%m-%d %H:%M:%S %z} {sentence(event)}\n"
        if for_the_day(event):
            self._append(f"LOG-{moment:%Y-%m-%d}.txt", line)
        job_id = job_of(event)
        if job_id:
            self._append(f"{job_id}.log", line)

    def _append(self, name: str, line: str) -> None:
        self._ground.make_folder(self._folder)  # somebody may have tidied up
        content = line.encode("utf-8", "backslashreplace")
        for free in numbered(name):
            # Whatever lies there under that name, a link perhaps, is not written to.
            with contextlib.suppress(NotPlain):
                self._ground.append(self._folder / free, content)
                return
