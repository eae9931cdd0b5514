"""Ends a job under way without a result, and clears its scratch when nobody is at it any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto

from daemon import orders
from daemon.job import Job, State
from daemon.keeper import Keeper
from daemon.work import active
from daemon.work.active import Active, Editing, Publishing, Resumable, Taking
from daemon.work.editor_line import Busy, EditorLine
from daemon.work.jobs import Jobs
from daemon.work.pixel_pool import PixelPool


class Progress(Enum):
    """What becomes of a job that is to end."""

    ENDING = auto()  # it is being filed
    LATER = auto()  # its files are being fetched: ask again
    TOO_LATE = auto()  # it is being published, or filed as something else


class Dismissal:
    """Lets workers and editor go on with the other jobs unharmed."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        editor: EditorLine,
        pixels: PixelPool,
        keepers: Mapping[str, Keeper],
    ) -> None:
        self._jobs, self._editor, self._pixels, self._keepers = jobs, editor, pixels, keepers
        self._ending: set[str] = set()  # ids of jobs whose filing is not answered yet
        self._left: dict[str, tuple[str, Job]] = {}  # root and job, whose scratch is still there

    def end(self, job: Active | Resumable) -> Progress:
        """File a job as cancelled, unless it is too late; a second time does nothing."""
        job_id = job.job.job_id
        if job_id in self._ending:
            return Progress.ENDING
        match job.phase:
            case Publishing():
                return Progress.TOO_LATE
            case Taking():
                return Progress.LATER
            case Editing() if isinstance(job, Active):
                self._editor.drop(active.request_ids(job.task))
            case _:
                pass
        self._pixels.forget(job_id)
        self._jobs.put(replace(job, phase=Publishing()))
        self._ending.add(job_id)
        self._left[job_id] = (job.root, job.job)
        self._keepers[job.root].submit(orders.FileDone(job.job, State.CANCELLED, ()))
        return Progress.ENDING

    def filed(self, job: Job) -> None:
        """Take note that a job has left work/."""
        self._ending.discard(job.job_id)

    def advance(self) -> None:
        """Clear the scratch of those that the editor and the pixel workers have let go."""
        for job_id, (root, job) in tuple(self._left.items()):
            if not self._is_at_work_on(job_id):
                del self._left[job_id]
                self._keepers[root].submit(orders.Forget(job))

    def _is_at_work_on(self, job_id: str) -> bool:
        condition = self._editor.condition
        is_edited = isinstance(condition, Busy) and job_id in condition.job_ids
        return is_edited or self._pixels.is_at(job_id)
