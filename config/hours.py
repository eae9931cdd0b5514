"""The hours in which a hot folder is worked, as people write them: Mon-Fri 20:00-07:00."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

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

    def opens_at(self, moment: datetime, zone: tzinfo | None = None) -> datetime:
        """When one of them begins next by the clocks of a zone; None: those of this machine."""
        # In UTC: two times of one zone are compared by what their clocks show.
        now = moment.astimezone(UTC)
        begins = (
            it for wall in self._beginnings(now.astimezone(zone)) for it in _shown(wall, zone)
        )
        return min(later for later in begins if later > now).astimezone(zone)

    def _beginnings(self, here: datetime) -> Iterator[datetime]:
        """What a clock shows when a window begins, today or in the next days."""
        for window in self.windows:
            for ahead in range(9):
                day = here.date() + timedelta(days=ahead)
                if day.weekday() in window.days:
                    yield datetime.combine(day, time(window.begin // 60, window.begin % 60))


def _shown(wall: datetime, zone: tzinfo | None) -> Iterator[datetime]:
    """When the clocks of a zone show a time, twice in autumn; in spring, when they skip it."""
    # What has no zone is taken to be of this machine's.
    both = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    first, last = sorted(both)
    if _on_the_wall(first, zone) == wall:
        yield from (first, last)
        return
    while _on_the_wall(first, zone) < wall:
        first += timedelta(minutes=1)
    yield first


def _on_the_wall(moment: datetime, zone: tzinfo | None) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


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
