"""The records in the work folder of a job: what it is, that it has failed, or none at all."""

from __future__ import annotations

import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from config import codec
from daemon.clock import local_time
from daemon.fs.names import Kind, is_base_name, is_hidden, is_path_below, kind_of
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job, JobFile, Role, State
from daemon.spool.publisher import PUBLISH_RECORD
from daemon.spool.receipts import FailureReason

FAILURE_RECORD = "failing.json"
JOB_RECORD = "job.json"
OURS = (JOB_RECORD, PUBLISH_RECORD, FAILURE_RECORD)  # of the files in the folder of a job
_SEED_BITS = 31  # short enough to be copied by hand from a receipt into a sidecar
UNKNOWN = FailureReason(
    State.FAILED,
    "What belongs to this job cannot be read any more: its job.json is missing or damaged.",
    "Move the files back into the folder of the inbox that they came from.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTicket:
    """What a claim needs beside the files."""

    job_id: str
    drawn_seed: int
    arrived_at: float
    claimed_at: float

    def job(self, folder: str, files: tuple[JobFile, ...]) -> Job:
        """The job of some files that came from a folder of the inbox, not begun."""
        return Job(
            job_id=self.job_id,
            folder=folder,
            files=files,
            drawn_seed=self.drawn_seed,
            arrived_at=self.arrived_at,
            claimed_at=self.claimed_at,
            attempts=0,
            strikes=0,
            alone=False,
        )


def new_ticket(unix_now: float, *, waited_seconds: float) -> ClaimTicket:
    """A ticket for a job whose image was first seen `waited_seconds` ago; ids sort by time."""
    moment = local_time(unix_now)
    return ClaimTicket(
        job_id=f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
        drawn_seed=secrets.randbits(_SEED_BITS),
        arrived_at=unix_now - max(0.0, waited_seconds),
        claimed_at=unix_now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """A job that is being filed as failed, and runs no more."""

    day: str  # of failed/, whatever day it becomes meanwhile
    why: FailureReason
    instruction: str  # JSON

    def write(self, tree: SafeTree, work: Path) -> None:
        """Put it on record in the folder of its job."""
        tree.write_whole(work / FAILURE_RECORD, codec.dump(self).encode())


def read_failure(tree: SafeTree, work: Path) -> FailureRecord | None:
    """What an earlier call put on record; None where it is no record of ours."""
    try:
        failing = codec.load(FailureRecord, tree.read(work / FAILURE_RECORD))
        codec.parse(failing.instruction)  # whoever may write to the share may have written it
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    is_end = failing.why.state in (State.FAILED, State.QUARANTINED)
    return failing if is_end and is_base_name(failing.day) else None


@dataclass(frozen=True, slots=True)
class RecoveredJob:
    """A job that an earlier daemon, or an interrupted command, left in work/."""

    job: Job
    is_known: bool  # False: its job.json is lost, and the job is made up from the files there
    failing: FailureRecord | None = None  # its filing as failed was interrupted

    @property
    def is_begun(self) -> bool:
        """Whether its claim was completed; if not, nobody knows what its files are worth."""
        return self.is_known and self.job.attempts > 0


def left_in(tree: SafeTree, folder: Path) -> RecoveredJob | None:
    """What lies in a work folder; None where it holds nothing of anybody."""
    job = job_of_record(tree, folder / JOB_RECORD)
    if job is not None:
        return RecoveredJob(job, is_known=True, failing=read_failure(tree, folder))
    originals = _originals(tree, folder)
    return RecoveredJob(_job_of(tree, folder, originals), is_known=False) if originals else None


def job_of_record(tree: SafeTree, path: Path) -> Job | None:
    """The job of a job.json; None where it is missing or no record of this job."""
    try:
        job = codec.load(Job, tree.read(path))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None
    return job if _is_of(job, path.parent.name) else None


def _is_of(job: Job, job_id: str) -> bool:
    """Whether a record may be ours: whoever may write to the share may have written it."""
    names = (
        *(it.name for it in job.files),
        *job.returning.values(),
        *(name for _, name in job.adopting),
    )
    paths = (job.folder, *(there for there, _ in job.adopting))
    leads_down = all(map(is_path_below, paths)) and all(map(is_base_name, names))
    if not all(there.startswith("failed/") for there, _ in job.adopting):
        return False
    return bool(job.files) and leads_down and job.job_id == job_id


def _originals(tree: SafeTree, folder: Path) -> tuple[JobFile, ...]:
    """All files in the folder of a job that may be somebody's, an image first."""
    sizes = {
        name: status.st_size
        for name, status in tree.entries(folder)
        if stat.S_ISREG(status.st_mode) and name not in OURS and not is_hidden(name)
    }
    theirs = sorted(sizes, key=lambda name: (kind_of(name) is not Kind.IMAGE, name))
    return tuple(
        JobFile(
            role=Role.COMPANION if index else Role.IMAGE,
            name=name,
            moved=True,
            sha256="",
            size=sizes[name],
        )
        for index, name in enumerate(theirs)
    )


def _job_of(tree: SafeTree, folder: Path, originals: tuple[JobFile, ...]) -> Job:
    at = tree.status(folder).st_mtime
    ticket = ClaimTicket(job_id=folder.name, drawn_seed=0, arrived_at=at, claimed_at=at)
    return ticket.job("", originals)
