"""What this machine has for a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.problems import UserError
from daemon import places
from daemon.commands import gpu
from daemon.commands.asking import ask
from pipeline.qwen import memory, precision

_HOLDING = {"loading", "idle", "busy"}  # states of an editor that has taken memory
_WITHOUT_MODEL = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a model that is loaded now would find."""

    memory_bytes: int  # main memory that is available
    gpu: gpu.Found
    item_bytes: int  # of a number as it would be computed with


def look(environment: Mapping[str, str]) -> Means:
    """Look at memory and GPU."""
    return Means(
        memory_bytes=memory.available_bytes(),
        gpu=gpu.find(environment),
        item_bytes=_precision(environment).item_bytes,
    )


def daemon_holds_model(roots: Iterable[Path], environment: Mapping[str, str]) -> bool:
    """Whether the daemon of one of these hot folders has loaded a model, or is about to."""
    try:
        found = places.locate(environment)
    except UserError:  # told where the places are looked at
        return False
    for root in roots:
        said, _ = ask(found, root)
        editor = said.get("editor")
        if isinstance(editor, dict) and editor.get("weights") != _WITHOUT_MODEL:
            return editor.get("state") in _HOLDING
    return False


def _precision(environment: Mapping[str, str]) -> precision.Precision:
    try:
        return precision.asked_for(environment)
    except UserError:  # told where the switches are looked at
        return precision.Precision.BF16
