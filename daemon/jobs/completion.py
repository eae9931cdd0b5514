"""How jobs end: in the history and in words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from daemon.context import Context
from daemon.control.documents import ReviewStatus
from daemon.events import job_events
from daemon.events.events import Event
from daemon.folder import messages
from daemon.folder.resolve import content_key
from daemon.fs.names import printable
from daemon.history import Entry
from daemon.job import EndedJob, Job, State
from daemon.jobs.job_run import About, JobRun, JobTable, about
from daemon.jobs.time_left import Pace
from daemon.jobs.typical_times import model_key
from daemon.spool.receipts import FinishedJob, work_seconds
from daemon.spool.spool import REPORT

_REVIEWS_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended, for programs that are to be told; paths as the file system has them."""

    root: str
    job_id: str
    path: str  # the picture, relative to the inbox
    state: State
    results: tuple[str, ...] = ()  # relative to the root
    records: tuple[str, ...]  # receipts, or the report of a failure; relative to the root


class Completion:
    """Takes a folder worker's word that a job has left work/."""

    def __init__(self, context: Context, jobs: JobTable) -> None:
        self.ended = 0  # jobs
        self.pace = Pace()
        self.show: Callable[[EndedJob], None] = lambda _: None  # for a table of the jobs that end
        self.tell_outcome: Callable[[Outcome], None] = lambda _: None
        # With their roots, and when their jobs have ended.
        self._reviews: deque[tuple[str, float, ReviewStatus]] = deque(maxlen=_REVIEWS_KEPT)
        self._jobs, self._history = jobs, context.history
        self._clock, self._tell = context.clock, context.tell

    def published(self, reply: messages.Published) -> None:
        """Note what is in the outbox now."""
        job = self._jobs.active(reply.finished.job.job_id)
        if job is None:
            return
        finished, now = reply.finished, self._clock.time()
        results = tuple(map(printable, reply.results))
        self._tell(_done(finished, results, about(job.root, job.job)))
        identity = self._jobs.worker_of(job.root).identity
        self._history.record(self._entry(job, reply, identity, now))
        for variant, result in zip(finished.variants, results, strict=True):
            if variant.missed:
                reason = "; ".join(variant.missed)
                review = ReviewStatus(file=printable(job.job.path), result=result, reason=reason)
                self._reviews.append((job.root, now, review))
        seconds = work_seconds(finished)
        self._tell_outcome(job.root, job.job, finished.status, reply.results)
        self.pace.ended(self._clock.monotonic(), finished.resolved_job.recipe)
        self._count(job.job, finished.status, seconds, " ".join(reply.results))

    def _entry(self, job: JobRun, reply: messages.Published, identity: str, now: float) -> Entry:
        entry = entry_of_result(identity, reply.finished, reply.results, now)
        if job.edited_at is None:  # an earlier daemon had edited it
            return entry
        finish = self._clock.monotonic() - job.edited_at
        return replace(entry, model=model_key(reply.finished.model), finish_seconds=finish)

    def found_published(self, root: str, reply: messages.FoundPublished) -> None:
        """Note what an earlier daemon had put into the outbox before it died."""
        job, identity = reply.job, self._jobs.worker_of(root).identity
        entry = entry_found(identity, job, reply.results, self._clock.time())
        last = self._history.last(identity, job.path)
        if last is None or last.job_id != job.job_id:  # else it was noted, and better
            self._history.record(entry)
        results = tuple(map(printable, reply.results))
        self._tell(job_events.JobFoundDone(results=results, **about(root, job)))
        self._tell_outcome(root, job, entry.state, reply.results)
        self._count(job, entry.state, None, " ".join(reply.results))

    def reviews_since(self, root: str, unix_time: float) -> Iterator[ReviewStatus]:
        """The last results of a hot folder that need a look, as far as this daemon made them."""
        return (it for at, when, it in self._reviews if at == root and when >= unix_time)

    def reviewed(self, root: str, result: str) -> None:
        """Forget a result that needs a look no more."""
        shown = printable(result)
        kept = [it for it in self._reviews if (it[0], it[2].result) != (root, shown)]
        self._reviews = deque(kept, maxlen=_REVIEWS_KEPT)

    def filed(self, root: str, reply: messages.Filed) -> None:
        """Forget a job whose originals are filed, and note and tell how it ended."""
        self._jobs.drop(reply.job)
        if reply.state is State.DONE:
            return
        now = self._clock.time()
        seconds = now - reply.job.claimed_at
        self._count(reply.job, reply.state, seconds, reply.where)
        identity = self._jobs.worker_of(root).identity
        self._history.record(entry_of_ending(identity, reply.job, reply.state, now))
        self._tell(_ending(reply, about(root, reply.job)))
        if reply.state in (State.FAILED, State.QUARANTINED):
            self._tell_outcome(root, reply.job, reply.state, (), (f"{reply.where}/{REPORT}",))

    def _tell_outcome(
        self,
        root: str,
        job: Job,
        state: State,
        results: tuple[str, ...],
        records: tuple[str, ...] | None = None,
    ) -> None:
        self.tell_outcome(
            Outcome(
                root=root,
                job_id=job.job_id,
                path=job.path,
                state=state,
                results=results,
                records=tuple(f"{it}.json" for it in results) if records is None else records,
            )
        )

    def _count(self, job: Job, state: State, seconds: float | None, result: str) -> None:
        file = printable(job.path)
        row = EndedJob(file=file, state=state, seconds=seconds, result=printable(result))
        self.ended += 1
        self.show(row)

    def let_go(self, root: str, reply: messages.LetGo) -> None:
        """Forget a job that is under way no more, and was not filed."""
        self._jobs.drop(reply.job)
        about_it = about(root, reply.job)
        match reply:
            case messages.Released():
                self._tell(job_events.JobGivenBack(reason="Hotfolder is stopping", **about_it))
            case messages.FilesGone():
                reason = "some of its files were removed while it waited"
                self._tell(job_events.JobGivenBack(reason=reason, **about_it))
            case messages.LeaseLost():
                self._tell(job_events.JobPassed(**about_it))
            case messages.Held():
                pass  # it stays in work/ until something is mended; the plan tells of it
            case _:
                assert_never(reply)


def _done(finished: FinishedJob, results: tuple[str, ...], about_it: About) -> Event:
    missed = tuple(dict.fromkeys(it for one in finished.variants for it in one.missed))
    passed = [one.composed.fidelity for one in finished.variants if not one.missed]
    doubts = tuple(dict.fromkeys(it for fidelity in passed for it in fidelity.doubts))
    event = partial(job_events.JobReviewed, missed=missed) if missed else job_events.JobDone
    return event(
        results=results,
        seconds=work_seconds(finished),
        weights=finished.model.weights,
        doubts=doubts,
        **about_it,
    )


def _ending(reply: messages.Filed, about_it: About) -> Event:
    if reply.state is State.DUPLICATE:
        earlier = tuple(map(printable, reply.earlier))
        return job_events.JobDuplicate(earlier=earlier, originals=reply.where, **about_it)
    if reply.state is State.CANCELLED:
        return job_events.JobCancelled(originals=reply.where, **about_it)
    quarantined = reply.state is State.QUARANTINED
    kind = job_events.JobQuarantined if quarantined else job_events.JobFailed
    return kind(cause=reply.cause, advice=reply.advice, originals=reply.where, **about_it)


def entry_of_result(
    folder_id: str, finished: FinishedJob, results: tuple[str, ...], now: float
) -> Entry:
    """The entry of a job whose results were published at Unix time `now`."""
    resolved_job, prepared = finished.resolved_job, finished.prepared
    return Entry(
        job_id=resolved_job.job.job_id,
        folder_id=folder_id,
        path=resolved_job.job.path,
        image_sha256=resolved_job.job.image.sha256,
        content_key=resolved_job.content_key,
        state=finished.status,
        results=results,
        total_seconds=work_seconds(finished),
        denoise_seconds=sum(variant.edit.denoise_seconds for variant in finished.variants),
        steps=resolved_job.recipe.steps * resolved_job.recipe.variants,
        width=prepared.width,
        height=prepared.height,
        finished_at=now,
        megapixels=resolved_job.recipe.megapixels or 0.0,
        guided=int(resolved_job.recipe.cfg > 1),
        encode_seconds=sum(variant.edit.encode_seconds for variant in finished.variants),
        decode_seconds=sum(variant.edit.decode_seconds for variant in finished.variants),
    )


def entry_of_ending(folder_id: str, job: Job, state: State, now: float) -> Entry:
    """The entry of a job that ended without a result at Unix time `now`."""
    return Entry(
        job_id=job.job_id,
        folder_id=folder_id,
        path=job.path,
        image_sha256=job.image.sha256,
        state=state,
        total_seconds=now - job.claimed_at,
        finished_at=now,
    )


def entry_found(folder_id: str, job: Job, results: tuple[str, ...], now: float) -> Entry:
    """The entry of a job of which only its published results are known, at Unix time `now`."""
    needs_a_look = any(result.startswith("review/") for result in results)
    state = State.REVIEW if needs_a_look else State.DONE
    entry = entry_of_ending(folder_id, job, state, now)
    # Nobody knows how long it took: the days until the restart were no work.
    return replace(entry, content_key=content_key(job), results=results, total_seconds=0.0)
