"""What DIR/STATUS.txt says: how a hot folder stands, for people who have only the share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeVar

from daemon.clock import local_time
from daemon.control.documents import JobStatus, ReviewStatus, Turn
from daemon.events.text import ordinal, plain, roughly
from daemon.folder.messages import StatusChanged
from daemon.fs.names import Kind, kind_of, printable
from daemon.history import Counts
from daemon.job import FileState, FolderState, Ignored, Plan, State
from daemon.spool.failed_jobs import FailedJob

_SHOWN = 20  # of each list: an inbox may hold thousands
_CAUSE_CHARACTERS = 160
_REST_SECONDS = 10.0  # at least, between two pages
_NUMBER = re.compile(r"\d+")
_WAITING = (State.WAITING_SIDECAR, State.HELD)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Line:
    """One line; only what stands in its key makes it another one."""

    key: str
    text: str = field(compare=False)  # may hold seconds that run

    @classmethod
    def of(cls, text: str) -> Line:
        """A line of which every letter counts."""
        return cls(text, text)


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The text but for its time and what failed; equal to another where nothing has happened."""

    title: Line
    day: str  # 2026-11-28
    before: tuple[Line, ...]  # what has failed
    after: tuple[Line, ...] = ()

    def text(self, unix_time: float, failed_jobs: Sequence[FailedJob]) -> str:
        """The page as it is written at that time, with the jobs that lie in failed/ under its day.

        They come last, from whoever writes it: they are moved away at any time, by hand too.
        """
        when = f"Written on {local_time(unix_time):%Y-%m-%d at %H:%M:%S}."
        again = "It is written again as soon as something has changed, every 10 s at most."
        head = f"Failed today, in failed/{self.day}, each with a WHY.txt:"
        failed = _section(head, _failures(failed_jobs))
        lines = (*self.before, *failed, *self.after)
        return "\n".join([self.title.text, f"{when} {again}", *(it.text for it in lines), ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """What is known of one hot folder at one moment."""

    root: str
    stands: StatusChanged
    plan: Plan
    jobs: Sequence[JobStatus]  # under way
    turns: Mapping[str, Turn]  # of pictures that are ready, and of claimed jobs by their ids
    today: Counts
    day: str  # 2026-11-28
    reviews: Sequence[ReviewStatus]  # of today, as far as they are known
    is_loading: bool  # the model


def page_of(facts: FolderFacts) -> StatusPage:
    """The page of a hot folder."""
    return StatusPage(
        _title(facts.root),
        facts.day,
        before=(
            Line.of(""),
            *_stands(facts.stands),
            *([Line.of("The model is being loaded.")] if facts.is_loading else []),
            *_section("Being edited:", _edited(facts)),
            *_section(_queue_head(facts), _queue(facts)),
            *_section(
                "Waiting for something:", [*_tried_again(facts.jobs), *_waiting(facts.plan)]
            ),
            *_section("To be looked at, in review/:", _reviews(facts)),
        ),
        after=(
            *_section("Ignored:", _ignored(facts.plan.ignored)),
            Line.of(""),
            Line.of(_day(facts.today)),
        ),
    )


def last_page(root: str, reason: str, day: str) -> StatusPage:
    """The page of a hot folder whose daemon ends."""
    return StatusPage(
        _title(root),
        day,
        before=(
            Line.of(""),
            Line.of(f"Hotfolder has stopped ({reason}), and nothing is edited."),
            Line.of("What is dropped into inbox/ waits there until it is started again."),
        ),
    )


def _title(root: str) -> Line:
    return Line.of(f"How the hot folder {printable(PurePath(root).name)} stands")


def _stands(stands: StatusChanged) -> Iterator[Line]:
    reason = plain(stands.reason)
    match stands.state:
        case FolderState.ONLINE:
            yield Line.of("What is dropped into inbox/ is edited.")
        case FolderState.PAUSED:
            yield _numberless(f"This hot folder is paused: {reason}.")
            yield Line.of("What was begun is finished; what is dropped into inbox/ waits.")
        case FolderState.LOW_SPACE:
            yield _numberless(f"This hot folder is low on space: {reason}.")
            yield Line.of("What is dropped into inbox/ waits until there is room.")
        case _:
            yield _numberless(f"This hot folder is {stands.state}: {reason}.")
    if stands.state is FolderState.ONLINE and reason:
        yield _numberless(f"But: {reason}.")


def _section(head: str, lines: Iterable[Line]) -> Iterator[Line]:
    """A list under its heading; nothing where there is nothing in it."""
    listed = list(lines)
    if listed:
        yield Line.of("")
        yield Line.of(head)
        yield from listed


def _edited(facts: FolderFacts) -> Iterator[Line]:
    for job in facts.jobs:
        if job.job_id in facts.turns:
            continue  # it waits for the editor
        if job.retry_in_seconds is not None:
            continue  # it waits until it is tried again
        # A step, a variant and another attempt are news; the seconds are none.
        key = (job.file, job.state, job.step, job.variant, job.attempts, bool(job.reason))
        yield Line(repr(key), f"  {job.file}: {job.text or job.state}")


def _queue_head(facts: FolderFacts) -> str:
    number = len(facts.plan.ready) + sum(job.job_id in facts.turns for job in facts.jobs)
    return f"In the queue: {number:,} {'picture' if number == 1 else 'pictures'}"


def _queue(facts: FolderFacts) -> Iterator[Line]:
    waiting = [it for it in facts.jobs if it.job_id in facts.turns]
    waiting.sort(key=lambda job: facts.turns[job.job_id].ahead)
    claimed = [(it.file, it.job_id) for it in waiting]
    ready = [(it.image.path, it.image.path) for it in facts.plan.ready]
    for file, name in _first([*claimed, *ready]):
        turn = facts.turns.get(name)
        place = "" if turn is None else f"{ordinal(turn.ahead + 1)}: "
        seconds = None if turn is None else turn.eta_seconds
        when = "" if seconds is None else f", in about {roughly(seconds)}"
        yield Line(f"{place}{file}", f"  {place}{printable(file)}{when}")
    yield from _more(len(claimed) + len(ready))


def _tried_again(jobs: Iterable[JobStatus]) -> Iterator[Line]:
    for job in jobs:
        if job.retry_in_seconds is not None:
            yield Line(repr((job.file, job.reason, job.attempts)), f"  {job.file}: {job.text}")


def _waiting(plan: Plan) -> Iterator[Line]:
    waiting = [it for it in plan.states if it.state in _WAITING and not _stands_as_its_picture(it)]
    yield from (
        _numberless(f"  {printable(it.path)}: {plain(it.reason)}") for it in _first(waiting)
    )
    yield from _more(len(waiting))
    copied = Counter(it.state for it in plan.states)[State.SETTLING]
    if copied:
        yield Line.of(f"  {copied:,} {'file' if copied == 1 else 'files'} still being copied")


def _stands_as_its_picture(file: FileState) -> bool:
    is_instruction = kind_of(file.path.rpartition("/")[2]) is Kind.SIDECAR
    return is_instruction and file.state is State.HELD and not file.problems


def _reviews(facts: FolderFacts) -> Iterator[Line]:
    for it in _last(facts.reviews):
        yield Line.of(f"  {it.result}: {plain(it.reason)}")
    yield from _more(len(facts.reviews))


def _failures(failed_jobs: Sequence[FailedJob]) -> Iterator[Line]:
    for it in _last(failed_jobs):
        yield Line.of(f"  {printable(it.file)}: {_short(it.cause)}")
    yield from _more(len(failed_jobs))


def _ignored(ignored: Sequence[Ignored]) -> Iterator[Line]:
    yield from (
        _numberless(f"  {printable(it.path)}: {plain(it.reason)}") for it in _first(ignored)
    )
    yield from _more(len(ignored))


def _day(today: Counts) -> str:
    others = [(today.review, "to be looked at"), (today.failed + today.quarantined, "failed")]
    told = [f"{number:,} {what}" for number, what in others if number]
    return f"Today: {', '.join([f'{today.done:,} done', *told])}."


def _short(cause: str) -> str:
    line = " ".join(plain(cause).split())
    if len(line) <= _CAUSE_CHARACTERS:
        return line
    return f"{line[: _CAUSE_CHARACTERS - 1]}…"


def _numberless(text: str) -> Line:
    # Numbers do not make a reason another one: some count seconds, some free space.
    return Line(_NUMBER.sub("", text), text)


def _first(items: Sequence[_T]) -> Sequence[_T]:
    return items[:_SHOWN]


def _last(items: Sequence[_T]) -> Sequence[_T]:
    return items[-_SHOWN:]


def _more(number: int) -> Iterator[Line]:
    if number > _SHOWN:
        yield Line.of(f"  and {number - _SHOWN:,} more")


@dataclass(frozen=True, slots=True)
class _Shown:
    signature: object  # of what the page was made of
    page: StatusPage
    at: float  # monotonic seconds


class StatusPages:
    """Knows what each hot folder's page says, and when another one is due."""

    def __init__(self) -> None:
        self._shown: dict[str, _Shown] = {}

    def has_rested(self, root: str, now: float) -> bool:
        """Whether a page may be written, as far as the time goes."""
        shown = self._shown.get(root)
        return shown is None or now >= shown.at + _REST_SECONDS

    def is_changed(self, root: str, signature: object) -> bool:
        """Whether a page is to be made: what it is made of has changed."""
        shown = self._shown.get(root)
        return shown is None or signature != shown.signature

    def is_news(self, root: str, signature: object, page: StatusPage, now: float) -> bool:
        """Whether a page that was made says what the last one did not; it is the last one now."""
        shown = self._shown.get(root)
        is_same = shown is not None and shown.page == page
        self._shown[root] = _Shown(signature, page, now)
        return not is_same

    def forget(self, root: str) -> None:
        """Begin anew: another daemon may have written there meanwhile."""
        self._shown.pop(root, None)
