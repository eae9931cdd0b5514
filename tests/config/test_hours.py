from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from config.hours import Hours, parse

MONDAY = 23  # of November 2026


def hours(text: str) -> Hours:
    found = parse(text)
    assert found is not None
    return found


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, MONDAY + day, hour, minute)  # noqa: DTZ001 - as a clock shows it


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        (at(0, 19, 59), False),  # Monday
        (at(0, 20), True),
        (at(1, 6, 59), True),
        (at(1, 7), False),
        (at(5, 6), True),  # Saturday morning, of Friday
        (at(5, 20), False),
        (at(0, 6), False),  # Monday morning: Sunday is no day of it
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment: datetime, is_open: bool) -> None:
    assert hours("Mon-Fri 20:00-07:00").is_open(moment) == is_open


def test_without_days_it_is_every_day_and_several_windows_count_together() -> None:
    both = hours("12:00-13:00, Sat-Sun 00:00-24:00")
    assert [both.is_open(at(day, 12, 30)) for day in (0, 5)] == [True, True]
    assert [both.is_open(at(day, 23, 59)) for day in (0, 5, 6)] == [False, True, True]


def test_days_may_pass_the_end_of_the_week() -> None:
    weekend = hours("Fri - Mon 8:00-9:00")
    assert [weekend.is_open(at(day, 8)) for day in range(7)] == [True, *[False] * 3, *[True] * 3]


def test_when_it_opens_next_is_known() -> None:
    saturday, monday = (at(*it).replace(tzinfo=UTC) for it in ((5, 7, 30), (0, 20)))
    next_monday = at(7, 20).replace(tzinfo=UTC)
    assert hours("Mon-Fri 20:00-07:00").opens_at(saturday, UTC) == next_monday
    assert hours("Mon 20:00-21:00").opens_at(monday, UTC) == next_monday


@pytest.mark.parametrize(
    ("window", "moment", "opens"),
    [
        # In spring the clocks go from 02:00+01:00 to 03:00+02:00, on March 29th.
        ("20:00-23:00", "2026-03-28T23:30+01:00", "2026-03-29T20:00+02:00"),
        ("03:00-05:00", "2026-03-29T01:55+01:00", "2026-03-29T03:00+02:00"),
        ("02:30-05:00", "2026-03-28T23:30+01:00", "2026-03-29T03:00+02:00"),
        ("Mon 07:00-08:00", "2026-03-23T07:30+01:00", "2026-03-30T07:00+02:00"),
        # In autumn they go from 03:00+02:00 back to 02:00+01:00, on October 25th.
        ("20:00-23:00", "2026-10-24T23:30+02:00", "2026-10-25T20:00+01:00"),
        ("03:00-05:00", "2026-10-25T02:30+02:00", "2026-10-25T03:00+01:00"),
        ("02:30-02:40", "2026-10-25T02:10+02:00", "2026-10-25T02:30+02:00"),
        ("02:30-02:40", "2026-10-25T02:50+02:00", "2026-10-25T02:30+01:00"),
        ("02:30-02:40", "2026-10-25T02:50+01:00", "2026-10-26T02:30+01:00"),
    ],
)
def test_when_it_opens_next_is_right_across_a_change_of_summer_time(
    window: str, moment: str, opens: str
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for of_now in (timezone(timedelta(hours=5)), berlin, None):  # a moment is one in any zone
        now = datetime.fromisoformat(moment)
        told = hours(window).opens_at(now if of_now is None else now.astimezone(of_now), berlin)
        assert told.isoformat(timespec="minutes") == opens
        assert hours(window).is_open(told)


@pytest.mark.parametrize(
    "text",
    [
        *("", "night", "20:00", "Mon 8:00-8:00", "Mo 8:00-9:00", ","),
        *("25:00-07:00", "24:00-07:00", "20:00-24:01", "20:60-21:00"),
    ],
)
def test_what_is_no_window_is_none(text: str) -> None:
    assert parse(text) is None
