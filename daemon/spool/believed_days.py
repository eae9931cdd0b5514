"""Which days of a clock are believed: one that is wrong never has anything deleted.

A machine without a clock of its own begins in 1970, a battery dies, somebody types the wrong year.
So a day counts where nothing speaks against it: this program's age, the clock of the file system,
and the days on which the hot folder was looked at before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from config import codec
from daemon.clock import local_time
from daemon.fs.safe_tree import SafeTree

FIRST_DAY = date(2026, 11, 22)  # of this program: nothing was filed earlier
_LEAP = timedelta(days=7)  # between two looks; a hot folder may rest for so long, and no longer
_PROBATION = timedelta(days=7)  # of a clock that has leapt
_DISPUTED = timedelta(days=1)  # time zones, and midnight between two looks
_FILE = "clock.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDays:
    """The days on which a hot folder was looked at, as far as one follows from the other."""

    since: str  # they have followed each other from here
    until: str
    believed: str = ""  # the last of those that have gone on for long enough

    @property
    def is_believed(self) -> bool:
        """Whether the newest day is."""
        return self.believed == self.until

    def next(self, today: date, *, is_leap: bool = False) -> SeenDays:
        """The same with another day; `is_leap` where time did not pass so."""
        step = today - date.fromisoformat(self.until)
        if -_DISPUTED <= step <= timedelta(0):
            return self
        if step < timedelta(0) or step > _LEAP or is_leap:
            return SeenDays(since=str(today), until=str(today), believed=self.believed)
        went_on = today - date.fromisoformat(self.since) >= _PROBATION
        believed = str(today) if self.is_believed or went_on else self.believed
        return replace(self, until=str(today), believed=believed)


def first_seen(today: date, newest_filed: date | None) -> SeenDays:
    """The days of a hot folder that nobody has looked at, with the newest day in its lists."""
    begun = SeenDays(since=str(today), until=str(today), believed=str(today))
    if newest_filed is None or newest_filed > today:
        return begun
    filed = str(newest_filed)
    return SeenDays(since=filed, until=filed, believed=filed).next(today)


def is_believed_of(day: date, seen: SeenDays | None) -> bool:
    """Whether it can be a day of today, by what was seen before."""
    if day < FIRST_DAY:
        return False
    if seen is None or not seen.believed:
        return True
    return day >= date.fromisoformat(seen.believed) - _DISPUTED


def later_of(day: date, written_at: float) -> date | None:
    """The day from which a file of a day is kept, by the clock of the file system too.

    None where the day is none on which this program can have written it.
    """
    return None if day < FIRST_DAY else max(day, local_time(written_at).date())


class DayRecord:
    """What was seen of the days, beside the lists of what was filed."""

    def __init__(self, tree: SafeTree, folder: Path) -> None:
        self._tree, self._path = tree, folder / _FILE

    def read(self) -> SeenDays | None:
        """What was seen so far; None where nobody has looked, or the record is damaged."""
        try:
            seen = codec.load(SeenDays, self._tree.read(self._path))
            for day in (seen.since, seen.until, seen.believed or seen.until):
                date.fromisoformat(day)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return seen

    def write(self, seen: SeenDays) -> None:
        """Put it on record."""
        self._tree.make_folder(self._path.parent)
        self._tree.write_whole(self._path, codec.dump(seen).encode())

    def share_day(self) -> date:
        """What day it is by the clock of the file system, which may be another machine's."""
        probe = self._path.with_name(f"{_FILE}.probe")
        self._tree.make_folder(probe.parent)
        self._tree.write_whole(probe, b"")
        written_at = self._tree.status(probe).st_mtime
        self._tree.remove(probe)
        return local_time(written_at).date()


def is_disputed(today: date, share_day: date) -> bool:
    """Whether it can be today by one of two clocks alone."""
    return today < FIRST_DAY or abs(today - share_day) > _DISPUTED


def why_not_believed(seen: SeenDays, today: date, share_day: date) -> str:
    """Why nothing is to be deleted by this date, in a phrase; "" where it is believed."""
    if today < FIRST_DAY:
        return f"the clock says {today}, when there was no Hotfolder yet; set it"
    if is_disputed(today, share_day):
        return f"it is {today} by this machine's clock and {share_day} by that of the folder"
    if seen.is_believed:
        return ""
    days = (_PROBATION - (date.fromisoformat(seen.until) - date.fromisoformat(seen.since))).days
    before = f" from {seen.believed}" if seen.believed else ""
    return f"the date has leapt{before} to {seen.since}; it is believed in {days} days"
