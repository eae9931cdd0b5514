"""From the files of a full-size model: the start, the memory, a host of 28 GiB (needs a GPU).

python -m benchmarks.from_files FOLDER --out DIR writes 57 GB of random weights to FOLDER unless
they are there, then measures each of the CASES in a process of its own. Before that a process
edits with the small model: so that Python's modules are compiled, as pip leaves them, whatever
the machine's own are, and the libraries in the page cache.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks import fullsize, machine
from config.settings import ModelSettings, Pack
from pipeline.qwen import host_memory, offline

GIB = 2**30
SMALL = Path(__file__).parents[1] / "models" / "small"
PAGE_BYTES = 4096
READ_BYTES = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An editor, and what of the machine is there for it."""

    name: str
    pack: str = "auto"
    vram_gib: float = 16
    host_gib: float | None = None  # all that is left of main memory; None: what there is
    steps: int = 6
    is_warm: bool = True  # the files are in the page cache


CASES = (
    Case(name="plain"),
    Case(name="packed", pack="lossless"),
    Case(name="host of 28 GiB", host_gib=28, is_warm=False),
)


class _Remarks(logging.Handler):
    """Keeps what the editor says."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(record.getMessage())


def measure(folder: Path, case: Case, began: float) -> dict[str, object]:
    """Open the editor as the daemon does and edit one guided job; `began` is Unix time."""
    from pipeline.editor import Done, EditRequest, Event, Failed, Stage, Step
    from pipeline.editor_worker import import_libraries, open_editor

    remarks = _Remarks()
    logging.getLogger("pipeline").addHandler(remarks)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    import_libraries(compiles=False)
    imported = time.time() - began
    editor = open_editor("qwen", _settings(folder, case))
    ready = time.time() - began
    at: list[float] = []
    stages: dict[str, float] = {}
    endings: list[Done] = []

    def on_event(event: Event) -> frozenset[str]:
        assert not isinstance(event, Failed), event.error.cause
        if isinstance(event, Stage):
            stages.setdefault(event.stage.value, round(time.time() - began, 2))
        if isinstance(event, Step):
            at.append(time.time())
        if isinstance(event, Done):
            endings.append(event)
        return frozenset()

    with tempfile.TemporaryDirectory() as scratch:
        request = EditRequest(
            request_id="job",
            images=(_picture(Path(scratch)),),
            prompt="Replace the background with a beach at dawn, keep the person as she is",
            negative_prompt=" ",
            steps=case.steps,
            cfg=4.0,
            seed=7,
            lora=None,
            result=Path(scratch) / "job.png",
        )
        editor.edit([request], on_event)
        first, total = at[0] - began, time.time() - began
        peak_gib = endings[-1].result.peak_vram_gib
        kept, peak = _status("VmRSS"), _status("VmHWM")
        editor.edit([request], on_event)
    gaps = [later - earlier for earlier, later in pairwise(at[case.steps : -1])]
    return {
        **asdict(case),
        "imported_s": round(imported, 2),  # where a process after a rest begins
        "ready_s": round(ready, 2),
        "stages_begin_s": stages,
        "first_step_s": round(first, 2),
        "first_job_s": round(total, 2),
        "guided_step_s": round(statistics.median(gaps), 4),
        "kept_gib": round(kept / GIB, 3),
        "peak_over_kept_gib": round((peak - kept) / GIB, 3),  # of loading and the first job
        "peak_gib": round(_status("VmHWM") / GIB, 3),
        "gpu_peak_gib": round(peak_gib, 2),
        "said": remarks.said,
    }


def _settings(folder: Path, case: Case) -> ModelSettings:
    return ModelSettings(path=folder, pack=Pack(case.pack), vram_gib=case.vram_gib)


def _picture(scratch: Path) -> Path:
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = scratch / "image.png"
    Image.fromarray(noise).resize((1024, 1024), Image.Resampling.BICUBIC).save(path)
    return path


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024


@contextmanager
def only(host_gib: float | None) -> Iterator[None]:
    """Within this context no more main memory is available: the rest is locked by this process."""
    if host_gib is None:
        yield
        return
    taken_bytes = host_memory.available_bytes() - int(host_gib * GIB)
    size_bytes = max(taken_bytes, 0) // PAGE_BYTES * PAGE_BYTES
    with mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as ballast:
        libc = ctypes.CDLL(None, use_errno=True)
        place = ctypes.addressof(ctypes.c_char.from_buffer(ballast))
        if libc.mlock(ctypes.c_void_p(place), ctypes.c_size_t(size_bytes)):
            raise OSError(ctypes.get_errno(), "mlock")
        print(f"available: {host_memory.available_bytes() / GIB:.1f} GiB", flush=True)
        yield


def touch_memory() -> None:
    """Use as much main memory as a model takes, once, and give it back.

    A virtual machine gets its memory from its host when it first uses it, three times more slowly
    than afterwards: whoever loads first would be measured with that.
    """
    size_bytes = min(64 * GIB, host_memory.available_bytes() * 9 // 10)
    with mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for start in range(0, size_bytes, PAGE_BYTES):
            memory[start] = 1


def prepare(folder: Path, *, is_warm: bool) -> None:
    """Fill the page cache with the files, or empty it of them."""
    for file in sorted(folder.rglob("*.safetensors")):
        with file.open("rb", buffering=0) as opened:
            if is_warm:
                while opened.read(READ_BYTES):
                    pass
            else:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(folder: Path, case: Case, compiled: Path) -> dict[str, object]:
    """One case in a fresh process, which finds and leaves compiled modules in a folder."""
    prepare(folder, is_warm=case.is_warm)
    with only(case.host_gib):
        words = [sys.executable, "-m", "benchmarks.from_files", str(folder), "--case", case.name]
        more = {"BEGAN": str(time.time()), "PYTHONPYCACHEPREFIX": str(compiled)}
        environment = {**os.environ, **more}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {**asdict(case), "failed": done.stderr[-2000:]}
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Write what is missing, measure, and put the rows into a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=lambda written: Path(written).absolute())
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case")
    arguments = parser.parse_args()
    if arguments.case:
        case = next(one for one in CASES if one.name == arguments.case)
        print(json.dumps(measure(arguments.folder, case, float(os.environ["BEGAN"]))))
        return
    offline.enforce()
    if not arguments.folder.exists():
        began = time.perf_counter()
        fullsize.write(arguments.folder)
        print(f"written in {time.perf_counter() - began:.0f} s", flush=True)
    from benchmarks import bench

    stamp = {**machine.measured(arguments.folder), "hardware": bench.hardware()}
    touch_memory()
    rows = []
    with tempfile.TemporaryDirectory() as compiled:
        warm_up = run(SMALL, CASES[0], Path(compiled))
        print(json.dumps(warm_up), flush=True)
        for case in CASES:
            rows.append(run(arguments.folder, case, Path(compiled)))
            print(json.dumps(rows[-1], indent=1), flush=True)
            (arguments.out / "from_files.json").write_text(
                json.dumps({**stamp, "rows": rows}, indent=1) + "\n"
            )
    if any("failed" in row for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
