from dataclasses import replace
from pathlib import Path

import pytest
from sample import FACTS, RECIPE, finished, job, resolved_job

from config.instruction_keys import LARGEST_SEED
from daemon.jobs.job_run import Composing, JobRun, Waiting, another_seed, edit_requests, prepare
from daemon.spool.receipts import FinishedJob

MISSED = ("it was shifted by 9.0 pixels, max_shift_px is 3",)


@pytest.fixture
def three(tmp_path: Path) -> FinishedJob:
    """A job with three variants, of which the second fell short."""
    recipe = replace(RECIPE, variants=3)
    done = finished(resolved_job(job(), recipe, tmp_path), b"a", b"b", b"c")
    first, second, third = done.variants
    return replace(done, variants=(first, replace(second, missed=MISSED), third))


def composing(of: FinishedJob) -> JobRun:
    return JobRun(
        root="/hot",
        resolved_job=of.resolved_job,
        phase=Composing(),
        prepared=(of.prepared, 0.5),
        edits=tuple((it.index, it.edit) for it in of.variants),
        variants=of.variants,
    )


def test_only_what_fell_short_is_edited_again(three: FinishedJob) -> None:
    before = composing(three)
    assert before.unedited == ()
    again = before.edited_again()
    assert again.phase == Waiting()
    assert again.unedited == (1,)
    assert [it.index for it in again.variants] == [0, 2]
    (request,) = edit_requests(again)
    assert request.request_id.endswith(".1")
    assert request.seed == 42 + 3 + 1


def test_its_next_result_has_the_new_seed_and_names_the_first(three: FinishedJob) -> None:
    again = composing(three).edited_again()
    edit = three.variants[1].edit
    edited = replace(again, edits=(*again.edits, (1, edit)))
    whole = edited.with_variant(1, three.variants[1].composed, 1.0, ())
    assert whole.is_complete
    assert [it.seed for it in whole.variants] == [42, 46, 44]
    assert [it.first_seed for it in whole.variants] == [None, 43, None]
    assert whole.to_edit_again == ()


def test_there_is_no_third_chance(three: FinishedJob) -> None:
    again = composing(three).edited_again()
    edited = replace(again, edits=(*again.edits, (1, three.variants[1].edit)))
    whole = edited.with_variant(1, three.variants[1].composed, 1.0, MISSED)
    assert whole.variants[1].missed == MISSED
    assert whole.to_edit_again == ()


@pytest.mark.parametrize("seed", [0, 42, LARGEST_SEED - 7])
def test_another_seed_is_none_that_a_variant_has(seed: int) -> None:
    recipe = replace(RECIPE, seed=seed, variants=8)
    others = {another_seed(recipe, index) for index in range(8)}
    assert len(others) == 8
    assert not others & set(range(seed, seed + 8))
    assert max(others) <= LARGEST_SEED


def test_pictures_are_called_by_their_paths_in_the_inbox(tmp_path: Path) -> None:
    named = replace(RECIPE, images=("logo.png",), mask="m.png")
    of = replace(
        resolved_job(job(folder="album"), named, tmp_path),
        companions={"logo.png": tmp_path / "original-2", "m.png": tmp_path / "original-3"},
    )
    asked = prepare(of, FACTS, 70.0)
    assert asked.name == "album/cat.png"
    assert asked.references == (("album/logo.png", tmp_path / "original-2"),)
    assert asked.mask == ("album/m.png", tmp_path / "original-3")
