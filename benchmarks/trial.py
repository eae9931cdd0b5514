"""The tiny model on a device, its jobs, and lanes that are late and early."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from config.settings import ModelSettings
from pipeline import tiny_model
from pipeline.editor import Done, EditError, EditRequest, Event, Failed, Failure, OnEvent
from pipeline.qwen.copy_stream import CopyStream, CudaCopyStream, InlineCopyStream, Mark
from pipeline.qwen.device import InHostMemory, Streamed
from pipeline.qwen.engine import QwenEditor, open_editor
from pipeline.qwen.host_plan import HostPlan
from pipeline.qwen.offload_plan import GIB, Plan, Work
from pipeline.qwen.stage_memory import StageMemory

BLOCKS = 4
LONGEST_DELAY_CYCLES = 200_000  # of the GPU's clock: a tenth of a millisecond, and a copy's time
_WORK = Work(
    sequences=8,
    tokens=3000,
    text_tokens=1500,
    pixels=65536,
    timesteps=7,
    kept_patches=8 * 3000,
    kept_text_tokens=8 * 1500,
)


class JitteryLane(CudaCopyStream):
    """Copies begin late, and so does what computes with them, each by a random time."""

    def __init__(self, device: torch.device, *, cycles: int = LONGEST_DELAY_CYCLES) -> None:
        super().__init__(device)
        self.copies = 0
        self._cycles = cycles
        self._chance = random.Random(0)

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Delay the copy stream, then copy."""
        self.copies += 1
        with torch.cuda.stream(self._stream):
            self._delay()
        return super().fetch(target, source, after=after)

    def wait(self, arrival: Mark) -> None:
        """Wait, then delay the computing, so that the copy stream gets ahead of it."""
        super().wait(arrival)
        self._delay()

    def _delay(self) -> None:
        if cycles := self._chance.randint(0, self._cycles):
            torch.cuda._sleep(cycles)


class CarelessLane(JitteryLane):
    """Does not wait for what is under way: what hunts for races has to find it."""

    def wait(self, arrival: Mark) -> None:
        """Compute at once."""


class CountingLane(InlineCopyStream):
    """Copies at once, and counts."""

    def __init__(self) -> None:
        self.copies = 0

    def fetch(self, target: torch.Tensor, source: torch.Tensor, *, after: Mark) -> Mark:
        """Copy."""
        self.copies += 1
        super().fetch(target, source, after=after)


class Told(StageMemory):
    """One plan whatever the work, and none after the GPU has run out of memory."""

    def __init__(self, editor: QwenEditor, place: Streamed, resident: int) -> None:
        super().__init__(place, editor._parts.size, usual=_WORK, usual_batch=_WORK)
        self._plan = Plan(
            keeps_all=False,
            vision_resident=0,
            text_resident=0,
            transformer_resident=resident,
            read_together=1,
            together=1,
            tile_side=None,
        )
        self._is_exhausted = False

    def plan(self, work: Work) -> Plan:
        """The plan, for all sequences together."""
        if self._is_exhausted:
            cause = "No plan is left for so little memory."
            raise EditError(cause, "Use smaller pictures.", Failure.PERMANENT)
        return replace(self._plan, read_together=work.sequences, together=work.sequences)

    def retrying(self, doing: str, stage: Callable[[], Any]) -> Any:
        """As ever; the plan is gone after a failure."""

        def counted() -> Any:
            try:
                return stage()
            except torch.OutOfMemoryError:
                self._is_exhausted = True
                raise

        return super().retrying(doing, counted)


class Trial:
    """A tiny checkpoint in a scratch folder, and a device."""

    def __init__(self, scratch: Path, device: torch.device, edit_class: str) -> None:
        self.device = device
        self.folder = scratch / edit_class
        tiny_model.build(self.folder, edit_class=edit_class)
        self._scratch = scratch
        self._numbers = count()

    @property
    def on_gpu(self) -> bool:
        """Whether there are streams, and memory of its own."""
        return str(self.device.type) == "cuda"

    def copy_stream(self) -> Any:
        """A copy stream that counts its copies, and on a GPU delays them."""
        return JitteryLane(self.device) if self.on_gpu else CountingLane()

    def resident(self, dtype: str) -> QwenEditor:
        """An editor whose weights are all on the device."""
        place = InHostMemory(device=self.device)
        return open_editor(self._settings(), {"DTYPE": dtype}, at=place)

    def streaming(
        self, dtype: str, copy_stream: CopyStream, resident: int, *, packs: bool = False
    ) -> QwenEditor:
        """An editor of whose transformer's blocks so many stay for their stage."""
        place = replace(self._place(copy_stream), host_plan=HostPlan(packs=packs))
        editor = open_editor(self._settings(), {"DTYPE": dtype}, at=place)
        assert editor.describe().pack == ("lossless" if packs else "none")
        self.plan_anew(editor, resident)
        return editor

    def plan_anew(self, editor: QwenEditor, resident: int) -> None:
        """Forget an out-of-memory."""
        room = Told(editor, self._place(InlineCopyStream()), resident)
        editor._means = replace(editor._means, room=room)

    def _settings(self) -> ModelSettings:
        return ModelSettings(path=self.folder, batch=8)

    def _place(self, copy_stream: CopyStream) -> Streamed:
        return Streamed(device=self.device, copy_stream=copy_stream, budget_bytes=lambda: 4 * GIB)

    def request(self, size: tuple[int, int] = (64, 64), **differences: Any) -> EditRequest:
        """A job of two steps."""
        name = f"{self.folder.name}{next(self._numbers)}"
        usual = EditRequest(
            request_id=name,
            images=(self.canvas(size),),
            prompt="Make the square red",
            negative_prompt=" ",
            steps=2,
            cfg=1.0,
            seed=7,
            lora=None,
            result=self._scratch / f"{name}.png",
        )
        return replace(usual, **differences)

    def canvas(self, size: tuple[int, int], turned: int = 0) -> Path:
        """A picture of that size, with edges and gradients."""
        from PIL import Image

        path = self._scratch / f"canvas{size[0]}x{size[1]}-{turned}.png"
        if not path.exists():
            noise = Image.effect_noise((8, 8), 90).rotate(turned)
            bands = [noise.rotate(90 * number).resize(size) for number in range(3)]
            Image.merge("RGB", bands).save(path)
        return path

    def mixed(self, *, several: bool) -> list[EditRequest]:
        """Jobs of different sizes, steps, seeds, guidance and references."""
        wide, tall = self.canvas((160, 64)), self.canvas((64, 160), turned=30)
        references = (tall, wide) if several else (tall,)
        return [
            self.request((128, 96), cfg=4.0, steps=4, negative_prompt="blurred, dark"),
            self.request((160, 64), seed=1, prompt="Turn the square to blue"),
            self.request(images=references, cfg=1.5),
            self.request((32, 32), cfg=2.0, steps=3, prompt="把方块变成红色"),
        ]


def edited(
    editor: QwenEditor, requests: Sequence[EditRequest], also: OnEvent | None = None
) -> list[Any]:
    """The pictures of the requests, None where there is none."""
    import numpy as np
    from PIL import Image

    done: set[str] = set()

    def listen(event: Event) -> frozenset[str]:
        if isinstance(event, Done):
            done.add(event.request_id)
        if isinstance(event, Failed) and also is None:
            print("failed:", event.error.cause, flush=True)
        return also(event) if also is not None else frozenset()

    editor.edit(requests, listen)
    pictures: list[Any] = []
    for request in requests:
        pictures.append(None)
        if request.request_id in done:
            with Image.open(request.result) as picture:
                pictures[-1] = np.asarray(picture)
        with suppress(FileNotFoundError):
            request.result.unlink()
    return pictures


def close(editor: QwenEditor) -> None:
    """Close, and give back what is free."""
    editor.close()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
