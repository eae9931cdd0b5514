"""How far a training is: what it keeps between two starts, and when it ends."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from training.ranks import Rank, agree

_WARM_UP_STEPS = 300
_AGREE_EVERY_STEPS = 20
_SAVE_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What decides a training, recorded beside its outcome."""

    seed: int
    minutes: float  # of computing, over all starts
    batch: int  # pictures a step, on each GPU
    peak_rate: float  # of learning


class Course:
    """Counts steps and time, sets the rate of learning, keeps an average of the weights."""

    def __init__(
        self, plan: Plan, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer
    ) -> None:
        self.plan = plan
        self.step = 0
        self._modules = modules
        self._optimizer = optimizer
        named = [
            (f"{part}/{name}", one)
            for part, module in modules.items()
            for name, one in module.named_parameters()
        ]
        self._names, self._parameters = [name for name, _ in named], [one for _, one in named]
        self._average = [one.detach().clone() for one in self._parameters]
        self._seconds_before = 0.0
        self._began: float | None = None
        self._saved_at = time.monotonic()
        self._agreed: float | None = None

    @property
    def seconds(self) -> float:
        """Spent computing so far; compiling, in the first step, is not counted."""
        running = 0.0 if self._began is None else time.monotonic() - self._began
        return self._seconds_before + running

    @property
    def share(self) -> float:
        """How much of the training is done, 0..1."""
        return min(1.0, self.seconds / (60 * self.plan.minutes))

    def agreed_share(self, rank: Rank) -> float:
        """How much is done, the same in all processes; looked up every now and then."""
        alone = rank.count == 1
        if alone or self._agreed is None or self.step % _AGREE_EVERY_STEPS == 0:
            self._agreed = agree(self.share, rank)
        return self._agreed

    def set_rate(self, share: float) -> None:
        """Rise for a while, then fall along a cosine to nothing."""
        rate = self.plan.peak_rate * (0.5 + 0.5 * math.cos(math.pi * share)) + 1e-6
        rate *= min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def count(self) -> None:
        """One step more is done."""
        self.step += 1
        if self._began is None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._began = time.monotonic()
        keep = min(0.999, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            now = [one.detach() for one in self._parameters]
            torch._foreach_lerp_(self._average, now, 1 - keep)

    def load(self, file: Path) -> None:
        """Go on where a file says, if it is there."""
        if not file.exists():
            return
        kept: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        for name, module in self._modules.items():
            module.load_state_dict(kept["weights"][name])
        for name, average in zip(self._names, self._average, strict=True):
            average.copy_(kept["average"][name])
        self._optimizer.load_state_dict(kept["optimizer"])
        self.step, self._seconds_before = kept["step"], kept["seconds"]

    def save_if_due(self, file: Path) -> None:
        """Keep all that a start needs to go on, once a minute."""
        if time.monotonic() - self._saved_at >= _SAVE_EVERY_SECONDS:
            self.save(file)

    def save(self, file: Path) -> None:
        """Keep all that a start needs to go on."""
        kept = {
            "weights": {name: module.state_dict() for name, module in self._modules.items()},
            "average": dict(zip(self._names, self._average, strict=True)),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        whole(file, kept)
        self._saved_at = time.monotonic()

    def take_average(self) -> None:
        """Let the weights be their average."""
        with torch.no_grad():
            for one, average in zip(self._parameters, self._average, strict=True):
                one.copy_(average)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the weights be their average for a while."""
        now = [one.detach().clone() for one in self._parameters]
        self.take_average()
        try:
            yield
        finally:
            with torch.no_grad():
                for one, kept in zip(self._parameters, now, strict=True):
                    one.copy_(kept)

    def account(self) -> dict[str, object]:
        """The plan and what came of it, for the record."""
        return {**asdict(self.plan), "steps": self.step, "seconds": round(self.seconds, 1)}


def whole(file: Path, content: object) -> None:
    """Save tensors to a file that is whole or absent."""
    part = file.with_suffix(".part")
    torch.save(content, part)
    part.replace(file)


def record(file: Path, entries: Mapping[str, object]) -> None:
    """Add entries to a JSON file of a training's folder."""
    known = json.loads(file.read_text()) if file.exists() else {}
    part = file.with_suffix(".part")
    part.write_text(json.dumps({**known, **entries}, indent=2) + "\n")
    os.replace(part, file)  # noqa: PTH105, one line for both systems


def hardware(rank_count: int) -> str:
    """What computes, in words."""
    if not torch.cuda.is_available():
        return "CPU"
    return f"{rank_count} x {torch.cuda.get_device_name()}"


def half(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights as a checkpoint holds them."""
    return {name: one.to(torch.bfloat16).contiguous() for name, one in tensors.items()}
