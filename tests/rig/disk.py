"""A disk of a few megabytes, which can be filled and emptied again; needs root."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A file system in memory, mounted on a folder."""

    def __init__(self, folder: Path, size: str) -> None:
        """Mount it; skips the test where that is not allowed."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip(f"no small disk to be had: {mounted.stderr.decode().strip()}")

    def fill(self, *, but_bytes: int = 0) -> None:
        """Leave so much room and no more."""
        ballast = self.folder / "ballast"
        with contextlib.suppress(OSError), ballast.open("ab", 0) as stream:
            while True:
                stream.write(bytes(4096))
        with ballast.open("r+b") as stream:
            stream.truncate(max(0, ballast.stat().st_size - but_bytes))

    def make_room(self) -> None:
        """Take the ballast away."""
        (self.folder / "ballast").unlink()

    def close(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", self.folder], check=True)
