"""The computer's own memory: how much is there, and whether a model fits."""

from __future__ import annotations

from pathlib import Path

from config.problems import Problem, UserError
from pipeline.checkpoint import Checkpoint
from pipeline.qwen import control_groups, model_sizes

GIB = 2**30
_SPARE_BYTES = 2 * GIB  # pictures, libraries, and the pages of the file that is being read
_SMALLEST_ITEM_BYTES = 2  # of a number in bf16


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"), process: Path = Path("/proc/self")
) -> int:
    """What this process can still take without swapping: of the machine, and of its groups."""
    return min([_available_of_machine(meminfo), *control_groups.available_bytes(process)])


def needed_bytes(source: Checkpoint, item_bytes: int) -> int:
    """What the model takes in main memory: its weights, once, and a little to work with.

    `item_bytes` is the size of a number as it is computed with, whatever the files hold. Raises
    UserError if the files do not hold the weights of such a model.
    """
    return model_sizes.read(source, item_bytes).all_bytes + _SPARE_BYTES


def least_bytes(source: Checkpoint, item_bytes: int) -> int:
    """What it takes for a GPU with the weights of modulation left in their files.

    Raises UserError as `needed_bytes` does.
    """
    modulation = model_sizes.read(source, item_bytes).modulation
    return needed_bytes(source, item_bytes) - modulation.all_bytes


def refuse_unless_it_fits(
    source: Checkpoint, item_bytes: int, available: int, *, is_streamed: bool
) -> None:
    """Raise UserError if what has to be in memory does not fit in what is available.

    All weights have to be there, but modulation's where the others are streamed to a GPU.
    """
    needed = (least_bytes if is_streamed else needed_bytes)(source, item_bytes)
    if needed <= available:
        return
    what = (
        f"the model needs {needed / GIB:.1f} GiB of main memory (RAM), "
        f"and {available / GIB:.1f} GiB are available"
    )
    advice = _advice(source, item_bytes, available, is_streamed=is_streamed)
    raise UserError([Problem(str(source.path), what, advice)])


def _advice(source: Checkpoint, item_bytes: int, available: int, *, is_streamed: bool) -> str:
    if item_bytes > _SMALLEST_ITEM_BYTES:
        smaller = (least_bytes if is_streamed else needed_bytes)(source, _SMALLEST_ITEM_BYTES)
        if smaller <= available:
            return f"leave DTYPE out: in bf16 it needs {smaller / GIB:.1f} GiB"
    return "close other programs or add memory"


def _available_of_machine(meminfo: Path) -> int:
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    message = f"{meminfo} has no line MemAvailable"
    raise RuntimeError(message)
