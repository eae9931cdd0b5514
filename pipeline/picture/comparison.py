"""What of an original a result leaves as it was, where both have the same pixels to compare."""

from __future__ import annotations

from functools import reduce

from PIL import Image, ImageChops

from config.keys import OriginalSize
from pipeline.picture.composite import Composite
from pipeline.picture.fidelity import Fidelity


def compared(composite: Composite, result: Image.Image) -> Fidelity | None:
    """Compare the result's pixels with the original's; None where their sizes differ."""
    if not isinstance(composite.size, OriginalSize):
        return None
    strategy, reason = _strategy(composite)
    return Fidelity(
        strategy=strategy,
        reason=reason,
        keep_psnr_db=None,
        changed_share=_changed_share(composite.layers.base, result),
        shift_px=None,
    )


def _strategy(composite: Composite) -> tuple[str, str]:
    if composite.covers_all:
        return "whole", "neither a mask nor a region says what is to stay"
    what = "region" if composite.mask is None else "mask"
    return what, f"the {what} says what may change"


def _changed_share(before: Image.Image, after: Image.Image) -> float:
    channels = ImageChops.difference(before, after).split()
    unchanged = reduce(ImageChops.lighter, channels).histogram()[0]
    return 1 - unchanged / (before.width * before.height)
