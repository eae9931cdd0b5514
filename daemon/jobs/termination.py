"""Ends a job that is wanted no more, wherever it stands."""

from __future__ import annotations

from enum import Enum, auto

from daemon.folder import messages
from daemon.job import Job, State
from daemon.jobs import job_run
from daemon.jobs.job_run import Editing, JobRun, JobTable, ParkedJob, Publishing, Reclaiming
from daemon.workers.backend import Busy, EditBackend
from daemon.workers.pixel_pool import PixelPool


class Progress(Enum):
    """What becomes of a job that is to end."""

    ENDING = auto()  # it is being filed
    LATER = auto()  # its files are being fetched: ask again
    TOO_LATE = auto()  # it is being published, or filed as something else


class JobTermination:
    """Lets workers and editor go on with the other jobs unharmed."""

    def __init__(self, jobs: JobTable, editor: EditBackend, pixels: PixelPool) -> None:
        self._jobs, self._editor, self._pixels = jobs, editor, pixels
        self._ending: set[str] = set()  # ids of jobs whose filing is not answered yet
        self._left: dict[str, tuple[str, Job]] = {}  # root and job, whose scratch is still there

    def end(self, job: JobRun | ParkedJob) -> Progress:
        """File a job as cancelled, unless it is too late; a second time does nothing."""
        job_id = job.job.job_id
        if job_id in self._ending:
            return Progress.ENDING
        match job.phase:
            case Publishing():
                return Progress.TOO_LATE
            case Reclaiming():
                return Progress.LATER
            case Editing() if isinstance(job, JobRun):
                self._editor.drop(job_run.request_ids(job.resolved_job))
            case _:
                pass
        self._pixels.forget(job_id)
        self._ending.add(job_id)
        self._left[job_id] = (job.root, job.job)
        self._jobs.hand_over(job, messages.FileDone(job.job, State.CANCELLED, ()))
        return Progress.ENDING

    def filed(self, job: Job) -> None:
        """Take note that a job has left work/."""
        self._ending.discard(job.job_id)

    def let_go(self, job: Job) -> bool:
        """Take note that a job is not filed; whether it was to be. It may be ended again.

        Its scratch may be used by another attempt, and is not cleared here any more.
        """
        was_ending = job.job_id in self._ending
        self._ending.discard(job.job_id)
        self._left.pop(job.job_id, None)
        return was_ending

    def advance(self) -> None:
        """Clear the scratch of those that the editor and the pixel workers have let go."""
        for job_id, (root, job) in tuple(self._left.items()):
            if not self._is_at_work_on(job_id):
                del self._left[job_id]
                self._jobs.worker_of(root).submit(messages.DropScratch(job))

    def _is_at_work_on(self, job_id: str) -> bool:
        condition = self._editor.condition
        is_edited = isinstance(condition, Busy) and job_id in condition.job_ids
        return is_edited or self._pixels.is_at(job_id)
