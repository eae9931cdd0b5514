"""Ways to run a model that is larger than the GPU, side by side (run by hand, needs a GPU).

The published model's architecture with random weights. One process per mode, its results in one
JSON file per mode: python -m benchmarks.offload MODE --out DIR. Then --table DIR FILE puts them
into one file.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import fullsize
from config.settings import ModelSettings
from pipeline.editor import Done, EditRequest, Event, Failed, Step
from pipeline.qwen import offline

GIB = 2**30
CAP_GIB = 16
Row = dict[str, object]


class Bench:
    """A full-size pipeline and what is measured with it."""

    def __init__(self, scratch: Path, out: Path, mode: str) -> None:
        import numpy as np
        import torch
        from PIL import Image

        began = time.perf_counter()
        self.scratch = scratch
        self.image = scratch / "image.png"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((1024, 1024), Image.Resampling.BICUBIC).save(self.image)
        self.source = fullsize.source(scratch / "tiny")
        self.pipe = fullsize.pipeline(self.source)
        torch.cuda.synchronize()
        self._out = out / f"{mode}.json"
        self._began = began
        self._rows: list[Row] = []
        self._hardware = _hardware()
        self.say(mode="built", seconds=round(time.perf_counter() - began, 1))

    def say(self, **row: object) -> None:
        """Note a result, and print it."""
        row["at_s"] = round(time.perf_counter() - self._began, 1)
        self._rows.append(row)
        print(json.dumps(row), flush=True)
        self._out.write_text(
            json.dumps({"hardware": self._hardware, "rows": self._rows}, indent=1)
        )

    def requests(self, count: int, *, steps: int, cfg: float) -> list[EditRequest]:
        """Jobs of one megapixel with one picture each."""
        return [
            EditRequest(
                request_id=f"job{number}",
                images=(self.image,),
                prompt="Replace the background with a beach at dawn, keep the person as she is",
                negative_prompt=" ",
                steps=steps,
                cfg=cfg,
                seed=number,
                lora=None,
                result=self.scratch / f"job{number}.png",
            )
            for number in range(count)
        ]

    def edit(self, editor: Any, mode: str, count: int, *, steps: int, cfg: float) -> None:
        """Measure one batch."""
        import torch

        requests = self.requests(count, steps=steps, cfg=cfg)
        at: list[float] = []
        endings: list[Done] = []

        def on_event(event: Event) -> frozenset[str]:
            assert not isinstance(event, Failed), event.error.cause
            if isinstance(event, Done):
                endings.append(event)
            if isinstance(event, Step) and event.request_id == requests[-1].request_id:
                at.append(time.perf_counter())
            return frozenset()

        torch.cuda.synchronize()
        began = time.perf_counter()
        editor.edit(requests, on_event)
        total = time.perf_counter() - began
        gaps = [later - earlier for earlier, later in pairwise(at)]
        one = endings[0].result
        self.say(
            mode=mode,
            jobs=count,
            cfg=cfg > 1,
            steps=steps,
            step_s=round(statistics.median(gaps), 4) if gaps else None,
            total_s=round(total, 3),
            encode_s=round(one.encode_seconds, 3),
            denoise_s=round(one.denoise_seconds, 3),
            decode_s=round(one.decode_seconds, 3),
            peak_gib=round(one.peak_vram_gib, 2),
            reserved_gib=round(torch.cuda.max_memory_reserved() / GIB, 2),
            sha256=[_digest(request.result) for request in requests],
        )

    def call(self, mode: str, *, steps: int, cfg: float) -> None:
        """Measure one call of diffusers' own pipeline."""
        import torch
        from PIL import Image

        at: list[float] = []

        def on_step(_pipe: Any, _step: int, _time: Any, _tensors: Any) -> dict[str, Any]:
            torch.cuda.synchronize()
            at.append(time.perf_counter())
            return {}

        request = self.requests(1, steps=steps, cfg=cfg)[0]
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        picture = self.pipe(
            image=[Image.open(self.image)],
            prompt=request.prompt,
            negative_prompt=request.negative_prompt if cfg > 1 else None,
            true_cfg_scale=cfg,
            num_inference_steps=steps,
            generator=torch.Generator("cpu").manual_seed(request.seed),
            callback_on_step_end=on_step,
        ).images[0]
        total = time.perf_counter() - began
        picture.save(request.result, compress_level=1)
        gaps = [later - earlier for earlier, later in pairwise(at)]
        self.say(
            mode=mode,
            jobs=1,
            cfg=cfg > 1,
            steps=steps,
            step_s=round(statistics.median(gaps), 4) if gaps else None,
            total_s=round(total, 3),
            peak_gib=round(torch.cuda.max_memory_allocated() / GIB, 2),
            sha256=[_digest(request.result)],
        )

    def editor(self, place: Any, **settings: Any) -> Any:
        """An editor of ours with the pipeline, at a place."""
        from pipeline.qwen.engine import QwenEditor
        from pipeline.qwen.precision import Precision

        return QwenEditor(
            source=self.source,
            pipe=self.pipe,
            chosen=Precision.BF16,
            settings=ModelSettings(batch=8, **settings),
            at=place,
        )


def resident(bench: Bench) -> None:
    """Everything on the GPU, no cap: diffusers' own pipeline, and our engine."""
    import torch

    from pipeline.qwen.place import InHostMemory

    bench.call("diffusers, resident", steps=2, cfg=4.0)
    bench.call("diffusers, resident", steps=10, cfg=4.0)
    bench.call("diffusers, resident", steps=4, cfg=1.0)
    device = torch.device("cuda", 0)
    editor = bench.editor(InHostMemory(device=device))
    _usual_jobs(bench, editor, "resident")
    bench.edit(editor, "resident", 8, steps=3, cfg=4.0)
    _decodes(bench, "resident", megapixels=(1, 4))
    _compiled(bench, editor, "resident, compiled")


def ours(bench: Bench) -> None:
    """Our engine within 16, 12, 8 and 6 GiB."""
    import torch

    from pipeline.qwen.lane import CudaLane
    from pipeline.qwen.place import Streamed

    device = torch.device("cuda", 0)
    place = Streamed(device=device, lane=CudaLane(device), budget_bytes=CAP_GIB * GIB)
    began = time.perf_counter()
    editor = bench.editor(place)
    _release()
    pinned = sum(loader.pinned_bytes for loader in editor._parts.loaders)
    weights = editor._parts.size.all_bytes
    bench.say(
        mode="ours, opened",
        seconds=round(time.perf_counter() - began, 1),
        pinned_gib=round(pinned / GIB, 3),
        pinned_over_weights=round(pinned / weights, 5),
    )
    began = time.perf_counter()
    editor._parts.prove()
    bench.say(mode="ours, self-test", seconds=round(time.perf_counter() - began, 2))
    for cap_gib in (16, 12, 8, 6):
        _cap(cap_gib)
        editor._means.room._budget_bytes = cap_gib * GIB
        _usual_jobs(bench, editor, f"ours, {cap_gib} GiB")
        if cap_gib == CAP_GIB:
            bench.edit(editor, f"ours, {cap_gib} GiB", 8, steps=3, cfg=4.0)
    _cap(CAP_GIB)
    editor._means.room._budget_bytes = CAP_GIB * GIB
    _windowed_decodes(bench, editor)
    _compiled(bench, editor, f"ours, {CAP_GIB} GiB, compiled")


def group(bench: Bench) -> None:
    """Diffusers' group offload, block by block with a stream, within 16 GiB."""
    import torch
    from diffusers.hooks import apply_group_offloading

    device = torch.device("cuda", 0)
    for name in ("transformer", "text_encoder"):
        began = time.perf_counter()
        part = getattr(bench.pipe, name)
        part.to("cpu")
        _release()
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
    _release()
    _cap(CAP_GIB)
    bench.call("diffusers, group offload", steps=4, cfg=1.0)
    bench.call("diffusers, group offload", steps=10, cfg=4.0)


def sequential(bench: Bench) -> None:
    """Diffusers' sequential offload within 16 GiB."""
    _release()
    bench.pipe.to("cpu")
    _cap(CAP_GIB)
    bench.pipe.enable_sequential_cpu_offload()
    bench.call("diffusers, sequential offload", steps=2, cfg=1.0)


def _usual_jobs(bench: Bench, editor: Any, mode: str) -> None:
    bench.edit(editor, mode, 1, steps=2, cfg=4.0)  # warms up
    bench.edit(editor, mode, 1, steps=10, cfg=4.0)
    bench.edit(editor, mode, 1, steps=4, cfg=1.0)
    bench.edit(editor, mode, 4, steps=4, cfg=1.0)


def _compiled(bench: Bench, editor: Any, mode: str) -> None:
    from pipeline.qwen import load

    load.compile_blocks(bench.pipe)
    bench.edit(editor, mode, 1, steps=2, cfg=4.0)
    bench.edit(editor, mode, 1, steps=6, cfg=4.0)


def _decodes(bench: Bench, mode: str, megapixels: Sequence[int]) -> None:
    import torch

    for size in megapixels:
        side = int((size * fullsize.MEGAPIXEL) ** 0.5)
        latents = torch.randn(
            (1, 16, 1, side // 8, side // 8), device="cuda", dtype=torch.bfloat16
        )
        row: Row = {"mode": f"{mode}, VAE decode", "megapixels": size}
        base_bytes = torch.cuda.memory_allocated()
        with torch.no_grad():
            bench.pipe.vae.decode(latents, return_dict=False)  # warms up
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
            began = time.perf_counter()
            pixels = bench.pipe.vae.decode(latents, return_dict=False)[0]
            torch.cuda.synchronize()
            row["seconds"] = round(time.perf_counter() - began, 3)
            peak_bytes = torch.cuda.max_memory_allocated()
            row["peak_gib"] = round(peak_bytes / GIB, 2)
            row["working_bytes_per_pixel"] = (peak_bytes - base_bytes) // side**2
            row["spread"] = round(float(pixels.float().std()), 4)
        bench.say(**row)
        del latents, pixels


def _windowed_decodes(bench: Bench, editor: Any) -> None:
    from pipeline.qwen.plan import TooSmallError, Work

    parts, means = editor._parts, editor._means
    parts.leave()
    with parts.vae.on_stage(resident=(), stays=False):
        for size in (1, 4, 64):
            pixels = size * fullsize.MEGAPIXEL
            work = Work(sequences=1, tokens=9000, text_tokens=500, pixels=pixels)
            try:
                means.vae.tile_side = means.room.plan(work).tile_side
                mode = f"ours, {CAP_GIB} GiB, tiles of {means.vae.tile_side}"
                _decodes(bench, mode, megapixels=(size,))
            except (TooSmallError, RuntimeError) as error:
                bench.say(mode="VAE decode failed", megapixels=size, why=str(error)[:200])


def _cap(gib: float) -> None:
    import torch

    _release()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total))
    torch.cuda.reset_peak_memory_stats()


def _release() -> None:
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _hardware() -> Row:
    import diffusers
    import torch
    import transformers

    return {
        "gpu": torch.cuda.get_device_name(),
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "transformers": str(transformers.__version__),
        "host_to_device_gb_s": _bus_gb_s(),
    }


def _bus_gb_s() -> float:
    import torch

    host = torch.empty(GIB, dtype=torch.uint8).pin_memory()
    device = torch.empty(GIB, dtype=torch.uint8, device="cuda")
    device.copy_(host, non_blocking=True)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(4):
        device.copy_(host, non_blocking=True)
    torch.cuda.synchronize()
    return round(4 * GIB / (time.perf_counter() - began) / 1e9, 1)


MODES = {"resident": resident, "ours": ours, "group": group, "sequential": sequential}


def main() -> None:
    """Measure one mode, or put the files of all into one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=[*MODES, "table"])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    offline.enforce()
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
