"""Does the commands on the job files of one hot folder, and tells what came of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import assert_never

from config.instruction_keys import Keys
from config.problems import UserError
from daemon.clock import Clock, day_of
from daemon.folder import messages, resolve
from daemon.folder.file_requests import FileRequests
from daemon.folder.holds import Holds, traits_of
from daemon.folder.retries import CommandRetries, words_of_hindrance
from daemon.fs.errors import Scope, words_of
from daemon.job import Job, State
from daemon.lease.leader import NotLeader
from daemon.spool.disk_space import DiskSpace
from daemon.spool.receipts import FinishedJob, hindered_job, in_the_way
from daemon.spool.records import UNKNOWN, RecoveredJob, new_ticket
from daemon.spool.scratch import ScratchDirs, finished_sizes, has_finished, load_finished
from daemon.spool.spool import ChangedMeanwhile, NotPermitted, Spool
from daemon.supervision import Fault, fault_of, job_hindered_by_fault


class FolderExecutor:
    """Works for a folder worker, in its thread; raises OSError where the share does not work."""

    def __init__(
        self,
        *,
        spool: Spool,
        scratch: Path,
        clock: Clock,
        resolver: resolve.Resolver,
        presets_for: Callable[[str], tuple[Keys, ...]],
        reply: Callable[[messages.FolderReply], None],
    ) -> None:
        self._root, self._spool, self._clock = spool.root, spool, clock
        self.resolver = resolver
        self.room = DiskSpace(spool.root, scratch, clock)
        self.holds = Holds(partial(traits_of, spool.tree))
        self.file_requests = FileRequests(spool, clock)
        self.retries = CommandRetries()
        self._scratch = ScratchDirs(scratch, "")
        self._presets_for, self._reply = presets_for, reply
        self._known: set[str] = set()  # jobs that the service knows
        self._announced: set[str] = set()  # jobs whose results are out, as was told
        self.is_to_recover = True  # whether work/ may hold files of no job that is known

    def serve(self, identity: str) -> None:
        """Work from now on for the hot folder of this id."""
        self._scratch = ScratchDirs(self._scratch.base, identity)

    def leave(self) -> tuple[messages.JobCommand, ...]:
        """Know of no job any more; what is on scratch may be wanted later.

        Gives the commands that were put off.
        """
        self._known, self._announced, self.is_to_recover = set(), set(), True
        return self.retries.clear()

    def do(self, command: messages.ExecutorCommand, *, again: bool = False) -> None:
        """Carry out a command, and reply to it; where one job alone is in trouble, now or later.

        `again`: it was begun before.
        """
        try:
            self._do_or_put_off(command, again=again)
        except (OSError, NotLeader):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours, which others need not bear
            self._bear_fault(command, error)

    def _do_or_put_off(self, command: messages.ExecutorCommand, *, again: bool) -> None:
        try:
            if again and isinstance(command, messages.Publish):
                self._clear_half_done(command)  # half of it may be out
            self._do(command)
        except OSError as error:
            if (
                isinstance(command, messages.Claim)
                or self._scope_of(error, command) is not Scope.JOB
            ):
                raise
            if isinstance(command, messages.FileRequest):
                self._refuse(command, error)
            else:
                self._put_off_or_hold(command, error)
        else:
            if isinstance(command, messages.JobCommand):
                self.retries.over(command.job.job_id)

    def _bear_fault(self, command: messages.ExecutorCommand, error: Exception) -> None:
        """Have the one job that met a fault of ours bear it alone, and say so."""
        if isinstance(command, messages.Claim):
            self.recover()  # its files are to be back when they are looked at for the hold
            now, fault = self._clock.monotonic(), fault_of(error)
            if self.holds.add(command.candidate, fault.reason, now, is_lasting=True):
                self._tell_fault(command.candidate.image.path, fault)
            self._reply(messages.ClaimLost())
        elif isinstance(command, messages.FileRequest):
            self._refuse(command, error)
        elif isinstance(command, messages.DropScratch):
            self._known.discard(command.job.job_id)
            self.is_to_recover = True  # which clears its scratch
            self._tell_fault(command.job.path, fault_of(error))
        else:
            self._hold(command.job, error)

    def _tell_fault(self, path: str, fault: Fault) -> None:
        event = job_hindered_by_fault(path, f"worker of {self._root}", fault)
        self._reply(messages.EventRaised(event))

    def _refuse(self, request: messages.FileRequest, error: Exception) -> None:
        self.is_to_recover = True  # some of its files may have been moved already
        if not isinstance(error, OSError):
            self._tell_fault(messages.subject_of_request(request), fault_of(error))
        what, advice = words_of_hindrance(error, self._root)
        self._reply(messages.refusal(request, what, advice, reason=f"{what}; {advice}"))

    def try_again(self) -> None:
        """Carry out what was put off until now; raises what is the hot folder's trouble."""
        for command in self.retries.due(self._clock.monotonic()):
            self.do(command, again=True)

    def _scope_of(
        self, error: OSError, command: messages.JobCommand | messages.FileRequest
    ) -> Scope:
        sizes: tuple[int, ...] = ()
        if isinstance(command, messages.Publish):
            with contextlib.suppress(FileNotFoundError):  # the cache was emptied: it is seen soon
                sizes = finished_sizes(command.finished)
        return self._spool.scope_of(error, sum(sizes))

    def _put_off_or_hold(self, command: messages.JobCommand, error: OSError) -> None:
        """Put a command off; where that was of no use, the job fails, or is held at least."""
        if self.retries.put_off(command, self._clock.monotonic()):
            return
        job = command.job
        what, advice = words_of(error, self._root)
        match command:
            case messages.Publish(finished) if job.job_id not in self._announced:
                with contextlib.suppress(OSError):
                    self._clear_half_done(command)
                why = hindered_job(f"the result cannot be written to {what}", advice)
                self.do(messages.FileFailed(job, why, finished.resolved_job.instruction))
            case messages.Reclaim():
                why = hindered_job(f"its files cannot be used: {what}", advice)
                self.do(messages.FileFailed(job, why, "{}"))
            case _:
                self._hold(job, error)

    def _hold(self, job: Job, error: Exception) -> None:
        reason = self._leave_in_work(job.job_id, job.path, error)
        self._known.discard(job.job_id)
        self._reply(messages.Held(job, reason))

    def _leave_in_work(self, job_id: str, path: str, error: Exception) -> str:
        what, advice = words_of_hindrance(error, self._root)
        where = f"its files lie in .hotfolder/work/{job_id} and cannot be filed"
        reason = f"{where} ({what}): {advice}"
        is_news = self.retries.hold(job_id, path, reason, self._clock.monotonic())
        if is_news and not isinstance(error, OSError):
            self._tell_fault(path, fault_of(error))
        return reason

    def _is_of_all(self, error: Exception) -> bool:
        """Whether an error met at one job is not its own."""
        if isinstance(error, OSError):
            return self._spool.scope_of(error) is not Scope.JOB
        return isinstance(error, NotLeader)

    def _do(self, command: messages.ExecutorCommand) -> None:  # noqa: C901 - one arm a command
        match command:
            case messages.Claim():
                self._claim(command)
            case messages.Reclaim():
                self._reclaim(command)
            case messages.Publish():
                self._publish(command)
            case messages.FileFailed():
                self._file_failed(command)
            case messages.FileDone():
                self._file_done(command)
            case messages.DropScratch(job):
                self._drop_job(job)
            case (
                messages.CancelWaiting()
                | messages.FileAway()
                | messages.Requeue()
                | messages.EditAgain()
                | messages.Judge()
            ):
                self._reply(self.file_requests.grant(command))
            case messages.Release(job):
                self._spool.release(job)
                self._drop_job(job)
                self._reply(messages.Released(job))
            case _:
                assert_never(command)

    def _clear_half_done(self, command: messages.Publish) -> None:
        self._spool.publication(command.job.job_id).clear_half_done(command.job)

    def _claim(self, command: messages.Claim) -> None:
        now, unix_now = self._clock.monotonic(), self._clock.time()
        drawn = new_ticket(unix_now, waited_seconds=now - command.candidate.since)
        try:
            job = self._spool.claim(command.candidate, command.kept, drawn)
            self._take_up_or_give_back(job, command.candidate.problems)
            self.room.sufficed()
        except ChangedMeanwhile:
            self._reply(messages.ClaimLost())
        except NotPermitted as error:
            now = self._clock.monotonic()
            self.holds.add(command.candidate, str(error), now, is_lasting=error.is_lasting)
            self._reply(messages.ClaimLost())

    def _take_up_or_give_back(self, job: Job, problems: resolve.Problems) -> None:
        try:
            self._take_up(job, problems)
        except Exception as error:
            if not isinstance(error, OSError | NotLeader | NotPermitted):  # they know of it
                self._spool.release(job)
                self._drop_job(job)
            raise

    def _reclaim(self, command: messages.Reclaim) -> None:
        try:
            job = self._spool.count_end(
                command.job, strike=command.strike, alone=command.alone, counts=command.counts
            )
        except FileNotFoundError:
            self._files_gone(command.job)
            return
        with contextlib.suppress(
            NotPermitted
        ):  # it is in the inbox again; its next claim says why
            self._take_up(job, ())
            return
        self._reply(messages.FilesGone(job))

    def _take_up(self, job: Job, problems: resolve.Problems) -> None:
        scratch = self._scratch.of(job.job_id)
        try:
            job = self._spool.begin_attempt(self._spool.copy_to_scratch(job, scratch))
        except (FileNotFoundError, ChangedMeanwhile):
            self._files_gone(job)
            return
        except OSError as error:
            own = self._spool.not_permitted(error, job)
            self._spool.release(job)
            self._drop_job(job)
            raise own from error
        try:
            presets = self._presets_for(job.folder)
        except UserError as error:
            presets, problems = (), problems or error.problems
        reply = self.resolver.read(job, scratch, presets, problems)
        self._known.add(job.job_id)
        self._reply(reply)

    def _files_gone(self, job: Job) -> None:
        self._spool.release(job)
        self._drop_job(job)
        self._reply(messages.FilesGone(job))

    def _publish(self, command: messages.Publish) -> None:
        job = command.job
        publication = self._spool.publication(job.job_id)
        if job.job_id not in self._announced:
            if not has_finished(command.finished):
                publication.clear_half_done(job)
                self._reply(messages.Recovered((job,)))
                return
            try:
                results = publication.publish(command.finished, self._times(), command.replaces)
            except (NotADirectoryError, FileExistsError) as error:
                if Path(str(error.filename)).parent == self._root:
                    raise  # the outbox itself: no job is to blame
                instruction = command.finished.resolved_job.instruction
                self._file_failed(messages.FileFailed(job, in_the_way(error), instruction))
                return
            self._reply(messages.Published(command.finished, results))
            self._announced.add(job.job_id)
        where = self._spool.file_done(job, self._today())
        self._drop_job(job)
        self._reply(messages.Filed(job, State.DONE, where, "", ""))

    def _file_done(self, command: messages.FileDone) -> None:
        job, state = command.job, command.state
        where = self.file_requests.file(job, state)
        if state is not State.CANCELLED:  # somebody may still be at its scratch
            self._drop_job(job)
        self._reply(messages.Filed(job, state, where, "", "", command.earlier))

    def _file_failed(self, command: messages.FileFailed) -> None:
        job, why = command.job, command.why
        where = self._spool.file_failed(job, self._today(), why, command.instruction)
        self._drop_job(job)
        self._reply(messages.Filed(job, why.state, where, why.cause, why.advice))

    def has_to_recover(self, now: float) -> bool:
        """Whether there may be something in work/ that it is time to look after."""
        return self.is_to_recover or self.retries.has_due_held_jobs(now)

    def recover(self) -> None:
        """Tell of the jobs that lie in work/ and are not known; finish what needs no editor."""
        for handled in self.file_requests.finish():
            self._reply(handled)
        found_there = self._spool.recover(self._unreadable)
        recovered = [left for left in found_there if left.job.job_id not in self._known]
        unfinished = [it for it in map(self._left_over, recovered) if it is not None]
        begun = tuple(it for it in unfinished if isinstance(it, Job))
        finished = tuple(it for it in unfinished if isinstance(it, FinishedJob))
        self._known.update(job.job_id for job in (*begun, *(it.job for it in finished)))
        self._reply(messages.Recovered(begun, finished))
        tree, work = self._spool.tree, self._spool.work
        self.retries.keep_where(lambda job_id: tree.exists(work(job_id)))
        self._scratch.keep_only(self._known | self.retries.held_jobs())
        self.is_to_recover = False

    def _unreadable(self, folder: Path, error: Exception) -> None:
        """Leave alone what lies in work/ and cannot be looked at; raises what is not its own."""
        if self._is_of_all(error):
            raise error
        self._leave_in_work(folder.name, str(folder.relative_to(self._root)), error)

    def _left_over(self, left: RecoveredJob) -> Job | FinishedJob | None:
        """What is still to be done for what lay in work/; None: nothing, or nothing now."""
        job = left.job
        try:
            if self._is_cleared(left):
                self.retries.over(job.job_id)
                return None
            finished = load_finished(job, self._scratch.of(job.job_id))
        except Exception as error:  # a fault of ours, too: no job hinders another
            if self._is_of_all(error):
                raise
            self._hold(job, error)
            return None
        self.retries.mark_retried(job.job_id)
        return finished or job

    def _is_cleared(self, left: RecoveredJob) -> bool:
        job, publication = left.job, self._spool.publication(left.job.job_id)
        if not left.is_known:
            self._file_failed(messages.FileFailed(job, UNKNOWN, "{}"))
        elif (failing := left.failing) is not None:
            self._file_failed(messages.FileFailed(job, failing.why, failing.instruction))
        elif job.ending is not None:
            where = self.file_requests.file(job, job.ending)
            self._reply(messages.Filed(job, job.ending, where, "", ""))
        elif publication.is_complete(job):
            if load_finished(job, self._scratch.of(job.job_id)) is not None:
                return False  # it ends as any other: published, told of, filed
            if job.job_id not in self._announced:
                self._reply(messages.FoundPublished(job, publication.results(job)))
                self._announced.add(job.job_id)
            self._spool.file_done(job, self._today())
        elif not left.is_begun:
            self._spool.release(job)
        else:
            publication.clear_half_done(job)
            return False
        self._drop_job(job)
        return True

    def _drop_job(self, job: Job) -> None:
        self._known.discard(job.job_id)
        self._announced.discard(job.job_id)
        self._scratch.drop(job.job_id)

    def _times(self) -> Iterator[float]:
        while True:
            yield self._clock.time()

    def _today(self) -> str:
        return day_of(self._clock.time())
