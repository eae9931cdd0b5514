"""Something that was measured several times, and the floor that it has to keep."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Judged(StrEnum):
    """Which of the samples has to keep the floor."""

    MEDIAN = "median"
    GREATEST = "greatest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Samples in one unit; the smaller the better where there is a floor."""

    name: str
    unit: str
    samples: tuple[float, ...]
    floor: float | None  # None: worth knowing, nothing is promised
    judged: Judged = Judged.MEDIAN
    how: str  # what was done, and what the number is

    @property
    def seen(self) -> float:
        """The number that is held against the floor."""
        if self.judged is Judged.GREATEST:
            return max(self.samples)
        return statistics.median(self.samples)

    @property
    def is_kept(self) -> bool:
        """Whether the floor is kept; always where there is none."""
        return self.floor is None or self.seen <= self.floor

    def as_json(self) -> dict[str, object]:
        """All that can be said of it."""
        return {
            "measure": self.name,
            "unit": self.unit,
            "floor": self.floor,
            "judged_by": self.judged,
            "seen": _rounded(self.seen),
            "ok": self.is_kept,
            "median": _rounded(statistics.median(self.samples)),
            "p90": _rounded(_nearest_rank(self.samples, 0.9)),
            "least": _rounded(min(self.samples)),
            "greatest": _rounded(max(self.samples)),
            "samples": len(self.samples),
            "how": self.how,
        }


def table(measures: Sequence[Measure]) -> str:
    """One line a measure: its name, its floor, what was seen, whether that will do."""
    rows = [("measure", "floor", "seen", "ok"), *map(_row, measures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (zip(row, widths, strict=True) for row in rows)
    return "\n".join("  ".join(cell.ljust(width) for cell, width in line) for line in lines)


def _row(measure: Measure) -> tuple[str, str, str, str]:
    floor = "" if measure.floor is None else f"{measure.floor:g} {measure.unit}"
    verdict = "" if measure.floor is None else "yes" if measure.is_kept else "NO"
    return measure.name, floor, f"{measure.seen:.3g} {measure.unit}", verdict


def _nearest_rank(samples: Sequence[float], share: float) -> float:
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


def _rounded(value: float) -> float:
    return round(value, 4)
