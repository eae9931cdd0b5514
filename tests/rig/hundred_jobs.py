"""A hundred jobs through one editor, a fifth of which fail; says what they have left behind.

Run as python -m rig.hundred_jobs MODEL_FOLDER SCRATCH_FOLDER: a JSON object after 40, after 100.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import torch
from PIL import Image
from rig.copy_streams import CrampedLane
from rig.stage_memory import decide, passing_through, place
from safetensors.torch import save_file

from config.settings import Lora, ModelSettings
from pipeline.editor import Done, EditRequest, Event, Failed, Stage, StageName, Step
from pipeline.qwen.engine import QwenEditor, open_editor

LOOKED_AT = (4, 10)  # rounds of ten jobs
BREAKS_AT: list[StageName | int] = [StageName.ENCODE, StageName.DENOISE, 1, 2]


class Jobs:
    """Makes requests and edits them, as each round wants them."""

    def __init__(self, model: Path, scratch: Path) -> None:
        self._scratch = scratch
        self._image = scratch / "image.png"
        Image.linear_gradient("L").resize((64, 32)).convert("RGB").save(self._image)
        Image.new("RGB", (60, 32)).save(scratch / "odd.png")
        (scratch / "broken.png").write_bytes(b"no picture")
        self._numbers = count()
        self._copy_stream = CrampedLane()
        loras = {"good": _lora(scratch / "good.safetensors")}
        loras["gone"] = replace(loras["good"], path=scratch / "gone.safetensors")
        settings = ModelSettings(path=model, loras=loras, batch=4)
        self.editor: QwenEditor = open_editor(
            settings, {"DTYPE": "fp32"}, at=place(self._copy_stream)
        )

    def round(self, number: int) -> None:
        """Ten jobs in batches of one to four: two fail, one or two are dropped."""
        unfortunate = list(self._failing())
        moments = [BREAKS_AT[(number + shift) % len(BREAKS_AT)] for shift in range(3)]
        first, second = (unfortunate[(number + shift) % len(unfortunate)] for shift in (0, 4))
        self._edit([self._usual(), first, self._usual(cfg=4.0), self._usual(steps=3)], failed=1)
        worn = [self._usual(lora="good"), self._usual(lora="good")]
        if number % 2:
            self._edit([second, *worn], failed=1)
            self._edit([self._usual()], drops_at=StageName.DECODE)
        else:
            self._edit([self._usual()], failed=1, out_of_memory_at=moments[0], times=9)
            self._edit([*worn, self._usual()])
        self._edit([self._usual()], drops_at=moments[1])
        self._edit([self._usual()], out_of_memory_at=moments[2])

    def _usual(self, **differences: object) -> EditRequest:
        name = f"job{next(self._numbers)}"
        request = EditRequest(
            request_id=name,
            images=(self._image,),
            prompt="Make the square red",
            negative_prompt=" ",
            steps=2,
            cfg=1.0,
            seed=7,
            lora=None,
            result=self._scratch / f"{name}.png",
        )
        return replace(request, **differences)  # type: ignore[arg-type] # a test's shorthand

    def _failing(self) -> Iterator[EditRequest]:
        yield self._usual(images=(self._scratch / "broken.png",))
        yield self._usual(images=(self._scratch / "odd.png",))
        yield self._usual(lora="unknown")
        yield self._usual(lora="gone")
        yield self._usual(prompt="7" * 5000)
        yield self._usual(result=self._scratch / "gone" / "result.png")
        yield self._usual(images=(self._scratch / "nowhere.png",))

    def _edit(
        self,
        requests: list[EditRequest],
        *,
        failed: int = 0,
        drops_at: StageName | int | None = None,
        out_of_memory_at: StageName | int | None = None,
        times: int = 1,
    ) -> None:
        endings: list[Event] = []

        def listen(event: Event) -> frozenset[str]:
            match event:
                case Stage(name, moment) | Step(name, moment, _):
                    if moment == out_of_memory_at and name == requests[0].request_id:
                        self._copy_stream.failing = times
                    return frozenset({name}) if moment == drops_at else frozenset()
                case Done() | Failed():
                    endings.append(event)
                    return frozenset()

        decide(self.editor, passing_through(1), passing_through(0))
        self.editor.edit(requests, listen)
        self._copy_stream.failing = 0
        lost = sum(isinstance(ending, Failed) for ending in endings)
        wanted = 0 if drops_at is not None else len(requests)
        assert (len(endings), lost) == (wanted, failed), endings
        for request in requests:
            request.result.unlink(missing_ok=True)


def _lora(path: Path) -> Lora:
    layer = "transformer.transformer_blocks.1.attn.to_q"
    factors = {f"{layer}.lora_A.weight": torch.ones(4, 96)}
    save_file({**factors, f"{layer}.lora_B.weight": torch.ones(96, 4)}, path)
    return Lora(path=path, steps=2, cfg=4.0)


def left_behind(editor: QwenEditor, scratch: Path) -> dict[str, int]:
    """What there is once rubbish has been collected."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pipe = editor._pipe
    modules = [
        m for part in (pipe.text_encoder, pipe.transformer, pipe.vae) for m in part.modules()
    ]
    hooks = [
        hook for module in modules for hook in (*module._forward_hooks, *module._forward_pre_hooks)
    ]
    things = gc.get_objects()
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    resident_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return {
        "tensors": sum(issubclass(type(thing), torch.Tensor) for thing in things),
        "objects": len(things),
        "hooks": len(hooks),
        "files": sum(1 for _ in scratch.rglob("*")),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
        "resident_kib": resident_kib,
    }


def main() -> None:
    """Tell what is left after 40 jobs, and after 100."""
    logging.disable(logging.WARNING)  # failures are what this is about
    model, scratch = map(Path, sys.argv[1:])
    jobs = Jobs(model, scratch)
    for number in range(1, LOOKED_AT[-1] + 1):
        jobs.round(number)
        if number in LOOKED_AT:
            print(json.dumps(left_behind(jobs.editor, scratch)))


if __name__ == "__main__":
    main()
