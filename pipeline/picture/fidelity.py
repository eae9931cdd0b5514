"""How true a result is to its original where nothing was to change; no picture library here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """What the composition found out, in numbers; None = not measured."""

    strategy: str  # how the pixels came together
    reason: str  # why in that way
    keep_psnr_db: float | None  # outside the edit
    changed_share: float | None  # of all pixels, 0 to 1
    shift_px: tuple[float, float] | None  # across and down, in pixels of the original
