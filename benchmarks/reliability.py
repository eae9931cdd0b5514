"""Measures what bursts, restarts and full inboxes cost: a table for people, a JSON file to keep.

Run it from the project's environment, on a machine that has nothing else to do:

    .venv/bin/python benchmarks/reliability.py [--out FILE] [--quick]

It takes about ten minutes and writes below $TMPDIR only. Nothing here is a promise; where the
machine was busy the least of the samples says more than the median.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Before the folder of this file, where `import daemon` would find another one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import bursting, crowding, machine, recovering
from benchmarks.measure import Measure, table

_OUT = Path(__file__).resolve().parent / "results" / "reliability.json"
_PARTS: tuple[tuple[str, Callable[[Path, bool], Iterator[Measure]]], ...] = (
    ("bursting", bursting.measure),
    ("recovering", recovering.measure),
    ("crowding", crowding.measure),
)


def main() -> int:
    """Measure, show, write; returns the exit code."""
    arguments = _arguments()
    load = machine.load()
    busy: dict[str, float] = {}
    measures: list[Measure] = []
    with tempfile.TemporaryDirectory(prefix="hotfolder-benchmark-") as base:
        measured = machine.measured(Path(base))
        for name, measure in _PARTS:
            busy[name] = machine.cores_in_use()
            print(f"{name} … ({busy[name]:g} cores busy with other things)", file=sys.stderr)
            measures += measure(Path(base) / name, arguments.quick)
    document = {
        "schema": 1,
        "what": "bursts, recovery and full inboxes with the echo editor,"
        " by benchmarks/reliability.py",
        **measured,
        "quick": arguments.quick,
        "versions": machine.versions(),
        "load_average_before": load,
        "cores_busy_with_other_things_before": busy,
        "measures": [measure.as_json() for measure in measures],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    arguments.out.write_text(text, encoding="utf-8")
    print(table(measures))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=_OUT)
    parser.add_argument("--quick", action="store_true", help="a tenth of the files, once")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
