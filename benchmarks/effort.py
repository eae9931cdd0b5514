"""How often each thing is done before its number counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Counts of repetitions."""

    command_runs: int
    starts: int
    jobs: int
    drops: int
    cold_looks: int
    warm_looks: int
    late_drops: int  # beside ten thousand waiting files
    scans: int
    idle_seconds: float


THOROUGH = Effort(
    command_runs=15,
    starts=8,
    jobs=200,
    drops=20,
    cold_looks=3,
    warm_looks=10,
    late_drops=3,
    scans=1000,
    idle_seconds=30,
)
QUICK = Effort(
    command_runs=5,
    starts=3,
    jobs=30,
    drops=4,
    cold_looks=1,
    warm_looks=3,
    late_drops=1,
    scans=100,
    idle_seconds=6,
)
