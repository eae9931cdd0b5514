from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sample import FIDELITY

from pipeline.picture.fidelity import IDENTICAL, Strategy, percent


def test_the_receipt_s_fidelity_says_all_that_was_measured() -> None:
    assert FIDELITY.as_json() == {
        "strategy": "local",
        "reason": "8.0% of the picture changed",
        "confidence": "high",
        "confidence_reason": None,
        "alignment": "99 points agree, to 0.02 pixels of the model's",
        "changed_share": 0.08,
        "mapped_share": None,
        "psnr_outside_db": {"before": 31.25, "after": 60.0, "file": None},
        "ssim_outside": {"before": 0.9, "after": 0.9999, "file": None},
        "shift_px": [1.5, -2.25],
        "zoom": 1.004,
        "rotation_degrees": 0.1,
        "tone_gain": [1.01, 1.0, 0.99],
        "sharpness": 0.9,
    }


def test_what_nobody_knows_is_null_and_what_is_identical_has_a_number() -> None:
    unknown = replace(
        FIDELITY,
        strategy=Strategy.NONE,
        before=None,
        after=IDENTICAL,
        shift_px=None,
        zoom=None,
        rotation_degrees=None,
        sharpness=float("nan"),
    )
    written = json.loads(json.dumps(unknown.as_json(), allow_nan=False))
    assert written["psnr_outside_db"] == {"before": None, "after": 100.0, "file": None}
    assert written["shift_px"] is written["zoom"] is written["sharpness"] is None


def test_any_doubt_makes_the_confidence_low_and_is_said() -> None:
    doubted = replace(FIDELITY, doubts=("nothing says how the edit lies", "edges moved")).as_json()
    assert doubted["confidence"] == "low"
    assert doubted["confidence_reason"] == "nothing says how the edit lies; edges moved"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "0.0%"),
        (0.0002, "less than 0.1%"),
        (0.0217, "2.2%"),
        (0.425, "42.5%"),
        (1.0, "100%"),
    ],
)
def test_a_share_is_said_as_people_read_it(share: float, said: str) -> None:
    assert percent(share) == said
