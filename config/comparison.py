"""Numbers that a sentence compares with their limit: rounding never makes it contradict itself."""

from __future__ import annotations

import math

_GIB = 2**30
_MOST_DIGITS = 12


def told_apart(value: float, limit: float, digits: int) -> str:
    """`value` with so many decimals, or more where fewer would show it on the limit's other side.

    The sentence shows the limit as it is written, with `:g`.
    """
    shown_limit = float(f"{limit:g}")
    for enough in range(digits, _MOST_DIGITS):
        shown = f"{value:.{enough}f}"
        if _side(float(shown), shown_limit) == _side(value, limit):
            return shown
    return repr(value)


def needed_and_available_gib(needed_bytes: int, available_bytes: int) -> tuple[str, str]:
    """Two sizes in GiB as a sentence compares them; never more is available than there is."""
    available = math.floor(10 * available_bytes / _GIB) / 10
    return told_apart(needed_bytes / _GIB, available, 1), f"{available:.1f}"


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)
