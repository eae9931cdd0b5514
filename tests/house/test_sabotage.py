"""The table of sabotages fits the code and the promises: `make sabotage` runs it."""

from pathlib import Path

import pytest
from sabotage.table import Sabotage, faults, problems, read_table

TOP = Path(__file__).parents[2]
TABLE = read_table()


def test_every_row_of_the_promises_is_sabotaged_and_every_sabotage_fits_the_code() -> None:
    assert list(problems(TOP, TABLE)) == []


def test_no_sabotage_is_there_twice() -> None:
    assert len({(one.file, one.old, one.new, one.test) for one in TABLE}) == len(TABLE) >= 40


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"old": "no such text"}, "occurs 0 times"),
        ({"old": "import"}, "times in"),
        ({"new": ")"}, "unmatched"),
        ({"test": "tests/lease/test_leader.py::TestLead::test_nothing"}, "no such test"),
        ({"fault": "nothing"}, "no row"),
    ],
)
def test_what_fits_no_longer_is_said(changes: dict[str, str], wrong: str) -> None:
    one = next(it for it in TABLE if it.file == "daemon/lease/leader.py")
    fields = {name: getattr(one, name) for name in Sabotage.__slots__}
    changed = Sabotage(**{**fields, **changes})
    assert any(wrong in it for it in problems(TOP, [changed]))


def test_a_row_without_a_sabotage_is_said() -> None:
    first, *_ = faults(TOP)
    others = [one for one in TABLE if not first.startswith(one.fault)]
    assert list(problems(TOP, others)) == [f"nothing sabotages: {first}"]
