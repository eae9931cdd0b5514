"""The logs that people read on the share: one sentence an event, by day and by job."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from daemon.log.story import Event, for_the_day, job_of, sentence


class Logbook:
    """Appends to LOG-YYYY-MM-DD.txt and <job id>.log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        self._folder.mkdir(exist_ok=True)  # somebody may have tidied up
        with (self._folder / name).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line)
