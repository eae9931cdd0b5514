from datetime import datetime

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
    assert hours("Mon-Fri 20:00-07:00").opens_at(at(5, 7, 30)) == at(7, 20)
    assert hours("Mon 20:00-21:00").opens_at(at(0, 20)) == at(7, 20)


@pytest.mark.parametrize(
    "text",
    ["", "night", "20:00", "25:00-07:00", "20:60-21:00", "Mon 8:00-8:00", "Mo 8:00-9:00", ","],
)
def test_what_is_no_window_is_none(text: str) -> None:
    assert parse(text) is None
