"""Whether a result is true enough to its original to go into the outbox."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

from config.comparison import told_apart
from config.values import MinConfidence, Off
from pipeline.picture.fidelity import Confidence, Fidelity, Strategy, percent
from pipeline.recipe import Recipe


def missed_limits(fidelity: Fidelity, recipe: Recipe) -> tuple[str, ...]:
    """What a result falls short in, each as a phrase with its number and its limit.

    A shift that has not been measured cannot be missed.
    """
    return tuple(chain(_of_what_was_kept(fidelity, recipe), _of_what_changed(fidelity, recipe)))


def _of_what_was_kept(fidelity: Fidelity, recipe: Recipe) -> Iterator[str]:
    least, kept = recipe.min_keep_psnr, fidelity.after
    if least is Off.OFF or fidelity.strategy is Strategy.NONE:
        return  # nothing had to stay
    if kept is None:
        what = f"nothing of the original was kept ({fidelity.reason}), min_keep_psnr is {least:g}"
        yield f"{what} (if all of it was to change, write min_keep_psnr: off)"
    elif kept.psnr_db < least:
        has = told_apart(kept.psnr_db, least, 2)
        yield f"what was to stay has {has} dB, min_keep_psnr is {least:g}"


def _of_what_changed(fidelity: Fidelity, recipe: Recipe) -> Iterator[str]:
    most, shift = recipe.max_shift_px, fidelity.shift_px
    if most is not Off.OFF and shift is not None and math.hypot(*shift) > most:
        by = told_apart(math.hypot(*shift), most, 2)
        yield f"it was shifted by {by} pixels, max_shift_px is {most:g}"
    largest, share = recipe.max_changed, fidelity.changed_share
    if largest is not Off.OFF and share > largest:
        # The log has the same percentage; a share that rounds to the limit is told exactly.
        is_near = percent(share) == percent(largest)
        exact = f" (a share of {told_apart(share, largest, 6)})" if is_near else ""
        allowed = f"max_changed is {largest:g} ({percent(largest)})"
        yield f"{percent(share)} of the picture changed{exact}, {allowed}"
    if recipe.min_confidence is MinConfidence.HIGH and fidelity.confidence is Confidence.LOW:
        yield f"its confidence is low: {'; '.join(fidelity.doubts)}; min_confidence is high"
