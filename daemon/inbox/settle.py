"""Whether a file of the inbox has stopped changing and is whole, by our own clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from config.comparison import told_apart
from config.problems import Problem
from daemon.clock import local_time
from daemon.fs.names import printable
from daemon.inbox.reader import Broken, ContentReader, Picture, Text, Unread, Unreadable
from daemon.job import Seen, State
from pipeline.sniff.whole_file import EndsInZeros, Incomplete, Whole

# How many times the settle time a picture rests whose end is dark or has not arrived.
ZEROS_REST = 30
Watched = Mapping[Seen, float]  # each file, and the monotonic second when it was first seen so


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleRules:
    """How long is waited for what. With settle_seconds 0 one look is enough."""

    settle_seconds: float
    settle_max_seconds: float  # for the rest of an incomplete or empty file
    sidecar_wait_seconds: float
    sidecar_grace_seconds: float  # for a late sidecar, where a preset lets the image run alone
    final: bool  # what has settled will not change any more

    @property
    def zeros_rest_seconds(self) -> float:
        """For the rest of a picture that ends in zeros: it may be dark there, or half a copy."""
        return min(ZEROS_REST * self.settle_seconds, self.settle_max_seconds)


@dataclass(frozen=True, slots=True)
class Wait:
    """Why something is not ready."""

    state: State
    reason: str
    until: float | None  # monotonic seconds when it may end by itself


def note_changes(files: Iterable[Seen], before: Watched, now: float) -> Watched:
    """Carry the watch over to a new listing; changed and new files start again at `now`."""
    return {file: before.get(file, now) for file in files}


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSnapshot:
    """The watch at one moment, and what has been read by then."""

    watched: Watched
    contents: ContentReader
    rules: SettleRules
    now: float  # monotonic seconds
    unix_at_zero: float  # Unix time at monotonic second 0, for people

    def is_settled(self, file: Seen) -> bool:
        """Whether a file has been unchanged for long enough; a time > 0 takes two looks."""
        return self.now >= settles_at(file, self.watched, self.rules)

    def text_waits(self, file: Seen) -> Iterator[Wait]:
        """Why a sidecar or a preset cannot be used yet, the first reason first."""
        yield from self._read_waits(file, self.contents.text(file))

    def picture_waits(self, image: Seen) -> Iterator[Wait]:
        """Why an image cannot be used yet, the first reason first."""
        picture = self.contents.picture(image)
        yield from self._read_waits(image, picture)
        match picture:
            case Incomplete(why):
                rest = self.rules.settle_max_seconds
                yield from self._incomplete(image, rest, f"incomplete: {why}; given up")
            case EndsInZeros(why=why):
                rest = self.rules.zeros_rest_seconds
                yield from self._incomplete(
                    image, rest, f"perhaps incomplete: {why}; counts as dark"
                )
            case Whole() | Broken() | Unread():
                pass

    def picture_problems(self, image: Seen) -> tuple[Problem, ...]:
        """Why an image that is waited for no longer, or never was worth it, cannot be used."""
        match self.contents.picture(image):
            case Broken(problems):
                return problems
            case EndsInZeros(is_abrupt=is_abrupt) if not (is_abrupt and self.rules.final):
                return ()
            case Incomplete(why) | EndsInZeros(why=why):
                advice = "copy it into the inbox again, whole"
                return (Problem(printable(image.path), f"is incomplete: {why}", advice),)
            case Whole() | Unread():
                return ()

    def clock(self, monotonic: float) -> str:
        """A moment as people say it, with its day where that is not today."""
        minute = int(self.unix_at_zero + monotonic) // 60
        day, time = _day_and_minute(minute)
        today = _day_and_minute(int(self.unix_at_zero + self.now) // 60)[0]
        return time if day == today else f"{day} {time}"

    def _read_waits(self, file: Seen, said: Picture | Text) -> Iterator[Wait]:
        yield from self._settling(file)
        match said:
            case Unreadable(reason, is_lasting, again_at):
                yield Wait(State.HELD if is_lasting else State.SETTLING, reason, again_at)
            case Unread():
                yield self._busy(file)
            case _:
                pass

    def _incomplete(self, image: Seen, rest_seconds: float, words: str) -> Iterator[Wait]:
        until = self.watched[image] + rest_seconds
        if self.now < until and not self.rules.final:
            yield Wait(State.HELD, f"{words} {self.clock(until)} unless it changes", until)

    def _busy(self, file: Seen) -> Wait:
        until = self.watched[file] + self.rules.settle_max_seconds
        if self.now < until:
            return Wait(State.SETTLING, "another program is at work on it", until)
        since = self.clock(self.watched[file])
        reason = f"another program has had it open since {since}, without a change: close it there"
        return Wait(State.HELD, reason, None)

    def _settling(self, file: Seen) -> Iterator[Wait]:
        at = settles_at(file, self.watched, self.rules)
        if self.now < at:
            since = self.watched[file]
            word = "settling" if file.size else "empty so far"
            unchanged = told_apart(self.now - since, at - since, 1)
            reason = f"{word}: unchanged for {unchanged} s of {at - since:g} s"
            yield Wait(State.SETTLING, reason, at)


def settles_at(file: Seen, watched: Watched, rules: SettleRules) -> float:
    """The monotonic second at which a file has settled if it does not change before."""
    # Copiers make the name first: an empty file is a promise, for as long as promises are kept.
    if file.size or rules.final:
        return watched[file] + rules.settle_seconds
    return watched[file] + max(rules.settle_seconds, rules.settle_max_seconds)


@lru_cache(maxsize=4096)
def _day_and_minute(unix_minute: int) -> tuple[str, str]:
    local = local_time(unix_minute * 60)
    return f"{local:%Y-%m-%d}", f"{local:%H:%M}"
