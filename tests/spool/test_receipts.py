import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample import RECIPE, finished, job, resolved_job

from config.instruction_keys import Keys
from config.problems import Problem
from config.settings import Limits, Lora
from config.values import ExactSize, Format, Keep, MinConfidence, Region
from daemon.job import State
from daemon.spool.receipts import (
    FailureReason,
    FinishedJob,
    reason_of,
    receipt,
    report,
    why_text,
    work_seconds,
)
from pipeline import instruction, recipe

ODD = "a\nb\udcff.png"
FULL = replace(
    RECIPE,
    prompt='让它变蓝: "now"\nand # here',
    preset="night",
    lora="fast",
    images=("logo.png",),
    mask="m.png",
    region=Region(1, 2, 3, 4),
    megapixels=1.75,
    size=ExactSize(640, 480),
    keep=Keep.MASK,
    format=Format.WEBP,
    quality=80,
    priority=9,
    min_keep_psnr=40.0,
    max_changed=0.25,
    min_confidence=MinConfidence.HIGH,
)


@pytest.fixture
def done(tmp_path: Path) -> FinishedJob:
    return finished(resolved_job(job(), scratch=tmp_path), b"picture")


def written(of: FinishedJob, index: int = 0) -> dict[str, Any]:
    text = receipt(of, of.variants[index], "cat.png", publish_seconds=0.125, now=11.0)
    document: dict[str, Any] = json.loads(text)
    return document


def test_a_receipt_has_exactly_the_promised_keys(done: FinishedJob) -> None:
    document = written(done)
    assert set(document) == {
        *("schema", "job_id", "status", "input", "output", "instruction", "recipe", "model"),
        *("seconds", "peak_vram_gib", "attempts", "fidelity", "host", "versions"),
    }
    assert document["schema"] == 1
    assert (
        set(document["input"]) == set(document["output"]) == {"name", "sha256", "width", "height"}
    )
    assert {"path", "class", "fingerprint", "dtype", "weights"} <= set(document["model"])


def judged(of: FinishedJob, *missed: str, first_seed: int | None = None) -> FinishedJob:
    """The same after the gate."""
    (one,) = of.variants
    return replace(of, variants=(replace(one, missed=missed, first_seed=first_seed),))


def test_what_was_measured_and_missed_stands_in_it(done: FinishedJob) -> None:
    document = written(judged(done, "it is too far off", first_seed=42))
    assert document["status"] == "review"
    measured = done.variants[0].composed.fidelity.as_json()
    judgement = {"missed": ["it is too far off"], "first_seed": 42}
    assert document["fidelity"] == {**measured, **judgement}


def test_what_passed_at_once_missed_nothing(done: FinishedJob) -> None:
    document = written(done)
    assert document["status"] == "done"
    assert document["fidelity"]["missed"] == []
    assert "first_seed" not in document["fidelity"]


def test_the_model_is_told_with_its_kernel_and_whether_its_blocks_were_compiled(
    done: FinishedJob, tmp_path: Path
) -> None:
    model = written(done)["model"]
    assert (model["attention"], model["compiled"]) == ("native", True)
    assert model["pack"] == "none"
    with_lora = finished(resolved_job(job(), FULL, scratch=tmp_path), b"picture")
    assert written(with_lora)["model"]["compiled"] is False


def test_the_area_asked_for_and_the_canvas_that_became_of_it_are_told(tmp_path: Path) -> None:
    plain = finished(resolved_job(job(), scratch=tmp_path), b"picture")
    placement = replace(plain.prepared.placement, canvas_width=1344, canvas_height=896)
    plain = replace(plain, prepared=replace(plain.prepared, placement=placement))
    assert written(plain)["model"]["canvas"] == {"width": 1344, "height": 896}
    assert written(plain)["recipe"]["megapixels"] is None
    asked = finished(resolved_job(job(), FULL, scratch=tmp_path), b"picture")
    assert written(asked)["recipe"]["megapixels"] == 1.75


def test_its_seconds_add_up_and_waiting_is_what_is_left(done: FinishedJob) -> None:
    seconds = written(done)["seconds"]
    assert list(seconds) == [
        *("queued", "prepare", "encode", "denoise", "decode", "compose", "publish", "total")
    ]
    assert seconds["total"] == 10.0  # arrived at 1.0, published at 11.0
    assert sum(seconds.values()) == pytest.approx(20.0)


def test_a_clock_that_was_set_back_gives_no_negative_seconds(done: FinishedJob) -> None:
    text = receipt(done, done.variants[0], "cat.png", publish_seconds=0.0, now=-1e6)
    seconds = json.loads(text)["seconds"]
    assert min(seconds.values()) == 0.0
    assert seconds["total"] == work_seconds(done) == 4.0


def test_each_variant_has_its_own_seed_and_is_one_job_to_repeat(tmp_path: Path) -> None:
    of = resolved_job(job(), replace(RECIPE, variants=3), scratch=tmp_path)
    three = finished(of, b"a", b"b", b"c")
    recipes = [written(three, index)["recipe"] for index in range(3)]
    assert [it["seed"] for it in recipes] == [42, 43, 44]
    assert {it["variants"] for it in recipes} == {1}


@pytest.mark.parametrize("of", [RECIPE, FULL], ids=["plain", "full"])
def test_the_recipe_of_a_receipt_is_a_sidecar_that_repeats_the_job(
    tmp_path: Path, of: recipe.Recipe
) -> None:
    first = finished(resolved_job(job(), of, scratch=tmp_path), b"picture")
    text = json.dumps(written(first)["recipe"], ensure_ascii=False).encode()
    again = recipe.resolve(
        instruction.parse(text, "cat.yaml"),
        folder_presets=[Keys(steps=50, max_changed=0.5, max_shift_px=2.0)],
        rules=recipe.RecipeRules(
            presets={"night": Keys(cfg=9.0)},
            loras={"fast": Lora(path=Path("/l"), steps=8, cfg=1.0)},
            limits=Limits(),
            defaults=recipe.Defaults(),
        ),
        drawn_seed=1,
    )
    assert again.recipe == of


def test_odd_names_are_valid_text_in_every_paper(tmp_path: Path) -> None:
    odd = job(ODD, folder="s\udcfe")
    of = finished(resolved_job(odd, scratch=tmp_path), b"picture")
    why = FailureReason(State.FAILED, f"{ODD} is odd", "Rename it.")
    for text in (
        receipt(of, of.variants[0], "b.png", publish_seconds=0.0, now=2.0),
        report(odd, why, "{}"),
        why_text(odd, why),
    ):
        text.encode()
    assert written(of)["input"]["name"] == "a\\nb%FF.png"
    assert json.loads(report(odd, why, "{}"))["folder"] == "s%FE"


def test_a_report_has_exactly_these_keys() -> None:
    why = FailureReason(State.QUARANTINED, "It broke.", "Mend it.", ("more",))
    document = json.loads(report(job(folder="sub"), why, '{"prompt": "蓝"}'))
    assert set(document) == {
        *("schema", "job_id", "status", "input", "files", "folder", "cause", "advice"),
        *("details", "instruction", "attempts", "host", "versions", "came_from"),
    }
    assert (document["schema"], document["status"]) == (1, "quarantined")
    assert document["instruction"] == {"prompt": "蓝"}
    assert document["files"] == ["cat.png", "cat.yaml"]


def test_a_why_opens_with_what_why_and_what_to_do() -> None:
    why = reason_of((Problem("cat.yaml, line 3", "'stepz' is no key", "write 'steps'"),))
    lines = why_text(job(folder="sub"), why).splitlines()
    assert lines[:5] == [
        "sub/cat.png was not edited.",
        "Cause: cat.yaml, line 3: 'stepz' is no key.",
        "What to do: Write 'steps'. Then move the files back into the inbox.",
        "",
        "Picture: sub/cat.png",
    ]


def test_several_problems_are_numbered_alike_in_causes_and_advice() -> None:
    why = reason_of(
        (Problem("a.yaml, line 1", "x", "do y"), Problem("a.yaml, line 2", "z", "do w"))
    )
    assert why.cause == "(1) a.yaml, line 1: x. (2) a.yaml, line 2: z."
    assert why.advice == "(1) Do y. (2) Do w. Then move the files back into the inbox."
    assert why.details == ()  # nothing is said twice


def test_the_same_advice_for_several_problems_is_given_once() -> None:
    why = reason_of(tuple(Problem(f"a.yaml, line {line}", "x", "quote it") for line in (1, 2, 7)))
    assert why.advice == "(1, 2, 3) Quote it. Then move the files back into the inbox."


def test_a_cause_of_several_lines_stays_in_its_line() -> None:
    why = FailureReason(State.FAILED, "CUDA error\n  at line 7", "Wait.\nTry again", ("", "words"))
    lines = why_text(job(), why).splitlines()
    assert lines[1] == "Cause: CUDA error   at line 7."
    assert lines[2] == "What to do: Wait. Try again."
    assert lines[-1] == "words"
