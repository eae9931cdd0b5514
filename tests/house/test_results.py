"""What was measured says when, of which commit and on what; what misses a floor says so."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine, real_edits, tallying
from benchmarks.measure import Judged, Measure

TOP = Path(__file__).parents[2]
RESULTS = sorted((TOP / "benchmarks" / "results").glob("*.json"))
MOMENT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
COMMIT = re.compile("[0-9a-f]{40}")
DATES, MACHINES = ("date", "measured_at"), ("machine", "hardware")


def measurements(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What was measured at once: the document, or each of its parts."""
    if any(name in document for name in DATES):
        yield document
    else:
        parts = {name: part for name, part in document.items() if isinstance(part, dict)}
        # Of what was measured before results carried it, git alone knows when it was committed.
        known = parts.pop("committed", {})
        are_parts = not any(name in parts for name in MACHINES)
        yield from (
            ({**known, **part} for part in parts.values())
            if are_parts
            else ({**known, **document},)
        )


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_a_result_carries_its_date_its_commit_and_its_hardware(path: Path) -> None:
    found = list(measurements(json.loads(path.read_text(encoding="utf-8"))))
    assert found
    for one in found:
        assert MOMENT.fullmatch(next(one[name] for name in DATES if name in one))
        assert COMMIT.fullmatch(one["commit"])
        assert next(one[name] for name in MACHINES if name in one)


def test_what_is_measured_now_carries_all_of_it(tmp_path: Path) -> None:
    stamp = machine.measured(tmp_path)
    assert MOMENT.fullmatch(str(stamp["date"]))
    assert stamp.keys() >= {"commit", "with_changes", "machine"}


def test_a_measure_above_its_floor_is_not_kept() -> None:
    def measure(floor: float | None) -> Measure:
        return Measure(
            name="a wait", unit="s", samples=(1.0,), floor=floor, judged=Judged.MEDIAN, how=""
        )

    assert [measure(floor).is_kept for floor in (0.5, 1.0, None)] == [False, True, True]


@pytest.mark.parametrize(
    ("values", "holds"), [([], False), ([0.5, 1.0], True), ([0.5, 0.5, 1.0], False)]
)
def test_a_floor_that_was_not_tried_or_is_missed_by_more_than_a_stray_one_is_told(
    values: list[float], holds: bool
) -> None:
    floor = tallying._floor("likeness", 1.0, values)
    assert tallying.missed({"floors": [floor]}) == ([] if holds else ["likeness"])


def test_goals_that_real_pairs_miss_are_told() -> None:
    local: dict[str, object] = {"whole": 1, "leak": 0.04, "missed": 0.01, "step": 8.5}
    whole: dict[str, object] = {"pairs": 8, "whole": 7}
    assert list(real_edits.missed_goals({"local": local, "whole": whole})) == []
    for name in local:
        worse = {**local, name: 9.0}
        (told,) = real_edits.missed_goals({"local": worse, "whole": whole})
        assert name in told
    assert list(real_edits.missed_goals({"local": local, "whole": {**whole, "whole": 6}}))
