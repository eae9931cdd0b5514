"""What of done/, failed/ and logs/ the settings let go, and how much that is now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from config.settings import FolderSettings
from daemon.commands.finding import Finding, ok
from daemon.ground import Ground
from daemon.retention import Retention


def look_at_retention(folder: FolderSettings, today: date) -> Iterator[Finding]:
    """Say how long what is kept, and what goes next; nothing where all is kept for ever."""
    keep = {
        "done": folder.keep_done_days,
        "failed": folder.keep_failed_days,
        "logs": folder.keep_logs_days,
    }
    words = [f"{name} for {days:g} days" for name, days in keep.items() if days is not None]
    if not words:
        return
    due = list(Retention(Ground(folder.root)).look(folder, today))
    files = ", ".join(f"{swept.files} of {swept.what}" for swept in due) or "none"
    kept = f"{folder.root} keeps {', '.join(words)}"
    yield ok("folder", f"{kept}; files that a daemon deletes next: {files}")
