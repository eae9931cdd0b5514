"""How true a result is to its original outside the edit, in numbers for people and programs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from config.yaml_nodes import JsonValue

IDENTICAL_DB = 100.0  # what is written where not a single level differs; JSON knows no infinity


class Strategy(StrEnum):
    """What was laid over the original."""

    UNCHANGED = "unchanged"  # nothing: the edit is the original
    LOCAL = "local"  # the parts that were found to be edited
    MASK = "mask"  # all that the mask or the region lets change
    WHOLE = "whole"  # the edit of the whole picture
    NONE = "none"  # the whole edit without a look at it, as the recipe says


class Confidence(StrEnum):
    """How far what was found in an edit may be relied on."""

    HIGH = "high"
    LOW = "low"  # somebody should look at the result


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Two pictures compared, outside the edit."""

    psnr_db: float  # 10 log10(white² / mean square error) over all channels
    ssim: float  # mean structural similarity of brightness (Wang et al. 2004), -1 to 1


IDENTICAL = Likeness(psnr_db=IDENTICAL_DB, ssim=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """What was found and done when an edit was laid over its original."""

    strategy: Strategy
    reason: str  # words for people: why this strategy
    alignment: str  # words for people: what says how the edit lies, or why nothing does
    changed_share: float  # of the result's pixels, 0 to 1
    before: Likeness | None  # the edit as the editor gave it; None = there is no outside
    after: Likeness | None  # the result
    shift_px: tuple[float, float] | None  # of the centre, right and down, in the original's pixels
    zoom: float | None  # 1 = none
    rotation_degrees: float | None  # counter-clockwise
    tone_gain: tuple[float, float, float]  # red, green, blue: what undoes the drift; 1 = none
    sharpness: (
        float | None
    )  # slopes of the edit by those of the canvas, outside the edit; 1 = as sharp
    mapped_share: float | None = (
        None  # of the result's pixels, 0 to 1: the original's own, recoloured
    )
    doubts: tuple[
        str, ...
    ] = ()  # words for people: what makes the finding uncertain; () = nothing
    file: Likeness | None = None  # the result as its file shows it, opened again

    @property
    def confidence(self) -> Confidence:
        """Low where there is any doubt."""
        return Confidence.LOW if self.doubts else Confidence.HIGH

    def as_json(self) -> dict[str, JsonValue]:
        """Give the receipt's `fidelity`: plain values, null where there is none."""
        return {
            "strategy": str(self.strategy),
            "reason": self.reason,
            "confidence": str(self.confidence),
            "confidence_reason": "; ".join(self.doubts) or None,
            "alignment": self.alignment,
            "changed_share": round(self.changed_share, 6),
            "mapped_share": _cut(self.mapped_share, 4),
            "psnr_outside_db": _pair(self, "psnr_db", 2),
            "ssim_outside": _pair(self, "ssim", 4),
            "shift_px": None if self.shift_px is None else [_cut(v, 2) for v in self.shift_px],
            "zoom": _cut(self.zoom, 5),
            "rotation_degrees": _cut(self.rotation_degrees, 3),
            "tone_gain": [_cut(gain, 4) for gain in self.tone_gain],
            "sharpness": _cut(self.sharpness, 3),
        }


def percent(share: float) -> str:
    """A share of a picture's pixels as people read it."""
    if 0 < share < 0.0005:
        return "less than 0.1%"
    return f"{share:.1%}" if share < 0.995 else f"{share:.0%}"


def _pair(fidelity: Fidelity, name: str, digits: int) -> dict[str, JsonValue]:
    """One measure of the edit as it came, of the result and of its file."""
    stages = {"before": fidelity.before, "after": fidelity.after, "file": fidelity.file}
    return {
        stage: None if likeness is None else _cut(getattr(likeness, name), digits)
        for stage, likeness in stages.items()
    }


def _cut(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
