"""How jobs end: in the history, in the closing table, and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from daemon import orders
from daemon.clock import Clock
from daemon.history import History
from daemon.inbox.names import printable
from daemon.job import Job, State
from daemon.keeper import Keeper
from daemon.log import handover, story, wishing
from daemon.log.logs import Row
from daemon.log.story import Event
from daemon.receipt import work_seconds
from daemon.work.jobs import About, Jobs, about
from daemon.work.record import entry_of_ending, entry_of_result


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
        self.rows: list[Row] = []
        self._jobs, self._keepers, self._history = jobs, keepers, history
        self._clock, self._tell = clock, tell

    def published(self, answer: orders.Published) -> None:
        """Note what is in the outbox now."""
        job = self._jobs.active(answer.finished.task.job.job_id)
        if job is None:
            return
        seconds = work_seconds(answer.finished)
        self._tell(
            story.JobDone(
                results=tuple(map(printable, answer.results)),
                seconds=seconds,
                weights=answer.finished.model.weights,
                **about(job.root, job.job),
            )
        )
        identity = self._keepers[job.root].identity
        now = self._clock.time()
        self._history.record(entry_of_result(identity, answer.finished, answer.results, now))
        results = " ".join(answer.results)
        self._count(job.job, State.DONE, seconds, results)

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

    def _count(self, job: Job, state: State, seconds: float, result: str) -> None:
        file = printable(job.path)
        row = Row(file=file, state=state, seconds=seconds, result=printable(result))
        self.rows.append(row)

    def vanished(self, root: str, job: Job) -> None:
        """Forget a job whose files somebody took away."""
        self._jobs.drop(job)
        reason = "some of its files were taken away while it waited"
        self._tell(story.JobGivenBack(reason=reason, **about(root, job)))

    def passed(self, root: str, job: Job) -> None:
        """Forget a job that another daemon has now."""
        self._jobs.drop(job)
        self._tell(handover.JobPassed(**about(root, job)))

    def given_back(self, root: str, job: Job) -> None:
        """Forget a job that is in the inbox again."""
        self._jobs.drop(job)
        self._tell(story.JobGivenBack(reason="Hotfolder is stopping", **about(root, job)))


def _ending(answer: orders.Filed, about_it: About) -> Event:
    if answer.state is State.DUPLICATE:
        earlier = tuple(map(printable, answer.earlier))
        return story.JobDuplicate(earlier=earlier, originals=answer.where, **about_it)
    if answer.state is State.CANCELLED:
        return wishing.JobCancelled(originals=answer.where, **about_it)
    quarantined = answer.state is State.QUARANTINED
    kind = story.JobQuarantined if quarantined else story.JobFailed
    return kind(cause=answer.cause, advice=answer.advice, originals=answer.where, **about_it)
