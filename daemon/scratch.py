"""The local folders of one hot folder's jobs: private copies, canvases, results."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from pathlib import Path
from shutil import rmtree

from daemon.job import JOB_ID


class Scratch:
    """Folders below `base`, which other hot folders share; each name says whose it is."""

    def __init__(self, base: Path, identity: str) -> None:
        """`identity` is the id of the hot folder, whatever path it has."""
        self.base = base
        self._mark = hashlib.sha256(identity.encode()).hexdigest()[:12]

    def of(self, job_id: str) -> Path:
        """The folder of a job."""
        return self.base / f"{job_id}.{self._mark}"

    def drop(self, job_id: str) -> None:
        """Remove the folder of a job."""
        rmtree(self.of(job_id), ignore_errors=True)

    def keep_only(self, job_ids: Container[str]) -> None:
        """Remove the folders of all jobs but these; what we did not make stays."""
        for path in self.base.glob(f"*.{self._mark}"):
            if JOB_ID.fullmatch(path.stem) and path.stem not in job_ids:
                rmtree(path, ignore_errors=True)
