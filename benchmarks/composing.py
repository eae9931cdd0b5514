"""What composing costs, in seconds and memory, at several sizes: each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

TOP = Path(__file__).resolve().parents[1]
SIZES = ((1024, 1024), (3000, 2000), (6000, 4000), (8192, 8192))
MODEL_PIXELS = 1024 * 1024
EDITS = ("paste", "relight")
REPEATS = 3


def measure(base: Path, repeats: int = REPEATS) -> list[dict[str, object]]:
    """Compose a local edit and an edit of all of it, at every size."""
    base.mkdir(parents=True, exist_ok=True)
    rows = []
    for width, height in SIZES:
        for name in EDITS:
            _draw(base, width, height, name)
            for bits in (8, 16):
                runs = [_child(base, bits) for _ in range(repeats if bits == 8 else 1)]
                rows.append(_row(width, height, name, bits, runs))
    return rows


def _row(
    width: int, height: int, name: str, bits: int, runs: list[dict[str, float]]
) -> dict[str, object]:
    seconds = min(run["seconds"] for run in runs)
    return {
        "width": width,
        "height": height,
        "megapixels": round(width * height / 1e6, 1),
        "edit": name,
        "bits": bits,
        "seconds": round(seconds, 2),
        "compare_seconds": round(min(run["compare"] for run in runs), 2),
        "cpu_seconds": round(min(run["cpu_seconds"] for run in runs), 2),  # of both cores
        "seconds_all": [round(run["seconds"], 2) for run in runs],
        "peak_rss_gib": round(max(run["rss_gib"] for run in runs), 3),
        "cpu_seconds_per_megapixel": round(
            min(run["cpu_seconds"] for run in runs) / (width * height / 1e6), 4
        ),
    }


def _draw(base: Path, width: int, height: int, name: str) -> None:
    """The inputs as arrays on disk, so that drawing them costs the measured process nothing."""
    from rig.drift import canvas, drifted, mild
    from rig.edits import edit
    from rig.studio import picture

    scale = (MODEL_PIXELS / (width * height)) ** 0.5
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = picture("textured", *size, 1)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    np.save(base / "original.npy", np.clip(large, 0, 255).astype(np.uint8))
    np.save(base / "before.npy", canvas(small, *size))
    after = drifted(canvas(edit(name, small, 3).pixels, *size), mild(1), 1)
    np.save(base / "after.npy", after)


def _child(base: Path, bits: int) -> dict[str, float]:
    words = [sys.executable, __file__, str(base), str(bits)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=TOP)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def compose_once(base: Path, bits: int) -> dict[str, float]:
    """In the child: load, compose, say what it cost."""
    from config.values import Region
    from pipeline.composite.compare import compare
    from pipeline.composite.compose import Compared, compose

    original = np.load(base / "original.npy")
    if bits == 16:
        original = original.astype(np.uint16) * np.uint16(257)
    before, after = np.load(base / "before.npy"), np.load(base / "after.npy")
    began, cpu = time.perf_counter(), time.process_time()
    found = compare(before, after)
    compared = time.perf_counter()
    toned = found.in_tone(after)
    layer = Compared(colours=toned, raw=after, comparison=found, takes_all=False)
    whole = Region(0, 0, original.shape[1], original.shape[0])
    compose(original, whole, layer, None)
    ended, used = time.perf_counter(), time.process_time() - cpu
    return {
        "seconds": ended - began,
        "compare": compared - began,
        "cpu_seconds": used,
        "rss_gib": _peak_rss_gib(),
    }


def _peak_rss_gib() -> float:
    """Of this program alone: ru_maxrss would have that of its parent, too (proc_pid_status(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 2**20


if __name__ == "__main__":
    sys.path.insert(0, str(TOP))
    print(json.dumps(compose_once(Path(sys.argv[1]), int(sys.argv[2]))))
