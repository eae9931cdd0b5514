"""Whether a result is true enough to its original to go into the outbox."""

from __future__ import annotations

import math
from collections.abc import Iterator

from config.settings import FolderSettings
from pipeline.picture.fidelity import Fidelity


def missed_limits(fidelity: Fidelity, folder: FolderSettings) -> tuple[str, ...]:
    """What a result falls short in, each as a phrase with its number and its limit.

    What has not been measured cannot be missed.
    """
    return tuple(_misses(fidelity, folder))


def _misses(fidelity: Fidelity, folder: FolderSettings) -> Iterator[str]:
    least, kept = folder.min_keep_psnr, fidelity.after
    if least is not None and kept is not None and kept.psnr_db < least:
        yield f"what was to stay has {kept.psnr_db:.1f} dB, min_keep_psnr is {least:g}"
    most, shift = folder.max_shift_px, fidelity.shift_px
    if most is not None and shift is not None and math.hypot(*shift) > most:
        yield f"it was shifted by {math.hypot(*shift):.1f} pixels, max_shift_px is {most:g}"
    largest, share = folder.max_changed, fidelity.changed_share
    if largest is not None and share > largest:
        yield f"{_percent(share)} of its pixels changed, max_changed is {largest:g}"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.995 else f"{share:.0%}"
