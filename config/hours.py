"""The hours in which a hot folder is worked, as people write them: Mon-Fri 20:00-07:00."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(_DAYS)
_WINDOW = re.compile(
    rf"(?:(?P<first>{_DAY})(?:\s*-\s*(?P<last>{_DAY}))?\s+)?"
    r"(?P<begin>\d{1,2}:\d{2})\s*-\s*(?P<end>\d{1,2}:\d{2})"
)
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the day, on some days of the week; it may end on the day after."""

    days: frozenset[int]  # on which it begins; 0 is Monday
    begin: int  # minutes after midnight
    end: int

    def is_open(self, moment: datetime) -> bool:
        """Whether it is open at a moment of local time."""
        minute, today = moment.hour * 60 + moment.minute, moment.weekday()
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        began_today = today in self.days and minute >= self.begin
        return began_today or ((today - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Hours:
    """Some windows; open where one of them is."""

    windows: tuple[Window, ...]

    def is_open(self, moment: datetime) -> bool:
        """Whether it is open at a moment of local time."""
        return any(window.is_open(moment) for window in self.windows)

    def opens_at(self, moment: datetime) -> datetime:
        """When one of them begins next, in local time."""
        return min(later for later in self._beginnings(moment) if later > moment)

    def _beginnings(self, moment: datetime) -> Iterator[datetime]:
        for window in self.windows:
            for ahead in range(9):
                day = moment.date() + timedelta(days=ahead)
                if day.weekday() in window.days:
                    at = time(window.begin // 60, window.begin % 60)
                    yield datetime.combine(day, at, moment.tzinfo)


def parse(text: str) -> Hours | None:
    """Read windows between commas; None where it is something else."""
    windows = tuple(map(_window, text.split(",")))
    found = tuple(window for window in windows if window is not None)
    return Hours(found) if len(found) == len(windows) else None


def _window(text: str) -> Window | None:
    found = _WINDOW.fullmatch(text.strip().lower())
    if found is None:
        return None
    begin, end = _minutes(found["begin"]), _minutes(found["end"])
    if begin is None or end is None or begin in (end, _DAY_MINUTES):
        return None
    first = _DAYS.index(found["first"] or "mon")
    last = _DAYS.index(found["last"] or found["first"] or "sun")
    days = frozenset((first + number) % 7 for number in range((last - first) % 7 + 1))
    return Window(days, begin, end)


def _minutes(text: str) -> int | None:
    hours, minutes = map(int, text.split(":"))
    together = hours * 60 + minutes
    return together if minutes < 60 and together <= _DAY_MINUTES else None
