"""Whether there is room for another job, on the share and on local scratch."""

from __future__ import annotations

from pathlib import Path
from shutil import disk_usage

from daemon.job import FolderState


def room(root: Path, scratch: Path, least_gib: float) -> tuple[FolderState, str]:
    """LOW_SPACE and why, or ONLINE; makes a scratch folder that was emptied away."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (root, scratch):
        free_gib = disk_usage(path).free / 2**30
        if free_gib < least_gib:
            reason = f"{path} has {free_gib:.1f} GiB free, less than {least_gib:g} GiB"
            return FolderState.LOW_SPACE, reason
    return FolderState.ONLINE, ""
