from dataclasses import replace
from typing import Any

import pytest
from sample import FIDELITY, RECIPE

from config.values import MinConfidence
from daemon.jobs.quality_gate import missed_limits
from pipeline.picture.fidelity import IDENTICAL, Likeness, Strategy

STRICT = replace(
    RECIPE,
    min_keep_psnr=40.0,
    max_shift_px=3.0,
    max_changed=0.2,
    min_confidence=MinConfidence.HIGH,
)


def kept(psnr_db: float) -> Likeness:
    return Likeness(psnr_db=psnr_db, ssim=0.99)


GOOD = replace(FIDELITY, after=kept(41.0), changed_share=0.1, shift_px=(1.0, -2.0))
BAD = replace(GOOD, after=kept(1.0), changed_share=1.0, shift_px=(90.0, 0.0), doubts=("it moved",))
WHOLE = replace(GOOD, strategy=Strategy.WHOLE, reason="it is in another style", after=None)


def test_without_limits_everything_passes() -> None:
    assert missed_limits(BAD, RECIPE) == ()
    assert missed_limits(WHOLE, RECIPE) == ()


def test_what_keeps_all_limits_passes() -> None:
    assert missed_limits(GOOD, STRICT) == ()


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"after": kept(39.9)}, "what was to stay has 39.90 dB, min_keep_psnr is 40"),
        ({"shift_px": (3.0, -4.0)}, "it was shifted by 5.00 pixels, max_shift_px is 3"),
        ({"changed_share": 0.425}, "42.5% of the picture changed, max_changed is 0.2 (20.0%)"),
        ({"changed_share": 1.0}, "100% of the picture changed, max_changed is 0.2 (20.0%)"),
        (
            {"changed_share": 0.200312},
            "20.0% of the picture changed (a share of 0.200312), max_changed is 0.2 (20.0%)",
        ),
        ({"after": kept(39.9996)}, "what was to stay has 39.9996 dB, min_keep_psnr is 40"),
        (
            {"doubts": ("a third of its edges moved", "nothing says how it lies")},
            "its confidence is low: a third of its edges moved; nothing says how it lies;"
            " min_confidence is high",
        ),
    ],
)
def test_each_limit_is_named_with_its_number(changes: dict[str, Any], missed: str) -> None:
    assert missed_limits(replace(GOOD, **changes), STRICT) == (missed,)


def test_all_that_falls_short_is_said_at_once() -> None:
    assert len(missed_limits(BAD, STRICT)) == 4


def test_a_limit_itself_is_kept() -> None:
    edge = replace(GOOD, after=kept(40.0), changed_share=0.2, shift_px=(0.0, 3.0))
    assert missed_limits(edge, STRICT) == ()


def test_pictures_without_any_difference_pass() -> None:
    assert missed_limits(replace(GOOD, after=IDENTICAL), STRICT) == ()


def test_a_shift_that_was_not_measured_is_not_missed() -> None:
    assert missed_limits(replace(GOOD, shift_px=None), STRICT) == ()


@pytest.mark.parametrize("strategy", [Strategy.WHOLE, Strategy.LOCAL, Strategy.MASK])
def test_a_picture_of_which_nothing_was_kept_does_not_pass_in_silence(strategy: Strategy) -> None:
    missed = missed_limits(replace(WHOLE, strategy=strategy), STRICT)
    assert missed == (
        "nothing of the original was kept (it is in another style), min_keep_psnr is 40"
        " (if all of it was to change, write min_keep_psnr: off)",
    )


def test_an_edit_that_is_to_be_taken_as_it_is_has_nothing_to_keep() -> None:
    assert missed_limits(replace(WHOLE, strategy=Strategy.NONE), STRICT) == ()


@pytest.mark.parametrize("key", ["min_keep_psnr", "max_shift_px", "max_changed", "min_confidence"])
def test_each_limit_may_be_off_alone(key: str) -> None:
    off: dict[str, Any] = {key: getattr(RECIPE, key)}
    assert len(missed_limits(BAD, replace(STRICT, **off))) == 3
