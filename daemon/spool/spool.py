"""The only mover and writer of job files: claim, publish, file, release, recover."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from config import codec
from daemon.fs.dirfd import has_other_names
from daemon.fs.errors import Scope, areas_of, is_lasting, scope_of, words_of
from daemon.fs.names import numbered, printable
from daemon.fs.safe_tree import SafeTree, nobody_else
from daemon.job import JOB_ID, Candidate, Job, JobFile, Role, Seen, State
from daemon.spool.giving_back import GivingBack
from daemon.spool.publisher import Publisher
from daemon.spool.receipts import FailureReason, report, why_text
from daemon.spool.records import (
    JOB_RECORD,
    OURS,
    ClaimTicket,
    FailureRecord,
    RecoveredJob,
    left_in,
    read_failure,
)
from daemon.spool.retention import FiledManifest

WHY, REPORT = "WHY.txt", "report.json"
_FOLDERS_OF_A_DAY = 3  # DAY, DAY_2, DAY_3: what three do not take is not theirs alone
T = TypeVar("T")


class NotPermitted(Exception):  # noqa: N818 - no error: somebody else's file
    """A file that we may not move or read; it is back in its place. Says why, in words."""

    def __init__(self, reason: str, *, is_lasting: bool = True) -> None:
        """`is_lasting`: it stays so until somebody mends it."""
        super().__init__(reason)
        self.is_lasting = is_lasting


class ChangedMeanwhile(Exception):  # noqa: N818 - no error: the user's good right
    """A file was touched, renamed or deleted between the look at it and the claim."""


def _fail_with(_: Path, error: Exception) -> None:
    raise error


class Spool:
    """One hot folder's job files."""

    def __init__(self, root: Path, fence: Callable[[], None] = nobody_else) -> None:
        """`fence` is called before each change, and raises where it must not be made."""
        self.root = root
        self.inbox = root / "inbox"
        self.tree = SafeTree(root, fence)
        self._manifest = FiledManifest(self.tree)

    def work(self, job_id: str) -> Path:
        """The folder of a claimed job."""
        return self.root / ".hotfolder" / "work" / job_id

    def claim(self, candidate: Candidate, kept: frozenset[str], ticket: ClaimTicket) -> Job:
        """Take the files of a candidate out of the inbox, those in `kept` as copies.

        Raises ChangedMeanwhile where a file is not what was seen, and NotPermitted where we may
        not take it; everything is back in its place then.
        """
        files_of_it = [candidate.image, candidate.sidecar, *candidate.companions]
        # Once each: an instruction may name its own picture, by mistake.
        seen = list(dict.fromkeys(filter(None, files_of_it)))
        files = tuple(_job_file(file, candidate, kept) for file in seen)
        job = ticket.job(candidate.image.folder, files)
        self.tree.make_folder(self.work(job.job_id))
        self.publication(job.job_id).make_record()
        self._write_record(job)
        try:
            for file, one in zip(seen, job.files, strict=True):
                self._take(job, file, one)
        except (FileNotFoundError, NotADirectoryError, ChangedMeanwhile) as error:
            self.release(job)
            raise ChangedMeanwhile(candidate.image.path) from error
        except OSError as error:
            own = self.not_permitted(error, job)
            self.release(job)
            raise own from error
        return job

    def not_permitted(self, error: OSError, job: Job) -> NotPermitted:
        """Why files of a job can be of no use now; raises the error where it is not theirs."""
        if self.scope_of(error, sum(file.size for file in job.files)) is not Scope.JOB:
            raise error
        touched = Path(str(error.filename))
        if touched.parent == self.work(job.job_id):  # it lies where it came from in a moment
            error.filename = str(self.inbox / job.folder / touched.name)
        if isinstance(error, PermissionError):
            return NotPermitted(may_not(error))
        what, advice = words_of(error, self.root)
        reason = f"{what}; {advice}, or copy it here anew"
        return NotPermitted(reason, is_lasting=is_lasting(error))

    def _take(self, job: Job, file: Seen, one: JobFile) -> None:
        source, target = self.inbox / file.path, self.work(job.job_id) / one.name
        before = self.tree.status(source)
        if not _is_content_of(file, before) or before.st_ctime_ns != file.ctime_ns:
            raise ChangedMeanwhile(file.path)
        if one.moved:
            self.tree.rename(source, target)  # changes the ctime
        else:
            self.tree.copy(source, target)
        if not _is_content_of(file, self.tree.status(target if one.moved else source)):
            raise ChangedMeanwhile(file.path)

    def copy_to_scratch(self, job: Job, scratch: Path) -> Job:
        """Copy a job's files to local scratch; returns the job with their hashes.

        Raises ChangedMeanwhile where somebody is writing to one of them: no copy is of two
        contents.
        """
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        hashed = []
        for index, file in enumerate(job.files):
            source = self.work(job.job_id) / file.name
            before = self.tree.status(source)
            copied = self.tree.copy_out(source, scratch / scratch_name(index))
            # Writers go with a file that is renamed, and a share may show old attributes.
            if copied.size != file.size or not _is_unchanged(before, self.tree.status(source)):
                raise ChangedMeanwhile(file.name)
            hashed.append(replace(file, sha256=copied.sha256))
        return replace(job, files=tuple(hashed))

    def begin_attempt(self, job: Job) -> Job:
        """Count an attempt, on disk before it begins; with that the job's files are safe there."""
        job = replace(job, attempts=job.attempts + 1)
        self._write_record(job)
        return job

    def count_end(self, job: Job, *, strike: bool, alone: bool, counts: bool = True) -> Job:
        """Count how the last attempt ended, if it was one, and whether the next is to be alone."""
        attempts = job.attempts - (not counts)
        job = replace(job, attempts=attempts, strikes=job.strikes + strike, alone=alone)
        self._write_record(job)
        return job

    def publication(self, job_id: str) -> Publisher:
        """The results of a job, on their way to the outbox."""
        return Publisher(self.tree, self.work(job_id))

    def scope_of(self, error: OSError, size_bytes: int = 0) -> Scope:
        """Say whose an error is; a job's only where the hot folder takes such a file elsewhere.

        Raises OSError where it does not: that is the folder's own trouble, and says more of it.
        """
        scope = scope_of(error, self.root)
        if scope is Scope.JOB:
            self.tree.status(self.root / ".hotfolder" / "id")  # else nothing is touched there
            for area in areas_of(error, self.root):
                self.tree.try_out(area, size_bytes)
        return scope

    def file_done(self, job: Job, day: str) -> str:
        """Move the originals to done/; returns that folder relative to the root."""
        done = self.root / "done"
        # A copy's original is still in the inbox and comes with the last job that needs it.
        self._drop_copies(job)
        target, moved = self._filed_in(
            done, day, job.folder, lambda folder: self._move_files(job, folder)
        )
        self._manifest.note(moved)
        self._remove_work(job)
        return str(target.relative_to(self.root))

    def _filed_in(
        self, area: Path, day: str, below: str, act: Callable[[Path], T]
    ) -> tuple[Path, T]:
        """Do something below a day's folder; where that takes nothing, in one beside it.

        Gives the folder, and what came of it. Whoever looks for originals knows DAY_2, too.
        """
        *others, last = itertools.islice(numbered(day), _FOLDERS_OF_A_DAY)
        for name in others:
            try:
                return self._nearest(area / name / below, area / name, act)
            except OSError as error:
                if not self._is_lasting_here(error):
                    raise
                if name != day:  # nobody needs it, empty
                    with contextlib.suppress(OSError):
                        self.tree.remove_empty(area / name)
        return self._nearest(area / last / below, area / last, act)

    def _is_lasting_here(self, error: OSError) -> bool:
        return is_lasting(error) and scope_of(error, self.root) is Scope.JOB

    def _nearest(self, folder: Path, top: Path, act: Callable[[Path], T]) -> tuple[Path, T]:
        """Do something in a folder, or in the nearest above it up to `top` that lets us.

        Gives that folder, and what came of it.
        """
        while True:
            try:
                self.tree.make_folder(folder)
                return folder, act(folder)
            except OSError as error:
                if folder == top or not self._is_lasting_here(error):
                    raise
                folder = folder.parent

    def file_failed(self, job: Job, day: str, why: FailureReason, instruction: str) -> str:
        """Move the originals to failed/ beside WHY.txt and report.json; returns that folder.

        A call that failed half-way may be repeated, and goes on where it stopped.
        """
        work, failed = self.work(job.job_id), self.root / "failed"
        self.tree.make_folder(work)  # somebody may have cleaned it away
        begun = read_failure(self.tree, work)
        if begun is None:
            begun = FailureRecord(day=day, why=why, instruction=instruction)
            begun.write(self.tree, work)
        # First: originals without their WHY.txt would say nothing, and one may have its name.
        target = self._filed_in(
            failed, begun.day, "", lambda folder: self._write_why(job, begun, folder)
        )[1]
        self._move_files(job, target)
        self._manifest.note(target / name for name, _ in self.tree.entries(target))
        self._remove_work(job)
        return str(target.relative_to(self.root))

    def _write_why(self, job: Job, begun: FailureRecord, parent: Path) -> Path:
        target = self._make_own_folder(parent, job)
        text = report(job, begun.why, begun.instruction)
        self.tree.write_whole(target / REPORT, text.encode())
        self.tree.write_whole(target / WHY, why_text(job, begun.why).encode())
        return target

    def begin_ending(self, job: Job, state: State) -> Job:
        """Decide that a job ends without a result; from now on a recovery finishes its filing."""
        self.tree.make_folder(self.work(job.job_id))  # somebody may have cleaned it away
        job = replace(job, ending=state)
        self._write_record(job)
        return job

    def file_away(self, file: Seen, day: str) -> str:
        """Move a file that is no input to done/; returns its path relative to the root.

        Raises ChangedMeanwhile where it is not what was seen.
        """
        source = self.inbox / file.path
        if not _is_content_of(file, self.tree.status(source)):
            raise ChangedMeanwhile(file.path)
        return self.keep(source, file.folder, day)

    def keep(self, source: Path, below: str, day: str) -> str:
        """Move a file that is not needed to a folder below done/; returns its relative path."""
        target, name = self._filed_in(
            self.root / "done",
            day,
            below,
            lambda folder: self.tree.move(source, folder, numbered(source.name)),
        )
        self.tree.sync(target)
        self._manifest.note([target / name])
        return str((target / name).relative_to(self.root))

    def adopt(self, job: Job, folder: Path, names: Iterable[tuple[str, str]]) -> None:
        """Take files out of a folder into work/, each with the name that it gets there.

        Where this is interrupted, `release` goes on with it. Raises NotPermitted where one may not
        be taken; all are back in their place then.
        """
        work, pairs = self.work(job.job_id), tuple(names)
        self.tree.make_folder(work)
        adopting = tuple((str((folder / it).relative_to(self.root)), name) for it, name in pairs)
        self._write_record(replace(job, adopting=adopting))
        taken: list[tuple[str, str]] = []
        try:
            for there, name in pairs:
                self.tree.move(folder / there, work, iter((name,)))
                taken.append((there, name))
        except PermissionError as error:
            for there, name in taken:
                self.tree.move(work / name, folder, numbered(there))
            self._remove_work(job)
            raise NotPermitted(may_not(error)) from error
        self.tree.sync(work)

    def remove_records(self, folder: Path) -> None:
        """Remove our records of a failed job, and its folder where nothing else is in it."""
        for name in (WHY, REPORT):
            self.tree.remove(folder / name)
        self.tree.remove_empty(folder)
        self.tree.sync(folder.parent)

    def _drop_copies(self, job: Job) -> None:
        for file in job.files:
            if not file.moved:
                self.tree.remove(self.work(job.job_id) / file.name)

    def _move_files(self, job: Job, target: Path) -> list[Path]:
        """Move the originals; returns where those are that were still to be moved."""
        work, moved = self.work(job.job_id), []
        for file in job.files:
            with contextlib.suppress(FileNotFoundError):  # moved by an earlier, interrupted call
                name = self.tree.move(work / file.name, target, numbered(file.name))
                moved.append(target / name)
        self.tree.sync(target)
        return moved

    def release(self, job: Job) -> tuple[str, ...]:
        """Put the originals back into the inbox; returns their paths there.

        Where a name is taken, image and sidecar get the same number, and keep it whenever this
        dies. What an interrupted `adopt` left where it was is fetched first.
        """
        for there, name in job.adopting:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.tree.move(self.root / there, self.work(job.job_id), iter((name,)))
        home, names = self._nearest(
            self.inbox / job.folder, self.inbox, lambda folder: self._return_to(folder, job)
        )
        self._drop_copies(job)
        self._remove_work(job)
        return tuple(str((home / name).relative_to(self.inbox)) for name in names)

    def _return_to(self, home: Path, job: Job) -> list[str]:
        giving_back = GivingBack(self.tree, self.work(job.job_id), home)
        names = giving_back.names(job)
        if names != job.returning and any(name != it for name, it in names.items()):
            self._write_record(replace(job, returning=names))
        return giving_back.move(replace(job, returning=names))

    def recover(
        self, unreadable: Callable[[Path, Exception], None] = _fail_with
    ) -> Iterator[RecoveredJob]:
        """What lies in work/, oldest first; what is empty there is removed.

        `unreadable` is told of a folder there that cannot be looked into, whatever is raised.
        """
        work = self.root / ".hotfolder" / "work"
        self.tree.make_folder(work)
        entries = self.tree.entries(work)
        for folder in [work / name for name, status in entries if _is_of_a_job(name, status)]:
            try:
                left = self._left(folder)
            except Exception as error:  # noqa: BLE001 - one folder hides no other
                unreadable(folder, error)
                continue
            if left is not None:
                yield left

    def _left(self, folder: Path) -> RecoveredJob | None:
        self.tree.clear_temporaries(folder)
        left = left_in(self.tree, folder)
        if left is None:
            self._remove_records(folder)
            self.tree.remove_empty(folder)
        return left

    def _write_record(self, job: Job) -> None:
        content = codec.dump(job).encode()
        self.tree.write_whole(self.work(job.job_id) / JOB_RECORD, content)

    def _remove_work(self, job: Job) -> None:
        work = self.work(job.job_id)
        self._remove_records(work)
        self.tree.remove_empty(work)
        self.tree.sync(work.parent)

    def _remove_records(self, work: Path) -> None:
        for name in OURS:  # job.json first: without it there is no job that could run again
            self.tree.remove(work / name)

    def _make_own_folder(self, parent: Path, job: Job) -> Path:
        for name in numbered(job.image.name.rpartition(".")[0] or job.image.name):
            folder = parent / name
            with contextlib.suppress(FileExistsError):
                self.tree.make_own_folder(folder)
                return folder
            if self._is_begun(folder, job):
                return folder
        raise AssertionError("names never end")  # noqa: EM101, TRY003

    def _is_begun(self, folder: Path, job: Job) -> bool:
        """Whether an earlier, interrupted call made this folder for the job, or for none yet."""
        try:
            self.tree.clear_temporaries(folder)
            report_there = codec.parse(self.tree.read(folder / REPORT))
            return bool(codec.at(str, report_there, "job_id") == job.job_id)
        except FileNotFoundError:
            return not self.tree.entries(folder)
        except (OSError, ValueError):
            return False


def scratch_name(index: int) -> str:
    """The name of a job's n-th file on scratch; its own name may be anything."""
    return f"original-{index}"


def may_not(error: PermissionError) -> str:
    """The words for a file that we may not touch."""
    name = printable(str(error.filename)) if error.filename else "a file of the job"
    return (
        f"{name} may not be moved by this user ({error.strerror}); let its group write to the"
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
