"""The only mover and writer of job files: claim, publish, file, give back, recover."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from config.problems import Problem, UserError
from daemon import failing, typed_json
from daemon.descent import has_other_names
from daemon.failing import Failing
from daemon.ground import Ground, nobody_else
from daemon.inbox.names import numbered, printable
from daemon.job import JOB_ID, Candidate, Job, JobFile, Role, Seen, State
from daemon.ledger import Ledger
from daemon.publication import Publication
from daemon.receipt import Why, report, why_text
from daemon.recovery import OURS, PAPER, Left, left_in
from daemon.trouble import Scope, areas_of, is_lasting, scope_of, words_of

SHOWN = ("inbox", "outbox", "review", "done", "failed", "logs")
WHY, REPORT = "WHY.txt", "report.json"
T = TypeVar("T")


class Untouchable(Exception):  # noqa: N818 - no error: somebody else's file
    """A file that we may not move or read; it is back in its place. Says why, in words."""

    def __init__(self, reason: str, *, is_lasting: bool = True) -> None:
        """`is_lasting`: it stays so until somebody mends it."""
        super().__init__(reason)
        self.is_lasting = is_lasting


class Changed(Exception):  # noqa: N818 - no error: the user's good right
    """A file was touched, renamed or deleted between the look at it and the claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a claim needs beside the files."""

    job_id: str
    drawn_seed: int
    arrived_at: float
    claimed_at: float


def _fail_with(_: Path, error: OSError) -> None:
    raise error


def folder_id(root: Path) -> str:
    """The id of a hot folder; raises UserError where its marker is missing."""
    marker = root / ".hotfolder" / "id"
    try:
        return Ground(root).read(marker).decode("ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        problem = Problem(
            str(root),
            "it is no hot folder, or its share is not mounted: .hotfolder/id is missing",
            f"run `hotfolder init {root}`, or mount the share",
        )
        raise UserError([problem]) from None


def make_hot_folder(root: Path, identity: str) -> bool:
    """Make the folders of a hot folder; False where it was one already."""
    root.mkdir(parents=True, exist_ok=True)
    ground = Ground(root)
    ground.make_home()
    for name in (*SHOWN, ".hotfolder/work", ".hotfolder/lease"):
        ground.make_folder(root / name)
    marker = root / ".hotfolder" / "id"
    if ground.exists(marker):
        return False
    ground.write_whole(marker, f"{identity}\n".encode())
    return True


class Spool:
    """One hot folder's job files."""

    def __init__(self, root: Path, fence: Callable[[], None] = nobody_else) -> None:
        """`fence` is called before each change, and raises where it must not be made."""
        self.root, self._fence = root, fence
        self.inbox = root / "inbox"
        self.ground = Ground(root, fence)
        self._ledger = Ledger(self.ground)

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
        self.ground.make_folder(self.work(job.job_id))
        self._write_paper(job)
        try:
            for file, one in zip(seen, job.files, strict=True):
                self._take(job, file, one)
        except (FileNotFoundError, NotADirectoryError, Changed) as error:
            self.give_back(job)
            raise Changed(candidate.image.path) from error
        except OSError as error:
            own = self.untouchable(error, job)
            self.give_back(job)
            raise own from error
        self.ground.sync(self.work(job.job_id))
        return job

    def untouchable(self, error: OSError, job: Job) -> Untouchable:
        """Why files of a job can be of no use now; raises the error where it is not theirs."""
        if self.scope_of(error, sum(file.size for file in job.files)) is not Scope.JOB:
            raise error
        touched = Path(str(error.filename))
        if touched.parent == self.work(job.job_id):  # it lies where it came from in a moment
            error.filename = str(self.inbox / job.folder / touched.name)
        if isinstance(error, PermissionError):
            return Untouchable(may_not(error))
        what, advice = words_of(error, self.root)
        reason = f"{what}; {advice}, or copy it here anew"
        return Untouchable(reason, is_lasting=is_lasting(error))

    def _take(self, job: Job, file: Seen, one: JobFile) -> None:
        source, target = self.inbox / file.path, self.work(job.job_id) / one.name
        before = self.ground.status(source)
        if not _is_content_of(file, before) or before.st_ctime_ns != file.ctime_ns:
            raise Changed(file.path)
        if one.moved:
            self.ground.rename(source, target)  # changes the ctime
        else:
            self.ground.copy(source, target)
        if not _is_content_of(file, self.ground.status(target if one.moved else source)):
            raise Changed(file.path)

    def copy_to_scratch(self, job: Job, scratch: Path) -> Job:
        """Copy a job's files to local scratch; returns the job with their hashes.

        Raises Changed where somebody is writing to one of them: no copy is of two contents.
        """
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        hashed = []
        for index, file in enumerate(job.files):
            source = self.work(job.job_id) / file.name
            before = self.ground.status(source)
            copied = self.ground.copy_out(source, scratch / scratch_name(index))
            # Writers go with a file that is renamed, and a share may show old attributes.
            if copied.size != file.size or not _is_unchanged(before, self.ground.status(source)):
                raise Changed(file.name)
            hashed.append(replace(file, sha256=copied.sha256))
        return replace(job, files=tuple(hashed))

    def begin_attempt(self, job: Job) -> Job:
        """Count an attempt, on disk before it begins."""
        job = replace(job, attempts=job.attempts + 1)
        self._write_paper(job)
        return job

    def count_end(self, job: Job, *, strike: bool, alone: bool, counts: bool = True) -> Job:
        """Count how the last attempt ended, if it was one, and whether the next is to be alone."""
        attempts = job.attempts - (not counts)
        job = replace(job, attempts=attempts, strikes=job.strikes + strike, alone=alone)
        self._write_paper(job)
        return job

    def publication(self, job_id: str) -> Publication:
        """The results of a job, on their way to the outbox."""
        return Publication(self.root, self.work(job_id), self._fence)

    def scope_of(self, error: OSError, size_bytes: int = 0) -> Scope:
        """Say whose an error is; a job's only where the hot folder takes such a file elsewhere.

        Raises OSError where it does not: that is the folder's own trouble, and says more of it.
        """
        scope = scope_of(error, self.root)
        if scope is Scope.JOB:
            self.ground.status(self.root / ".hotfolder" / "id")  # else nothing is touched there
            for area in areas_of(error, self.root):
                self.ground.try_out(area, size_bytes)
        return scope

    def file_done(self, job: Job, day: str) -> str:
        """Move the originals to done/; returns that folder relative to the root."""
        done = self.root / "done"
        # A copy's original is still in the inbox and comes with the last job that needs it.
        self._drop_copies(job)
        target, moved = self._nearest(
            done / day / job.folder, done, lambda folder: self._move_files(job, folder)
        )
        self._ledger.note(moved)
        self._remove_work(job)
        return str(target.relative_to(self.root))

    def _nearest(self, folder: Path, top: Path, act: Callable[[Path], T]) -> tuple[Path, T]:
        """Do something in a folder, or in the nearest above it up to `top` that lets us.

        Gives that folder, and what came of it.
        """
        while True:
            try:
                self.ground.make_folder(folder)
                return folder, act(folder)
            except OSError as error:
                is_of_it = is_lasting(error) and scope_of(error, self.root) is Scope.JOB
                if folder == top or not is_of_it:
                    raise
                folder = folder.parent

    def file_failed(self, job: Job, day: str, why: Why, instruction: str) -> str:
        """Move the originals to failed/ beside WHY.txt and report.json; returns that folder.

        A call that failed half-way may be repeated, and goes on where it stopped.
        """
        work, failed = self.work(job.job_id), self.root / "failed"
        self.ground.make_folder(work)  # somebody may have cleaned it away
        begun = failing.read(self.ground, work)
        if begun is None:
            begun = Failing(day=day, why=why, instruction=instruction)
            begun.write(self.ground, work)
        # First: originals without their WHY.txt would say nothing, and one may have its name.
        _, target = self._nearest(
            failed / begun.day, failed, lambda folder: self._write_why(job, begun, folder)
        )
        self._move_files(job, target)
        self._ledger.note(target / name for name, _ in self.ground.entries(target))
        self._remove_work(job)
        return str(target.relative_to(self.root))

    def _write_why(self, job: Job, begun: Failing, parent: Path) -> Path:
        target = self._make_own_folder(parent, job)
        text = report(job, begun.why, begun.instruction)
        self.ground.write_whole(target / REPORT, text.encode())
        self.ground.write_whole(target / WHY, why_text(job, begun.why).encode())
        return target

    def begin_ending(self, job: Job, state: State) -> Job:
        """Decide that a job ends without a result; from now on a recovery finishes its filing."""
        self.ground.make_folder(self.work(job.job_id))  # somebody may have cleaned it away
        job = replace(job, ending=state)
        self._write_paper(job)
        return job

    def take_away(self, file: Seen, day: str) -> str:
        """Move a file that is no input to done/; returns its path relative to the root.

        Raises Changed where it is not what was seen.
        """
        source, done = self.inbox / file.path, self.root / "done"
        if not _is_content_of(file, self.ground.status(source)):
            raise Changed(file.path)
        target, name = self._nearest(
            done / day / file.folder,
            done,
            lambda folder: self.ground.move(source, folder, numbered(file.name)),
        )
        self.ground.sync(target)
        self._ledger.note([target / name])
        return str((target / name).relative_to(self.root))

    def adopt(self, job: Job, folder: Path, names: Iterable[tuple[str, str]]) -> None:
        """Take files out of a folder into work/, each with the name that it gets there.

        Where this is interrupted, a recovery gives back what is there. Raises Untouchable where
        one may not be taken; all are back in their place then.
        """
        work = self.work(job.job_id)
        self.ground.make_folder(work)
        self._write_paper(job)
        taken: list[tuple[str, str]] = []
        try:
            for there, name in names:
                self.ground.rename(folder / there, work / name)
                taken.append((there, name))
        except PermissionError as error:
            for there, name in taken:
                self.ground.rename(work / name, folder / there)
            self._remove_work(job)
            raise Untouchable(may_not(error)) from error
        self.ground.sync(work)

    def remove_papers(self, folder: Path) -> None:
        """Remove our papers of a failed job, and its folder where nothing else is in it."""
        for name in (WHY, REPORT):
            self.ground.remove(folder / name)
        self.ground.remove_empty(folder)
        self.ground.sync(folder.parent)

    def _drop_copies(self, job: Job) -> None:
        for file in job.files:
            if not file.moved:
                self.ground.remove(self.work(job.job_id) / file.name)

    def _move_files(self, job: Job, target: Path) -> list[Path]:
        """Move the originals; returns where those are that were still to be moved."""
        work, moved = self.work(job.job_id), []
        for file in job.files:
            with contextlib.suppress(FileNotFoundError):  # moved by an earlier, interrupted call
                name = self.ground.move(work / file.name, target, numbered(file.name))
                moved.append(target / name)
        self.ground.sync(target)
        return moved

    def give_back(self, job: Job) -> tuple[str, ...]:
        """Put the originals back into the inbox; returns their paths there.

        Where a name is taken, image and sidecar get the same number.
        """
        home, names = self._nearest(
            self.inbox / job.folder, self.inbox, lambda folder: self._return_to(folder, job)
        )
        self._drop_copies(job)
        self._remove_work(job)
        return tuple(str((home / name).relative_to(self.inbox)) for name in names)

    def _return_to(self, home: Path, job: Job) -> list[str]:
        work = self.work(job.job_id)
        returning = [file for file in job.files if self._returns(file, job, home)]
        pair = [file for file in returning if file.role is not Role.COMPANION]
        names: list[str] = []
        for file, name in zip(pair, self._free_names(home, work, pair), strict=True):
            names.append(self.ground.move(work / file.name, home, iter((name,))))
        names += [
            self.ground.move(work / file.name, home, numbered(file.name))
            for file in returning
            if file.role is Role.COMPANION and not self._is_back(work / file.name, home)
        ]
        self.ground.sync(home)
        return names

    def _returns(self, file: JobFile, job: Job, home: Path) -> bool:
        """Whether a file is to go back; of a copy, whether its original has left meanwhile."""
        if not self.ground.exists(self.work(job.job_id) / file.name):
            return False
        # Until the first attempt a copy may be half.
        return file.moved or (job.attempts > 0 and not self.ground.exists(home / file.name))

    def _is_back(self, source: Path, home: Path) -> bool:
        """Whether another job has given the same file back; ours is removed then."""
        with contextlib.suppress(FileNotFoundError):
            if self.ground.sha256_of(home / source.name) == self.ground.sha256_of(source):
                self.ground.remove(source)
                return True
        return False

    def recover(self, unreadable: Callable[[Path, OSError], None] = _fail_with) -> Iterator[Left]:
        """What lies in work/, oldest first; what is empty there is removed.

        `unreadable` is told of a folder there that cannot be looked into.
        """
        work = self.root / ".hotfolder" / "work"
        self.ground.make_folder(work)
        entries = self.ground.entries(work)
        for folder in [work / name for name, status in entries if _is_of_a_job(name, status)]:
            try:
                left = self._left(folder)
            except OSError as error:
                unreadable(folder, error)
                continue
            if left is not None:
                yield left

    def _left(self, folder: Path) -> Left | None:
        self.ground.clear_temporaries(folder)
        left = left_in(self.ground, folder)
        if left is None:
            self._remove_papers(folder)
            self.ground.remove_empty(folder)
        return left

    def _write_paper(self, job: Job) -> None:
        content = json.dumps(asdict(job), indent=1).encode()
        self.ground.write_whole(self.work(job.job_id) / PAPER, content)

    def _remove_work(self, job: Job) -> None:
        work = self.work(job.job_id)
        self._remove_papers(work)
        self.ground.remove_empty(work)
        self.ground.sync(work.parent)

    def _remove_papers(self, work: Path) -> None:
        for name in OURS:  # job.json first: without it there is no job that could run again
            self.ground.remove(work / name)

    def _free_names(self, home: Path, work: Path, pair: list[JobFile]) -> tuple[str, ...]:
        """A name for each file, with one number for all: an image keeps its sidecar."""
        sources = [work / file.name for file in pair]
        for names in zip(*(numbered(file.name) for file in pair), strict=False):
            targets = [home / name for name in names]
            if not any(map(self._is_taken, targets, sources)):
                return names
        return ()  # of no file

    def _is_taken(self, target: Path, source: Path) -> bool:
        # By the file itself: an earlier move was cut off half-way.
        return self.ground.exists(target) and not self.ground.are_one(target, source)

    def _make_own_folder(self, parent: Path, job: Job) -> Path:
        for name in numbered(job.image.name.rpartition(".")[0] or job.image.name):
            folder = parent / name
            with contextlib.suppress(FileExistsError):
                self.ground.make_own_folder(folder)
                return folder
            if self._is_begun(folder, job):
                return folder
        raise AssertionError("names never end")  # noqa: EM101, TRY003

    def _is_begun(self, folder: Path, job: Job) -> bool:
        """Whether an earlier, interrupted call made this folder for the job, or for none yet."""
        try:
            self.ground.clear_temporaries(folder)
            report_there = typed_json.parse(self.ground.read(folder / REPORT))
            return bool(typed_json.at(str, report_there, "job_id") == job.job_id)
        except FileNotFoundError:
            return not self.ground.entries(folder)
        except (OSError, ValueError):
            return False


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


def _is_unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _is_of_a_job(name: str, status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and JOB_ID.fullmatch(name) is not None


def _is_content_of(file: Seen, status: os.stat_result) -> bool:
    is_same = (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)
    return is_same and stat.S_ISREG(status.st_mode) and not has_other_names(status)
