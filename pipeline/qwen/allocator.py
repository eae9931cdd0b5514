"""The switch that lets what one stage gives back of the GPU's memory serve the next."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_SWITCH = "PYTORCH_CUDA_ALLOC_CONF"
_NAMES = (_SWITCH, "PYTORCH_ALLOC_CONF")  # what the administrator may have set


def enforce(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let torch grow its pieces of memory; to be called before torch first uses the GPU.

    Blocks of the text encoder and of the transformer differ in size. In pieces of fixed size
    they leave holes, and torch would give all memory back to the driver between the stages.
    """
    if not any(name in environment for name in _NAMES):
        environment[_SWITCH] = "expandable_segments:True"
