"""How a model in training does on edits that it was never taught, measured in the known scenes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch.nn import functional

from training.sayings import Kind, Language
from training.world import Edit, held_out_edit

STEPS = 8
_CHANGED = 0.06  # of the full range: from here on a pixel counts as one that is to change
_NEAR_SHARE = 0.02  # of the shorter side: what is left out around a change, and its shadow
_SAME_DB = 30.0  # at least, where nothing was to change
_CLEARLY_DB = 6.0  # nearer to what was asked than to what was
_OF_ONE_THING = (Kind.RECOLOUR, Kind.REMOVE, Kind.REPLACE, Kind.BORROW_COLOUR)
_SHIFT = 0.5  # of the scheduler at 256 tokens


@dataclass(frozen=True, slots=True)
class Mark:
    """How one edit came out."""

    kind: Kind
    language: Language
    things: int  # in the picture
    follows: bool  # where something was to change, nearer to what was asked than to what was
    clean: bool  # clearly nearer, and the rest is the same
    kept_db: float | None  # how well the rest is as it should be; None where no rest is


def questions(per_kind: int, seed: str, aspect: float, kinds: Iterable[Kind]) -> list[Edit]:
    """Held-out edits, as many of each kind, half of them Chinese."""
    chance = random.Random(seed)
    languages = tuple(Language)
    return [
        held_out_edit(kind, languages[number % 2], chance, aspect)
        for kind in kinds
        for number in range(per_kind)
    ]


def mark(edit: Edit, before: torch.Tensor, after: torch.Tensor, result: torch.Tensor) -> Mark:
    """Compare a result with what was and what was asked; (3, height, width), 0..1 each."""
    changed = to_change(before, after)
    whose = edit.kind, edit.language, len(edit.before.things)
    towards = (result - after).square().mean(0)
    if not changed.any():
        kept = decibel(float(towards.mean()))
        return Mark(*whose, kept >= _SAME_DB, kept >= _SAME_DB, kept)
    nearer = nearer_db(before, after, result)
    rest = ~_grown(changed)
    kept_db = decibel(float(towards[rest].mean())) if rest.float().mean() > 0.1 else None
    clean = nearer >= _CLEARLY_DB and (kept_db is None or kept_db >= _SAME_DB)
    return Mark(*whose, nearer > 0, clean, kept_db)


def to_change(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Where something is to change: (height, width) bool."""
    return (after - before).abs().amax(0) > _CHANGED


def nearer_db(before: torch.Tensor, after: torch.Tensor, result: torch.Tensor) -> float:
    """By how much a result is nearer to what was asked than to what was, where these differ."""
    changed = to_change(before, after)
    towards, stayed = (
        decibel(float((result - one).square()[:, changed].mean())) for one in (after, before)
    )
    return towards - stayed


def _grown(changed: torch.Tensor) -> torch.Tensor:
    """The changed part with what lies close around it."""
    reach = max(1, round(_NEAR_SHARE * min(changed.shape)))
    pooled = functional.max_pool2d(changed[None, None].float(), 2 * reach + 1, 1, reach)
    return pooled[0, 0] > 0.5


def decibel(mean_square: float) -> float:
    """PSNR of a mean square error, for values 0..1."""
    return -10 * math.log10(max(mean_square, 1e-10))


def summary(marks: Sequence[Mark]) -> dict[str, object]:
    """Shares and medians of marks, for the record."""
    kept = [one.kept_db for one in marks if one.kept_db is not None]
    choices = [one for one in marks if one.kind in _OF_ONE_THING and one.things > 1]
    return {
        "edits": len(marks),
        "followed": _share(one.follows for one in marks),
        "followed_by_kind": {
            kind.value: _share(one.follows for one in marks if one.kind is kind)
            for kind in Kind
            if any(one.kind is kind for one in marks)
        },
        "followed_by_language": {
            language.value: _share(one.follows for one in marks if one.language is language)
            for language in Language
        },
        "clean": _share(one.clean for one in marks),
        "clean_of_one_among_several_things": {
            "edits": len(choices),
            "share": _share(one.clean for one in choices),
        },
        "untouched_median_psnr_db": round(median(kept), 2) if kept else None,
        "untouched_at_least_30_db": _share(one >= _SAME_DB for one in kept),
    }


def _share(answers: Iterable[bool]) -> float:
    each = list(answers)
    return round(sum(each) / max(1, len(each)), 3)


def line(scores: Mapping[str, object]) -> str:
    """The scores on one line."""
    return ", ".join(f"{name} {value}" for name, value in scores.items())


def noise_levels(steps: int = STEPS) -> list[float]:
    """Those of the scheduler for a small picture, and 0 at the end."""
    bend = math.exp(_SHIFT)
    even = [1 - number / steps for number in range(steps)]
    return [bend / (bend + 1 / one - 1) for one in even] + [0.0]
