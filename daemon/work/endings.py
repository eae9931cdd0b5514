"""How jobs end: in the history, in a row of a table, and in words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping

from daemon import orders
from daemon.clock import Clock
from daemon.history import History
from daemon.inbox.names import printable
from daemon.job import Job, State
from daemon.keeper import Keeper
from daemon.log import handover, judging, story, wishing
from daemon.log.logs import Row
from daemon.log.story import Event
from daemon.receipt import Finished, work_seconds
from daemon.status import Review
from daemon.work.jobs import About, Jobs, about
from daemon.work.record import entry_found, entry_of_ending, entry_of_result

_REVIEWS_KEPT = 100


class Endings:
    """Takes the keepers' word that a job has left work/."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        keepers: Mapping[str, Keeper],
        history: History,
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self.ended = 0  # jobs
        self.show: Callable[[Row], None] = lambda _: None  # for a table of the jobs that end
        self._reviews: deque[tuple[str, Review]] = deque(maxlen=_REVIEWS_KEPT)  # with their roots
        self._jobs, self._keepers, self._history = jobs, keepers, history
        self._clock, self._tell = clock, tell

    def published(self, answer: orders.Published) -> None:
        """Note what is in the outbox now."""
        job = self._jobs.active(answer.finished.task.job.job_id)
        if job is None:
            return
        finished, now = answer.finished, self._clock.time()
        results = tuple(map(printable, answer.results))
        self._tell(_done(finished, results, about(job.root, job.job)))
        identity = self._keepers[job.root].identity
        self._history.record(entry_of_result(identity, finished, answer.results, now))
        for variant, result in zip(finished.variants, answer.results, strict=True):
            if variant.missed:
                reason = "; ".join(variant.missed)
                review = Review(file=job.job.path, result=result, reason=reason, ended_at=now)
                self._reviews.append((job.root, review))
        seconds = work_seconds(finished)
        self._count(job.job, finished.status, seconds, " ".join(answer.results))

    def found_published(self, root: str, answer: orders.FoundPublished) -> None:
        """Note what an earlier daemon had put into the outbox before it died."""
        job, identity = answer.job, self._keepers[root].identity
        entry = entry_found(identity, job, answer.results, self._clock.time())
        last = self._history.last(identity, job.path)
        if last is None or last.job_id != job.job_id:  # else it was noted, and better
            self._history.record(entry)
        results = tuple(map(printable, answer.results))
        self._tell(handover.JobFoundDone(results=results, **about(root, job)))
        self._count(job, entry.state, None, " ".join(answer.results))

    def reviews_since(self, root: str, unix_time: float) -> Iterator[Review]:
        """The last results of a hot folder that need a look, as far as this daemon made them."""
        return (it for at, it in self._reviews if at == root and it.ended_at >= unix_time)

    def filed(self, root: str, answer: orders.Filed) -> None:
        """Forget a job whose originals are filed."""
        self._jobs.drop(answer.job)
        if answer.state is State.DONE:
            return
        now = self._clock.time()
        seconds = now - answer.job.claimed_at
        self._count(answer.job, answer.state, seconds, answer.where)
        identity = self._keepers[root].identity
        self._history.record(entry_of_ending(identity, answer.job, answer.state, now))
        self._tell(_ending(answer, about(root, answer.job)))

    def _count(self, job: Job, state: State, seconds: float | None, result: str) -> None:
        file = printable(job.path)
        row = Row(file=file, state=state, seconds=seconds, result=printable(result))
        self.ended += 1
        self.show(row)

    def vanished(self, root: str, job: Job) -> None:
        """Forget a job whose files somebody took away."""
        self._jobs.drop(job)
        reason = "some of its files were taken away while it waited"
        self._tell(story.JobGivenBack(reason=reason, **about(root, job)))

    def held(self, job: Job) -> None:
        """Forget a job that stays in work/ until something is mended; the plan tells of it."""
        self._jobs.drop(job)

    def passed(self, root: str, job: Job) -> None:
        """Forget a job that another daemon has now."""
        self._jobs.drop(job)
        self._tell(handover.JobPassed(**about(root, job)))

    def given_back(self, root: str, job: Job) -> None:
        """Forget a job that is in the inbox again."""
        self._jobs.drop(job)
        self._tell(story.JobGivenBack(reason="Hotfolder is stopping", **about(root, job)))


def _done(finished: Finished, results: tuple[str, ...], about_it: About) -> Event:
    seconds, weights = work_seconds(finished), finished.model.weights
    if finished.status is State.DONE:
        return story.JobDone(results=results, seconds=seconds, weights=weights, **about_it)
    missed = tuple(dict.fromkeys(it for one in finished.variants for it in one.missed))
    return judging.JobReviewed(
        results=results, seconds=seconds, weights=weights, missed=missed, **about_it
    )


def _ending(answer: orders.Filed, about_it: About) -> Event:
    if answer.state is State.DUPLICATE:
        earlier = tuple(map(printable, answer.earlier))
        return story.JobDuplicate(earlier=earlier, originals=answer.where, **about_it)
    if answer.state is State.CANCELLED:
        return wishing.JobCancelled(originals=answer.where, **about_it)
    quarantined = answer.state is State.QUARANTINED
    kind = story.JobQuarantined if quarantined else story.JobFailed
    return kind(cause=answer.cause, advice=answer.advice, originals=answer.where, **about_it)
