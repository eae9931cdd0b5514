"""The switch that lets threads sleep while they wait, so that others have the cores."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_SWITCH = "OMP_WAIT_POLICY"
_NAMES = (_SWITCH, "GOMP_SPINCOUNT")  # what the administrator may have set


def enforce(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads sleep while they wait; to be called before torch is imported.

    They turn round in a circle by default. Where there are fewer free cores than threads, one that
    does keeps the very thread that it waits for from its core, and steps take fifty times as long.
    """
    if not any(name in environment for name in _NAMES):
        environment[_SWITCH] = "PASSIVE"
