"""The computer's own memory: how much is there, and whether a model fits."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

from config.problems import Problem, UserError
from pipeline import weights
from pipeline.checkpoint import Checkpoint

GIB = 2**30
_SPARE_BYTES = 2 * GIB  # pictures, libraries, and the pages of the file that is being read
_PARTS = ("text_encoder", "transformer", "vae")


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """What programs can still take without swapping, as the kernel estimates it."""
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    message = f"{meminfo} has no line MemAvailable"
    raise RuntimeError(message)


def needed_bytes(source: Checkpoint, item_bytes: int) -> int:
    """What the model takes in main memory: its weights, once, and a little to work with.

    `item_bytes` is the size of a number as it is computed with, whatever the files hold.
    """
    files = (path for part in _PARTS for path in (source.path / part).glob("*.safetensors"))
    return sum(map(_numbers, files)) * item_bytes + _SPARE_BYTES


def refuse_unless_it_fits(source: Checkpoint, item_bytes: int, available: int) -> None:
    """Raise UserError if the weights do not fit in the memory that is available."""
    needed = needed_bytes(source, item_bytes)
    if needed <= available:
        return
    what = (
        f"the model needs {needed / GIB:.1f} GiB of main memory, "
        f"and {available / GIB:.1f} GiB are available"
    )
    advice = "close other programs, add memory, or choose a smaller model"
    raise UserError([Problem(str(source.path), what, advice)])


def _numbers(file: Path) -> int:
    tensors = json.loads(weights.read(file).header)
    return sum(prod(one["shape"]) for name, one in tensors.items() if name != "__metadata__")
