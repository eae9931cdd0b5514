from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample import FIDELITY

from config.settings import FolderSettings
from daemon.jobs.quality_gate import missed_limits
from pipeline.picture.fidelity import IDENTICAL, Likeness

FREE = FolderSettings(root=Path("/hot"))
STRICT = replace(FREE, min_keep_psnr=40.0, max_shift_px=3.0, max_changed=0.2)


def kept(psnr_db: float) -> Likeness:
    return Likeness(psnr_db=psnr_db, ssim=0.99)


GOOD = replace(FIDELITY, after=kept(41.0), changed_share=0.1, shift_px=(1.0, -2.0))


def test_without_limits_everything_passes() -> None:
    bad = replace(GOOD, after=kept(1.0), changed_share=1.0, shift_px=(90.0, 0.0))
    assert missed_limits(bad, FREE) == ()


def test_what_keeps_all_limits_passes() -> None:
    assert missed_limits(GOOD, STRICT) == ()


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"after": kept(39.9)}, "what was to stay has 39.9 dB, min_keep_psnr is 40"),
        ({"shift_px": (3.0, -4.0)}, "it was shifted by 5.0 pixels, max_shift_px is 3"),
        ({"changed_share": 0.425}, "42.5% of its pixels changed, max_changed is 0.2"),
        ({"changed_share": 1.0}, "100% of its pixels changed, max_changed is 0.2"),
    ],
)
def test_each_limit_is_named_with_its_number(changes: dict[str, Any], missed: str) -> None:
    assert missed_limits(replace(GOOD, **changes), STRICT) == (missed,)


def test_all_that_falls_short_is_said_at_once() -> None:
    bad = replace(GOOD, after=kept(1.0), changed_share=1.0, shift_px=(90.0, 0.0))
    assert len(missed_limits(bad, STRICT)) == 3


def test_a_limit_itself_is_kept() -> None:
    edge = replace(GOOD, after=kept(40.0), changed_share=0.2, shift_px=(0.0, 3.0))
    assert missed_limits(edge, STRICT) == ()


def test_pictures_without_any_difference_pass() -> None:
    assert missed_limits(replace(GOOD, after=IDENTICAL), STRICT) == ()


@pytest.mark.parametrize("field", ["after", "shift_px"])
def test_what_was_not_measured_is_not_missed(field: str) -> None:
    nothing: dict[str, Any] = {field: None}
    assert missed_limits(replace(GOOD, **nothing), STRICT) == ()
