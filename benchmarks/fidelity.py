"""Measures how true results are to their originals, and what that costs: a JSON file to keep.

Run it from the project's environment:

    .venv/bin/python benchmarks/fidelity.py [--out FILE] [--quick] [--minutes N] [--part NAME ...]

Pictures, edits and drifts are drawn (`tests/rig/`), so the right answer is known; the small model
alone edits for real. All of it takes about an hour on two cores; the parts are restoring, mapping,
removing, composing, encoding and stages. A part that is not measured stays in the file as it was.
Times want a machine that has nothing else to do. Where a floor of the restoring is missed, it is
named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

# Before the folder of this file, where `import daemon` would find another one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import (
    composing,
    encoding,
    machine,
    mapping,
    plot,
    removing,
    restoring,
    stages,
    tallying,
)

_OUT = Path(__file__).resolve().parent / "results" / "fidelity.json"
_PICTURES = Path(__file__).resolve().parents[1] / "docs" / "fidelity"
_PARTS = ("restoring", "mapping", "removing", "composing", "encoding", "stages")

Json = dict[str, object]


def main() -> int:
    """Measure, write, show; returns the exit code: 1 where a floor is missed."""
    arguments = _arguments()
    document: Json = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    document |= {"schema": 1, "what": "fidelity of results, by benchmarks/fidelity.py"}
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hotfolder-benchmark-") as base:
        for name in arguments.part or _PARTS:
            stamp, busy = machine.measured(Path(base)), machine.cores_in_use()
            print(f"{name} … ({busy:g} cores busy with other things)", file=sys.stderr)
            measured = _measured(name, Path(base), arguments)
            document[name] = {
                **stamp,
                "quick": arguments.quick,
                "cores_busy_with_other_things_before": busy,
                "versions": machine.versions(),
                **measured,
            }
            text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
            arguments.out.write_text(text, encoding="utf-8")
            missed += tallying.missed(measured)
    for floor in missed:
        print(f"missed: {floor}", file=sys.stderr)
    return 1 if missed else 0


def _measured(name: str, base: Path, arguments: argparse.Namespace) -> Json:
    quick = bool(arguments.quick)
    if name == "restoring":
        return _restored(quick=quick, minutes=arguments.minutes)
    if name == "mapping":
        return mapping.measure(quick=quick)
    if name == "removing":
        return removing.measure(base / name)
    if name == "composing":
        rows = composing.measure(base / name, 1 if quick else composing.REPEATS)
        _plot(rows)
        return {"rows": rows}
    if name == "encoding":
        return {"size": list(encoding.SIZE), "rows": encoding.measure()}
    return {"pictures": stages.draw(_PICTURES), "example": stages.numbers()}


def _plot(rows: list[Json]) -> None:
    """Show that the cost grows with the pixels and with nothing else."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        name = f"{row['edit']}, {row['bits']} bits"
        point = float(str(row["megapixels"])), float(str(row["cpu_seconds"]))
        lines.setdefault(name, []).append(point)
    plot.draw(_PICTURES / "cost.png", "Composition", "CPU seconds", lines)


def _restored(*, quick: bool, minutes: float) -> Json:
    all_cases = [*restoring.cases(1 if quick else 2, 1), *restoring.real_cases(quick=quick)]
    tried = []
    for number, it in enumerate(restoring.run(all_cases, minutes * 60), start=1):
        tried.append(it)
        if not number % 10:
            print(f"  {number} of {len(all_cases)}", file=sys.stderr)
    planned = {"cases_planned": len(all_cases)}
    return {**restoring.described(), **planned, **tallying.summary(tried)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=_OUT)
    parser.add_argument(
        "--quick", action="store_true", help="one of two seeds, each time once, fewer kinds"
    )
    parser.add_argument("--minutes", type=float, default=60, help="for restoring, at most")
    parser.add_argument("--part", choices=_PARTS, action="append", help="measure this alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
