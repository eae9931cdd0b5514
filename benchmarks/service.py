"""Measures the service on a systemd of its own: start to READY, stop, memory, exposure.

Run it as root from the project's environment:

    .venv/bin/python benchmarks/service.py [--out FILE]

It takes about two minutes, and makes a machine in namespaces (tests/service/bed.sh) that is gone
afterwards. Where this machine was busy the least of the samples says more than the median.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from service.bed import Bed, why_not

from benchmarks import machine

_TOP = Path(__file__).resolve().parents[1]
_OUT = _TOP / "benchmarks" / "results" / "service.json"
_SAMPLES = 5
_UNIT = "hotfolder"
_RUN = "/opt/hotfolder/bin/hotfolder --config /etc/hotfolder/hotfolder.yaml run"
_DROP_IN = "/run/systemd/system/hotfolder.service.d/50-benchmark.conf"


def main() -> int:
    """Measure, show, write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=_OUT)
    arguments = parser.parse_args()
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 1
    load = machine.load()
    busy = machine.cores_in_use()
    bed = Bed()
    try:
        results = dict(_measures(bed))
    finally:
        bed.close()
    with tempfile.TemporaryDirectory() as base:
        stamp = machine.measured(Path(base))
    document = {
        "schema": 1,
        "what": "the service on a systemd of its own, by benchmarks/service.py",
        **stamp,
        "versions": machine.versions(),
        "load_average_before": load,
        "cores_busy_with_other_things_before": busy,
        "results": results,
    }
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))
    return 0


def _measures(bed: Bed) -> Iterator[tuple[str, object]]:
    yield "systemd", bed.run("systemctl", "--version").splitlines()[0]
    bed.run("hotfolder", "make-tiny-model", "/models/tiny")
    bed.run("hotfolder", "install", "--root", "/srv/hot", "--model", "/models/tiny")
    told = bed.run("systemd-analyze", "security", "--no-pager", _UNIT)
    yield "exposure_of_10", float(re.findall(r"level for \S+: ([\d.]+)", told)[0])
    yield from _of_editor(bed, "echo", f"ExecStart=\nExecStart={_RUN} --editor echo\n")
    yield from _of_editor(bed, "tiny", "")


def _of_editor(bed: Bed, name: str, lines: str) -> Iterator[tuple[str, object]]:
    bed.write(_DROP_IN, f"[Service]\nEnvironment=OMP_NUM_THREADS=1\n{lines}")
    bed.run("systemctl", "daemon-reload")
    starts, stops, memory = zip(*(_sample(bed) for _ in range(_SAMPLES)), strict=True)
    yield f"{name}_start_to_ready_seconds", _summary(starts)
    yield f"{name}_stop_seconds", _summary(stops)
    yield f"{name}_daemon_rss_mib", _summary(memory)


def _sample(bed: Bed) -> tuple[float, float, float]:
    bed.run("systemctl", "start", _UNIT)
    pid = bed.property(_UNIT, "MainPID")
    status = bed.path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    rss_kib = int(re.findall(r"VmRSS:\s+(\d+)", status)[0])
    bed.run("systemctl", "stop", _UNIT)
    start = _between(bed, "InactiveExit", "ActiveEnter")
    return start, _between(bed, "ActiveExit", "InactiveEnter"), rss_kib / 1024


def _between(bed: Bed, first: str, last: str) -> float:
    moments = [int(bed.property(_UNIT, f"{it}TimestampMonotonic")) for it in (first, last)]
    return (moments[1] - moments[0]) / 1e6


def _summary(samples: tuple[float, ...]) -> dict[str, object]:
    rounded = [round(sample, 3) for sample in samples]
    return {"least": min(rounded), "median": statistics.median(rounded), "samples": rounded}


if __name__ == "__main__":
    raise SystemExit(main())
