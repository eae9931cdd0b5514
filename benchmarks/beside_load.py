"""How long the small model's steps take on the CPU, alone and beside a program that is busy.

    python -m benchmarks.beside_load [--pairs N] [--steps N] [--busy N]

Threads that wait asleep (as the editor has it) and awake (as OpenMP has it by default) take turns,
so that what else the machine does weighs on both alike. Beside them run so many programs that want
a core each (0: alone). Prints seconds of denoising, and their medians.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
WAYS = {"asleep": "PASSIVE", "awake": "ACTIVE"}
BUSY = "while True: pass"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--busy", type=int, default=0)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(given.pairs):
        for way, policy in WAYS.items():
            with busy(given.busy):
                seconds[way].append(denoising_seconds(policy, given.steps))
    for way, measured in seconds.items():
        print(f"{way}: {statistics.median(measured):.2f} s of", *measured)


@contextlib.contextmanager
def busy(programs: int) -> Iterator[None]:
    """Within this context so many programs want a core each."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(programs)]
    try:
        yield
    finally:
        for it in running:
            it.kill()
            it.wait()


def denoising_seconds(policy: str, steps: int) -> float:
    """The seconds that one edit spends in its steps, as its receipt has it."""
    with tempfile.TemporaryDirectory() as scratch:
        hot = Path(scratch, "hot")
        environment = {
            **{key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"},
            "XDG_STATE_HOME": f"{scratch}/state",
            "XDG_CACHE_HOME": f"{scratch}/cache",
            "OMP_WAIT_POLICY": policy,
            "NUM_STEPS": str(steps),
        }
        hotfolder = [sys.executable, "-m", "daemon"]
        subprocess.run([*hotfolder, "init", hot], cwd=scratch, check=True, capture_output=True)
        shutil.copy(TOP / "hotfolder_example" / "inbox" / "circle.png", hot / "inbox")
        (hot / "inbox" / "circle.txt").write_text("Remove the green circle.", encoding="utf-8")
        once = [*hotfolder, "run", "--once", "--model", str(TOP / "models" / "small")]
        subprocess.run(once, cwd=scratch, env=environment, check=True, capture_output=True)
        receipt = json.loads((hot / "outbox" / "circle.png.json").read_text(encoding="utf-8"))
        return float(receipt["seconds"]["denoise"])


if __name__ == "__main__":
    main()
