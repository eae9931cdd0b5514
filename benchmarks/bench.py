"""A full-size pipeline, and what is measured with it on a GPU."""

from __future__ import annotations

import gc
import hashlib
import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import fullsize, machine
from config.settings import ModelSettings
from pipeline.editor import Done, EditRequest, Event, Failed, Stage, Step

GIB = 2**30
JOBS_TOGETHER = 8
Row = dict[str, object]


class _StagePeaks:
    """The most GPU memory that each stage of a batch took, in GiB."""

    def __init__(self) -> None:
        self._now = "before"
        self._peaks: dict[str, float] = {}

    def enter(self, stage: str) -> None:
        """A stage begins, or the next job's turn in it."""
        import torch

        peak = round(torch.cuda.max_memory_allocated() / GIB, 2)
        self._peaks[self._now] = max(peak, self._peaks.get(self._now, 0.0))
        if stage != self._now:
            self._now = stage
            torch.cuda.reset_peak_memory_stats()

    def left(self) -> dict[str, float]:
        """By stage, now that all have ended."""
        self.enter("after")
        return {name: peak for name, peak in self._peaks.items() if name != "before"}


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
        self._stamp = {**machine.measured(scratch), "hardware": hardware()}
        self.say(mode="built", seconds=round(time.perf_counter() - began, 1))

    def say(self, **row: object) -> None:
        """Note a result, and print it."""
        row["at_s"] = round(time.perf_counter() - self._began, 1)
        self._rows.append(row)
        print(json.dumps(row), flush=True)
        self._out.write_text(json.dumps({**self._stamp, "rows": self._rows}, indent=1))

    def picture_of(self, side: int) -> Path:
        """The same picture, with sides of so many pixels."""
        from PIL import Image

        path = self.scratch / f"image-{side}.png"
        with Image.open(self.image) as picture:
            picture.resize((side, side), Image.Resampling.BICUBIC).save(path)
        return path

    def requests(
        self, count: int, *, steps: int, cfg: float, image: Path | None = None
    ) -> list[EditRequest]:
        """Jobs with one picture each, of one megapixel unless another is given."""
        return [
            EditRequest(
                request_id=f"job{number}",
                images=(image or self.image,),
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

    def edit(
        self,
        editor: Any,
        mode: str,
        count: int,
        *,
        steps: int,
        cfg: float,
        image: Path | None = None,
    ) -> None:
        """Measure one batch."""
        import torch

        requests = self.requests(count, steps=steps, cfg=cfg, image=image)
        stages = _StagePeaks()
        at: list[float] = []
        endings: list[Done] = []

        def on_event(event: Event) -> frozenset[str]:
            assert not isinstance(event, Failed), event.error.cause
            if isinstance(event, Stage):
                stages.enter(event.stage)
            if isinstance(event, Done):
                endings.append(event)
            if isinstance(event, Step) and event.request_id == requests[-1].request_id:
                at.append(time.perf_counter())
            return frozenset()

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        editor.edit(requests, on_event)
        total = time.perf_counter() - began
        # A step is told while the next computes; after the last there is none to wait for.
        gaps = [later - earlier for earlier, later in pairwise(at[:-1])]
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
            peak_gib=stages.left(),
            reserved_gib=round(torch.cuda.max_memory_reserved() / GIB, 2),
            sha256=[_digest(request.result) for request in requests],
        )

    def call(self, mode: str, *, steps: int, cfg: float) -> None:
        """Measure one call of diffusers' own pipeline."""
        import torch
        from PIL import Image

        at: list[torch.cuda.Event] = []

        def on_step(_pipe: Any, _step: int, _time: Any, _tensors: Any) -> dict[str, Any]:
            at.append(torch.cuda.Event(enable_timing=True))
            at[-1].record()
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
        picture.save(request.result, compress_level=0)  # as our editor does
        total = time.perf_counter() - began
        gaps = [earlier.elapsed_time(later) / 1000 for earlier, later in pairwise(at)]
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
            settings=ModelSettings(batch=JOBS_TOGETHER, **settings),
            at=place,
        )


def cap(gib: float) -> None:
    """Let this process take no more of the GPU's memory than that."""
    import torch

    release()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total))
    torch.cuda.reset_peak_memory_stats()


def release() -> None:
    """Give what is unused back to the driver."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def hardware() -> Row:
    """What ran, and the speed of its bus."""
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
