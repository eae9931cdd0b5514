"""The only mover and writer of job files: claim, publish, file, give back, recover."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from config.problems import Problem, UserError
from daemon import files
from daemon.inbox.names import numbered, printable
from daemon.job import Candidate, Job, JobFile, Role, Seen
from daemon.publication import NOTES, Publication
from daemon.receipt import Why, report, why_text
from daemon.recovery import PAPER, Left, left_in

SHOWN = ("inbox", "outbox", "review", "done", "failed", "logs")
_REPORT = "report.json"


class Untouchable(Exception):  # noqa: N818 - no error: somebody else's file
    """A file that we may not move or read; it is back in its place. Says why, in words."""


class Changed(Exception):  # noqa: N818 - no error: the user's good right
    """A file was touched, renamed or deleted between the look at it and the claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a claim needs beside the files."""

    job_id: str
    drawn_seed: int
    arrived_at: float
    claimed_at: float


def folder_id(root: Path) -> str:
    """The id of a hot folder; raises UserError where its marker is missing."""
    try:
        return (root / ".hotfolder" / "id").read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        problem = Problem(
            str(root),
            "it is no hot folder, or its share is not mounted: .hotfolder/id is missing",
            f"run `hotfolder init {root}`, or mount the share",
        )
        raise UserError([problem]) from None


def make_hot_folder(root: Path, identity: str) -> bool:
    """Make the folders of a hot folder; False where it was one already."""
    for name in (*SHOWN, ".hotfolder/work", ".hotfolder/lease"):
        files.make_folder(root / name)
    marker = root / ".hotfolder" / "id"
    if marker.exists():
        return False
    files.write_whole(marker, f"{identity}\n".encode())
    return True


def lock(root: Path) -> int | None:
    """Be the only daemon of a hot folder on this machine, until the descriptor is closed.

    None where the file system knows no locks. Raises UserError where another one is.
    """
    descriptor = os.open(root / ".hotfolder" / "id", os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        what = "another daemon serves this hot folder"
        advice = "stop it first, or give this one another hot folder"
        raise UserError([Problem(str(root), what, advice)]) from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


class Spool:
    """One hot folder's job files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inbox = root / "inbox"

    def work(self, job_id: str) -> Path:
        """The folder of a claimed job."""
        return self.root / ".hotfolder" / "work" / job_id

    def claim(self, candidate: Candidate, kept: frozenset[str], ticket: Ticket) -> Job:
        """Take the files of a candidate out of the inbox, those in `kept` as copies.

        Raises Changed where a file is not what was seen, and Untouchable where we may not take it;
        everything is back in its place then.
        """
        files_of_it = [candidate.image, candidate.sidecar, *candidate.companions]
        # Once each: an instruction may name its own picture, by mistake.
        seen = list(dict.fromkeys(filter(None, files_of_it)))
        job = Job(
            job_id=ticket.job_id,
            folder=candidate.image.folder,
            files=tuple(_job_file(file, candidate, kept) for file in seen),
            drawn_seed=ticket.drawn_seed,
            arrived_at=ticket.arrived_at,
            claimed_at=ticket.claimed_at,
            attempts=0,
            strikes=0,
            alone=False,
        )
        files.make_folder(self.work(job.job_id))
        self._write_paper(job)
        try:
            for file, one in zip(seen, job.files, strict=True):
                self._take(job, file, one)
        except (FileNotFoundError, NotADirectoryError, Changed) as error:
            self.give_back(job)
            raise Changed(candidate.image.path) from error
        except PermissionError as error:
            self.give_back(job)
            raise Untouchable(may_not(error)) from error
        files.sync_folder(self.work(job.job_id))
        return job

    def _take(self, job: Job, file: Seen, one: JobFile) -> None:
        source, target = self.inbox / file.path, self.work(job.job_id) / one.name
        before = source.lstat()
        if not _is_content_of(file, before) or before.st_ctime_ns != file.ctime_ns:
            raise Changed(file.path)
        if one.moved:
            source.rename(target)  # changes the ctime
        else:
            files.copy_durably(source, target)
        if not _is_content_of(file, (target if one.moved else source).lstat()):
            raise Changed(file.path)

    def copy_to_scratch(self, job: Job, scratch: Path) -> Job:
        """Copy a job's files to local scratch; returns the job with their hashes."""
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        hashed = []
        for index, file in enumerate(job.files):
            copied = files.copy(self.work(job.job_id) / file.name, scratch / scratch_name(index))
            hashed.append(replace(file, sha256=copied.sha256, size=copied.size))
        return replace(job, files=tuple(hashed))

    def begin_attempt(self, job: Job) -> Job:
        """Count an attempt, on disk before it begins."""
        job = replace(job, attempts=job.attempts + 1)
        self._write_paper(job)
        return job

    def count_end(self, job: Job, *, strike: bool, alone: bool) -> Job:
        """Count how the last attempt ended, and whether the next one is to be made alone."""
        job = replace(job, strikes=job.strikes + strike, alone=alone)
        self._write_paper(job)
        return job

    def publication(self, job_id: str) -> Publication:
        """The results of a job, on their way to the outbox."""
        return Publication(self.root, self.work(job_id))

    def file_done(self, job: Job, day: str) -> str:
        """Move the originals to done/; returns that folder relative to the root."""
        target = self.root / "done" / day / job.folder
        files.make_folder(target)
        # A copy's original is still in the inbox and comes with the last job that needs it.
        self._drop_copies(job)
        self._move_files(job, target)
        self._remove_work(job)
        return str(target.relative_to(self.root))

    def file_failed(self, job: Job, day: str, why: Why, instruction: str) -> str:
        """Move the originals to failed/ beside WHY.txt and report.json; returns that folder.

        A call that failed half-way may be repeated, and goes on where it stopped.
        """
        parent = self.root / "failed" / day
        files.make_folder(parent)
        target = _make_own_folder(parent, job)
        # First: originals without their WHY.txt would say nothing, and one may have its name.
        files.write_whole(target / _REPORT, report(job, why, instruction).encode())
        files.write_whole(target / "WHY.txt", why_text(job, why).encode())
        self._move_files(job, target)
        self._remove_work(job)
        return str(target.relative_to(self.root))

    def _drop_copies(self, job: Job) -> None:
        for file in job.files:
            if not file.moved:
                (self.work(job.job_id) / file.name).unlink(missing_ok=True)

    def _move_files(self, job: Job, target: Path) -> None:
        for file in job.files:
            with contextlib.suppress(FileNotFoundError):  # moved by an earlier, interrupted call
                files.move(self.work(job.job_id) / file.name, target, numbered(file.name))
        files.sync_folder(target)

    def give_back(self, job: Job) -> None:
        """Put the originals back into the inbox.

        Where a name is taken, image and sidecar get the same number.
        """
        home = self.inbox / job.folder
        files.make_folder(home)
        work = self.work(job.job_id)
        moved = [file for file in job.files if file.moved and os.path.lexists(work / file.name)]
        pair = [file for file in moved if file.role is not Role.COMPANION]
        for file, name in zip(pair, _free_names(home, work, pair), strict=True):
            files.move(work / file.name, home, iter((name,)))
        for file in moved:
            if file.role is Role.COMPANION:
                files.move(work / file.name, home, numbered(file.name))
        files.sync_folder(home)
        self._drop_copies(job)
        self._remove_work(job)

    def recover(self) -> Iterator[Left]:
        """What lies in work/, oldest first; what is empty there is removed."""
        work = self.root / ".hotfolder" / "work"
        files.make_folder(work)
        for folder in sorted(path for path in work.iterdir() if path.is_dir()):
            files.clear_temporaries(folder)
            if (left := left_in(folder)) is not None:
                yield left
            else:
                files.remove_empty(folder)

    def _write_paper(self, job: Job) -> None:
        content = json.dumps(asdict(job), indent=1).encode()
        files.write_whole(self.work(job.job_id) / PAPER, content)

    def _remove_work(self, job: Job) -> None:
        work = self.work(job.job_id)
        (work / NOTES).unlink(missing_ok=True)
        (work / PAPER).unlink(missing_ok=True)
        files.remove_empty(work)
        files.sync_folder(work.parent)


def scratch_name(index: int) -> str:
    """The name of a job's n-th file on scratch; its own name may be anything."""
    return f"original-{index}"


def may_not(error: PermissionError) -> str:
    """The words for a file that we may not touch."""
    name = printable(str(error.filename)) if error.filename else "a file of the job"
    return (
        f"{name} may not be taken by this user ({error.strerror}); let its group write to the"
        " file and its folder (chmod g+rw), or copy it here anew"
    )


def _job_file(file: Seen, candidate: Candidate, kept: frozenset[str]) -> JobFile:
    role = Role.COMPANION
    if file == candidate.image:
        role = Role.IMAGE
    elif file == candidate.sidecar:
        role = Role.SIDECAR
    moved = file.path not in kept
    return JobFile(role=role, name=file.name, moved=moved, sha256="", size=file.size)


def _free_names(home: Path, work: Path, pair: list[JobFile]) -> tuple[str, ...]:
    """A name for each file, with one number for all: an image keeps its sidecar."""
    sources = [work / file.name for file in pair]
    for names in zip(*(numbered(file.name) for file in pair), strict=False):
        targets = [home / name for name in names]
        if not any(map(_is_taken, targets, sources)):
            return names
    return ()  # of no file


def _is_taken(target: Path, source: Path) -> bool:
    # By the file itself: an earlier move was cut off half-way.
    return os.path.lexists(target) and not files.are_one(target, source)


def _is_content_of(file: Seen, status: os.stat_result) -> bool:
    is_same = (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)
    return is_same and stat.S_ISREG(status.st_mode)


def _make_own_folder(parent: Path, job: Job) -> Path:
    for name in numbered(job.image.name.rpartition(".")[0] or job.image.name):
        folder = parent / name
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            files.sync_folder(parent)
            return folder
        if _is_begun(folder, job):
            return folder
    raise AssertionError("names never end")  # noqa: EM101, TRY003


def _is_begun(folder: Path, job: Job) -> bool:
    """Whether an earlier, interrupted call made this folder for the job, or for none yet."""
    files.clear_temporaries(folder)
    try:
        report_there: object = json.loads((folder / _REPORT).read_bytes())
    except FileNotFoundError:
        return not any(folder.iterdir())
    except (OSError, ValueError):
        return False
    return isinstance(report_there, dict) and report_there.get("job_id") == job.job_id
