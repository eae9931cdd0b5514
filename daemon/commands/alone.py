"""Does what people ask of a daemon where none runs, under the lead that one would have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon import orders
from daemon.commands.glance import glance
from daemon.control import Request, Server
from daemon.history import History
from daemon.inbox.cancels import withdrawal
from daemon.inbox.names import printable
from daemon.job import Job, State
from daemon.lease.campaign import PERIODS
from daemon.lease.lead import StandsBy, lead_of
from daemon.log.logbook import Logbook
from daemon.log.story import Event
from daemon.log.wishing import JobCancelled, JobRevived
from daemon.outcome import How, Outcome
from daemon.places import Places
from daemon.spool import Spool, folder_id
from daemon.trouble import trouble_of
from daemon.wishes import Wishes
from daemon.work.jobs import about
from daemon.work.record import entry_of_ending
from daemon.work.returning import told
from daemon.work.wanted import Nothing, Unclear, UnderWay, Waiting, find

_TOO_LATE = "its results are published: it is too late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """One hot folder without a daemon, and us in its place."""

    folder: FolderSettings
    places: Places
    spool: Spool
    say: Callable[[str], None]  # troubles with the history, which end nothing

    def cancel(self, word: str, path: str, settings: Settings, default_steps: int) -> Outcome:
        """Cancel what is meant by `word`, or by `path` in the inbox."""
        plan = glance(self.folder, settings, default_steps).plan
        jobs = [left.job for left in self.spool.recover() if left.is_known]
        match find(word, path, plan, jobs):
            case Waiting(there):
                return self._withdraw(orders.Withdraw(withdrawal(plan, there, gone=())))
            case UnderWay(job):
                return self._end(job)
            case Unclear(text):
                return Outcome(How.REFUSED, text)
            case Nothing():
                return Outcome(How.UNKNOWN, "")

    def take_back(self, failed: str) -> Outcome:
        """Move the originals of a folder of failed/ back; it is relative to the root."""
        answer = self._wishes.grant(orders.TakeBack(failed), _today())
        assert isinstance(answer, orders.TakenBack)
        if answer.paths:
            paths = tuple(map(printable, answer.paths))
            root = self.folder.root
            self._tell(JobRevived(root=root, folder=printable(failed), paths=paths))
        return told(answer)

    @property
    def _wishes(self) -> Wishes:
        return Wishes(self.spool, time)

    def _withdraw(self, wish: orders.Withdraw) -> Outcome:
        answer = self._wishes.grant(wish, _today())
        match answer:
            case orders.Filed(job=job, where=where):
                return self._cancelled(job, where)
            case orders.NotWithdrawn(path, reason):
                return Outcome(How.REFUSED, f"{printable(path)} cannot be cancelled: {reason}.")
            case _:
                raise AssertionError(answer)

    def _end(self, job: Job) -> Outcome:
        publication = self.spool.publication(job.job_id)
        if publication.is_complete(job):
            return Outcome(How.REFUSED, f"{printable(job.path)}: {_TOO_LATE}.")
        publication.clear_half_done(job)
        return self._cancelled(job, self._wishes.file(job, State.CANCELLED, _today()))

    def _cancelled(self, job: Job, where: str) -> Outcome:
        history = History(self.places.state, self.say)
        identity = folder_id(self.folder.root)
        history.record(entry_of_ending(identity, job, State.CANCELLED, time.time()))
        history.close()
        event = JobCancelled(originals=where, **about(str(self.folder.root), job))
        self._tell(event)
        return Outcome(How.DONE, str(event))

    def _tell(self, event: Event) -> None:
        Logbook(self.folder.root / "logs").write(event, time.time())


@contextmanager
def in_charge(
    folder: FolderSettings, places: Places, say: Callable[[str], None]
) -> Iterator[Alone]:
    """Be the only one who moves the files of a hot folder.

    Raises UserError where a daemon is, on this machine or another, and where the share fails.
    """
    root = folder.root
    server = Server(places, root, _refuse, lambda event: say(str(event)))
    try:
        identity = folder_id(root)
        lead = lead_of(root, lambda: identity, PERIODS, lambda: None, lambda it: say(it.words))
        with lead.held():
            lead.fence()
            yield Alone(folder=folder, places=places, spool=Spool(root, lead.fence), say=say)
    except StandsBy as error:
        advice = "ask on the machine of that daemon, or wait until it has ended"
        raise UserError([Problem(str(root), error.reason, advice)]) from error
    except OSError as error:
        advice = "mend that and call again: what was begun is finished then"
        raise UserError(
            [Problem(str(root), trouble_of(error, Path(root)).reason, advice)]
        ) from error
    finally:
        server.close()


def _refuse(request: Request) -> None:
    reason: Mapping[str, object] = {"error": "hotfolder cancel or retry is at work on it"}
    request.reply(reason)


def _today() -> str:
    return datetime.now(UTC).astimezone().strftime("%Y-%m-%d")
