"""How long the full-size transformer takes from its files to its slab (run by hand).

Writes random weights of the published model's shapes to FOLDER unless they are there, then
measures reading the files and loading them: python -m benchmarks.loading FOLDER --out FILE.
With --gib N it takes as many blocks as N GiB hold, with --repeats N it measures all N times. Pins
the memory if there is a GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import fullsize, machine
from pipeline import checkpoint
from pipeline.qwen import offline

GIB = 2**30
CHUNK_BYTES = 16 * 2**20
Row = dict[str, object]


def write(folder: Path, gib: float) -> None:
    """A transformer of at most so many GiB in bf16, in shards with an index."""
    import accelerate
    import torch

    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with accelerate.init_empty_weights():
        whole = fullsize._transformer()
        block_bytes = _bytes(whole.transformer_blocks[0])
        rest_bytes = _bytes(whole) - block_bytes * len(whole.transformer_blocks)
        layers = int((gib * GIB - rest_bytes) // block_bytes)
        fewer = {"num_layers": min(layers, len(whole.transformer_blocks))}
        model = type(whole).from_config({**whole.config, **fewer})
    torch.set_default_dtype(usual)
    folder.mkdir(parents=True)
    model.save_config(folder)
    fullsize.write_weights({folder: model})


def _bytes(module: Any) -> int:
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())


def read(files: Sequence[Path], threads: int) -> float:
    """Seconds for reading all files once, each thread into a buffer of its own, over and over."""

    def reading(path: Path) -> None:
        buffer = bytearray(CHUNK_BYTES)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(reading, files))
        return time.perf_counter() - began


def load(folder: Path, copy_stream: Any) -> tuple[float, int]:
    """Seconds for loading the transformer, and the bytes of its slabs."""
    import torch

    from pipeline.qwen import meta_init, weight_inventory
    from pipeline.qwen.pinned_memory import PinnedMemory
    from pipeline.qwen.weight_names import OF_DIFFUSERS

    began = time.perf_counter()
    model = meta_init.transformer(folder, torch.bfloat16)
    files = [checkpoint.read_weight_file(path) for path in sorted(folder.glob("*.safetensors"))]
    weight_inventory.promise(model, folder, files, OF_DIFFUSERS)
    blocks = [list(block.parameters()) for block in model.transformer_blocks]
    taken = {id(weight) for block in blocks for weight in block}
    rest = [weight for weight in model.parameters() if id(weight) not in taken]
    slabs = [PinnedMemory(blocks, copy_stream), PinnedMemory([rest], copy_stream)]
    seconds = time.perf_counter() - began
    for slab in slabs:
        slab.close()
    return seconds, sum(slab.bytes for slab in slabs)


class PinningLane:
    """A copy stream to the GPU that notes how long it pins."""

    def __init__(self) -> None:
        import torch

        from pipeline.qwen.copy_stream import CudaCopyStream

        self._copy_stream = CudaCopyStream(torch.device("cuda", 0))
        self.seconds = 0.0

    def pin(self, host: Any) -> None:
        """Pin."""
        began = time.perf_counter()
        self._copy_stream.pin(host)
        self.seconds += time.perf_counter() - began

    def unpin(self, host: Any) -> None:
        """Unpin."""
        self._copy_stream.unpin(host)


def measure(folder: Path, *, pins: bool, say: Callable[[Row], None]) -> None:
    """From the disk, then from the page cache: reading, then loading."""
    from pipeline.qwen.copy_stream import InlineCopyStream

    files = sorted(folder.glob("*.safetensors"))
    weight_bytes = sum(file.stat().st_size for file in files)
    for is_cold in (True, False):
        cache = "cold" if is_cold else "warm"
        reading = {}
        for threads in (1, 8):
            _prepare(files, is_cold=is_cold)
            reading[threads] = seconds = read(files, threads)
            speed = round(weight_bytes / seconds / 1e9, 2)
            say({"what": "reading", "threads": threads, "cache": cache} | _s(seconds, gb_s=speed))
        for copy_stream in (InlineCopyStream(), *([PinningLane()] if pins else [])):
            _prepare(files, is_cold=is_cold)
            before_bytes = _rss_bytes("VmRSS")
            seconds, slab_bytes = load(folder, copy_stream)
            row: Row = {"what": "loading", "cache": cache, "gib": round(slab_bytes / GIB, 3)}
            if isinstance(copy_stream, PinningLane):
                row["pinning_s"] = round(copy_stream.seconds, 2)
            peak_bytes = _rss_bytes("VmHWM") - before_bytes
            over = {f"over_reading_{n}": round(seconds / reading[n], 3) for n in reading}
            more = {"peak_rss_over_weights": round(peak_bytes / weight_bytes, 4)}
            say(row | _s(seconds) | over | more)


def _s(seconds: float, **more: object) -> Row:
    return {"seconds": round(seconds, 3), **more}


def _prepare(files: Sequence[Path], *, is_cold: bool) -> None:
    """Give memory back, let the next peak count from now, and empty or fill the page cache."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if not is_cold:
        read(files, 8)
        return
    for file in files:
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _rss_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024


def main() -> None:
    """Write what is missing, measure, and put the rows into a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gib", type=float, default=64)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    offline.enforce()
    import torch

    from pipeline.qwen.copy_stream import InlineCopyStream

    if not arguments.folder.exists():
        write(arguments.folder, arguments.gib)
    rows: list[Row] = []
    stamp = machine.measured(arguments.folder)

    def say(row: Row) -> None:
        rows.append(row)
        print(json.dumps(row), flush=True)
        arguments.out.write_text(json.dumps({**stamp, "rows": rows}, indent=1) + "\n")

    load(arguments.folder, InlineCopyStream())  # imports, and what else happens once
    for _ in range(arguments.repeats):
        measure(arguments.folder, pins=torch.cuda.is_available(), say=say)


if __name__ == "__main__":
    main()
