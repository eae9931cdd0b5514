"""Ways to run a model that is larger than the GPU, side by side (run by hand, needs a GPU).

The published model's architecture with random weights. One process per mode, its results in one
JSON file per mode: python -m benchmarks.offload MODE --out DIR. Then table --out DIR puts them
into one file.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import fullsize
from benchmarks.bench import GIB, JOBS_TOGETHER, Bench, Row, cap, release
from pipeline.qwen import allocator, offline

CAP_GIB = 16
_LARGEST_WARMED_UP = 4 * fullsize.MEGAPIXEL  # beyond, one time is the time of many tiles


def resident(bench: Bench) -> None:
    """Everything on the GPU, no cap: diffusers' own pipeline, and our engine."""
    import torch

    from pipeline.qwen.device import InHostMemory

    bench.call("diffusers, resident", steps=2, cfg=4.0)
    bench.call("diffusers, resident", steps=10, cfg=4.0)
    bench.call("diffusers, resident", steps=6, cfg=1.0)
    device = torch.device("cuda", 0)
    editor = bench.editor(InHostMemory(device=device))
    _usual_jobs(bench, editor, "resident", steps=10)
    bench.edit(editor, "resident", 8, steps=4, cfg=4.0)
    _large_jobs(bench, editor, "resident")
    _pictures(bench, "resident", megapixels=(1, 4))
    _compiled(bench, editor, "resident, compiled")


def ours(bench: Bench) -> None:
    """Our engine within 16, 12, 8 and 6 GiB."""
    import torch

    from pipeline.qwen.copy_stream import CudaCopyStream
    from pipeline.qwen.device import Streamed

    device = torch.device("cuda", 0)
    place = Streamed(
        device=device, copy_stream=CudaCopyStream(device), budget_bytes=lambda: CAP_GIB * GIB
    )
    editor = _opened(bench, place, "ours")
    for cap_gib in (12, 8, 6, CAP_GIB):
        cap(cap_gib)
        _allow(bench, editor, replace(place, budget_bytes=partial(int, cap_gib * GIB)))
        steps = 10 if cap_gib in (6, CAP_GIB) else 5
        _usual_jobs(bench, editor, f"ours, {cap_gib} GiB", steps=steps)
    bench.edit(editor, f"ours, {CAP_GIB} GiB", 8, steps=4, cfg=4.0)
    _large_jobs(bench, editor, f"ours, {CAP_GIB} GiB")
    _windowed_pictures(bench, editor)
    _compiled(bench, editor, f"ours, {CAP_GIB} GiB, compiled")


def packed(bench: Bench) -> None:
    """Our engine with packed weights, within 16, 8 and 6 GiB."""
    import torch

    from pipeline.qwen.copy_stream import CudaCopyStream
    from pipeline.qwen.device import Streamed
    from pipeline.qwen.host_plan import HostPlan

    device = torch.device("cuda", 0)
    place = Streamed(
        device=device,
        copy_stream=CudaCopyStream(device),
        budget_bytes=lambda: CAP_GIB * GIB,
        host_plan=HostPlan(packs=True),
    )
    editor = _opened(bench, place, "packed")
    for cap_gib in (8, 6, CAP_GIB):
        cap(cap_gib)
        _allow(bench, editor, replace(place, budget_bytes=partial(int, cap_gib * GIB)))
        _usual_jobs(bench, editor, f"packed, {cap_gib} GiB", steps=5)


def _opened(bench: Bench, place: Any, mode: str) -> Any:
    """An editor with the pipeline's weights, and what it has locked of main memory."""
    began = time.perf_counter()
    editor = bench.editor(place)
    editor._parts.wait()
    release()
    pinned = sum(loader.host.bytes for loader in editor._parts.all_loaders())
    weights = editor._parts.size.all_bytes
    bench.say(
        mode=f"{mode}, opened",
        seconds=round(time.perf_counter() - began, 1),
        pinned_gib=round(pinned / GIB, 3),
        pinned_over_weights=round(pinned / weights, 5),
    )
    return editor


def _large_jobs(bench: Bench, editor: Any, mode: str) -> None:
    for megapixels in ("1.75", "4"):
        bench.edit(editor, mode, 1, steps=2, cfg=4.0, megapixels=megapixels)  # warms up
        bench.edit(editor, mode, 1, steps=4, cfg=4.0, megapixels=megapixels)


def _allow(bench: Bench, editor: Any, place: Any) -> None:
    """Let the editor plan within another budget from now on."""
    from pipeline.qwen.stage_memory import StageMemory
    from pipeline.qwen.vram_budget import usual_work

    usual, usual_batch = (usual_work(bench.source, jobs) for jobs in (1, JOBS_TOGETHER))
    space = StageMemory(place, editor._parts.size, usual=usual, usual_batch=usual_batch)
    editor._means = replace(editor._means, room=space)


def group(bench: Bench) -> None:
    """Diffusers' group offload, block by block with a stream, within 16 GiB."""
    import torch
    from diffusers.hooks import apply_group_offloading

    device = torch.device("cuda", 0)
    for name in ("transformer", "text_encoder"):
        began = time.perf_counter()
        part = getattr(bench.pipe, name)
        part.to("cpu")
        release()
        apply_group_offloading(
            part,
            onload_device=device,
            offload_type="block_level" if name == "transformer" else "leaf_level",
            num_blocks_per_group=1 if name == "transformer" else None,
            use_stream=True,
            record_stream=True,
            non_blocking=True,
        )
        bench.say(mode=f"group offload, {name}", seconds=round(time.perf_counter() - began, 1))
    release()
    cap(CAP_GIB)
    bench.call("diffusers, group offload", steps=6, cfg=1.0)
    bench.call("diffusers, group offload", steps=10, cfg=4.0)


def sequential(bench: Bench) -> None:
    """Diffusers' sequential offload within 16 GiB."""
    release()
    bench.pipe.to("cpu")
    cap(CAP_GIB)
    bench.pipe.enable_sequential_cpu_offload()
    bench.call("diffusers, sequential offload", steps=2, cfg=1.0)
    bench.call("diffusers, sequential offload", steps=2, cfg=4.0)


def _usual_jobs(bench: Bench, editor: Any, mode: str, *, steps: int) -> None:
    bench.edit(editor, mode, 1, steps=2, cfg=4.0)  # warms up
    bench.edit(editor, mode, 1, steps=steps, cfg=4.0)
    bench.edit(editor, mode, 1, steps=6, cfg=1.0)
    bench.edit(editor, mode, 4, steps=4, cfg=1.0)


def _compiled(bench: Bench, editor: Any, mode: str) -> None:
    from pipeline.qwen.compiled_blocks import compile_blocks

    compile_blocks(bench.pipe)
    bench.edit(editor, mode, 1, steps=2, cfg=4.0)
    bench.edit(editor, mode, 1, steps=6, cfg=4.0)


def _pictures(bench: Bench, mode: str, megapixels: Sequence[int]) -> None:
    """Take pictures of these sizes through the VAE, both ways."""
    import torch

    for size in megapixels:
        side = int((size * fullsize.MEGAPIXEL) ** 0.5)
        shape = (1, 16, 1, side // 8, side // 8)
        latents = torch.randn(shape, device="cuda", dtype=torch.bfloat16)

        def decode(latents: torch.Tensor = latents) -> torch.Tensor:
            return bench.pipe.vae.decode(latents, return_dict=False)[0]

        pixels = _measured(bench, f"{mode}, VAE decode", size, decode)
        del latents

        def encode(pixels: torch.Tensor = pixels) -> torch.Tensor:
            return bench.pipe.vae.encode(pixels, return_dict=False)[0].mode()

        _measured(bench, f"{mode}, VAE encode", size, encode)
        del pixels
        release()


def _measured(bench: Bench, mode: str, megapixels: int, work: Callable[[], Any]) -> Any:
    import torch

    row: Row = {"mode": mode, "megapixels": megapixels}
    base_bytes = torch.cuda.memory_allocated()
    with torch.no_grad():
        if megapixels * fullsize.MEGAPIXEL <= _LARGEST_WARMED_UP:
            work()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
        began = time.perf_counter()
        result = work()
        torch.cuda.synchronize()
    row["seconds"] = round(time.perf_counter() - began, 3)
    peak_bytes = torch.cuda.max_memory_allocated()
    row["peak_gib"] = round(peak_bytes / GIB, 2)
    working_bytes = (peak_bytes - base_bytes) // (megapixels * fullsize.MEGAPIXEL)
    bench.say(**row, working_bytes_per_pixel=working_bytes)
    return result


def _windowed_pictures(bench: Bench, editor: Any) -> None:
    from pipeline.qwen.offload_plan import TooSmallError
    from pipeline.qwen.vram_budget import usual_work

    parts, means = editor._parts, editor._means
    parts.make_way(parts.vae)
    with parts.vae.on_stage(resident=(), stays=False):
        for size in (1, 4, 64):
            pixels = size * fullsize.MEGAPIXEL
            work = replace(usual_work(bench.source), pixels=pixels)
            try:
                means.vae.tile_side = means.room.plan(work).tile_side
                mode = f"ours, {CAP_GIB} GiB, tiles of {means.vae.tile_side}"
                _pictures(bench, mode, megapixels=(size,))
            except (TooSmallError, RuntimeError) as error:
                bench.say(mode="VAE failed", megapixels=size, why=str(error)[:200])


MODES = {
    "resident": resident,
    "ours": ours,
    "packed": packed,
    "group": group,
    "sequential": sequential,
}


def main() -> None:
    """Measure one mode, or put the files of all into one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=[*MODES, "table"])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    offline.enforce()
    allocator.enforce()
    logging.basicConfig(level=logging.INFO)
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.mode == "table":
            files = [arguments.out / f"{mode}.json" for mode in MODES]
            found = {f.stem: json.loads(f.read_text()) for f in files if f.exists()}
            (arguments.out / "offload.json").write_text(json.dumps(found, indent=1) + "\n")
        else:
            bench = Bench(Path(scratch), arguments.out, arguments.mode)
            MODES[arguments.mode](bench)


if __name__ == "__main__":
    main()
