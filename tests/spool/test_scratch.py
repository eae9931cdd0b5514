from dataclasses import replace
from pathlib import Path

import pytest
from sample import RECIPE, finished, job, resolved_job

from config.values import ExactSize, MinConfidence, Region
from daemon.fs.local import sha256_of
from daemon.spool.receipts import FinishedJob
from daemon.spool.scratch import load_finished, save_finished
from pipeline.pixel_requests import Preview

JOB = job("Grün \udce9.png", folder="a/b")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def of(scratch: Path) -> FinishedJob:
    """A finished job with two results, on the shelf."""
    recipe = replace(
        RECIPE, variants=2, lora="night", size=ExactSize(640, 480), region=Region(1, 2, 3, 4)
    )
    recipe = replace(recipe, min_keep_psnr=38.5, min_confidence=MinConfidence.HIGH)
    one = replace(
        resolved_job(JOB, recipe, scratch), companions={"logo.png": scratch / "original-2"}
    )
    both = finished(one, b"first", b"second")
    save_finished(both)
    return both


def test_what_was_put_is_found_as_it_was(of: FinishedJob, scratch: Path) -> None:
    assert load_finished(JOB, scratch) == of


@pytest.mark.parametrize(
    "change",
    [{"attempts": 2}, {"job_id": "20261122-120000-bbbbbbbb"}, {"strikes": 1}],
    ids=lambda change: next(iter(change)),
)
def test_a_record_of_another_attempt_counts_for_nothing(
    of: FinishedJob, scratch: Path, change: dict[str, object]
) -> None:
    assert load_finished(replace(of.resolved_job.job, **change), scratch) is None  # type: ignore[arg-type]


def test_a_record_of_other_originals_counts_for_nothing(of: FinishedJob, scratch: Path) -> None:
    first, *others = of.resolved_job.job.files
    changed = replace(of.resolved_job.job, files=(replace(first, sha256="bb"), *others))
    assert load_finished(changed, scratch) is None


def test_a_result_that_is_not_whole_counts_for_nothing(of: FinishedJob, scratch: Path) -> None:
    of.variants[1].composed.path.write_bytes(b"seco")
    assert load_finished(JOB, scratch) is None


@pytest.mark.parametrize("content", [b"thi", None], ids=["damaged", "gone"])
def test_a_preview_that_is_not_whole_counts_for_nothing(
    of: FinishedJob, scratch: Path, content: bytes | None
) -> None:
    path = scratch / "preview"
    path.write_bytes(b"this is how it looks")
    preview = Preview(path=path, sha256=sha256_of(path))
    first, second = of.variants
    seen = replace(second, composed=replace(second.composed, preview=preview))
    both = replace(of, variants=(first, seen))
    save_finished(both)
    assert load_finished(JOB, scratch) == both
    path.unlink() if content is None else path.write_bytes(content)
    assert load_finished(JOB, scratch) is None


def test_a_result_that_is_gone_counts_for_nothing(of: FinishedJob, scratch: Path) -> None:
    of.variants[0].composed.path.unlink()
    assert load_finished(JOB, scratch) is None


def test_a_link_in_the_place_of_a_result_is_not_followed(of: FinishedJob, scratch: Path) -> None:
    path = of.variants[0].composed.path
    path.rename(scratch / "elsewhere")
    path.symlink_to(scratch / "elsewhere")
    assert load_finished(JOB, scratch) is None


def test_a_record_that_names_files_elsewhere_counts_for_nothing(
    of: FinishedJob, scratch: Path
) -> None:
    moved = scratch / "moved"
    moved.mkdir()
    for path in list(scratch.iterdir()):
        if path.is_file():
            path.rename(moved / path.name)
    assert load_finished(JOB, moved) is None


@pytest.mark.usefixtures("of")
@pytest.mark.parametrize("keep", range(0, 3000, 97))
def test_a_record_cut_off_anywhere_counts_for_nothing(scratch: Path, keep: int) -> None:
    record = scratch / "finished.json"
    record.write_bytes(record.read_bytes()[:keep])
    assert load_finished(JOB, scratch) is None


@pytest.mark.usefixtures("of")
def test_a_record_of_another_version_counts_for_nothing(scratch: Path) -> None:
    record = scratch / "finished.json"
    record.write_text(record.read_text().replace('"steps"', '"paces"'))
    assert load_finished(JOB, scratch) is None


def test_nothing_is_found_in_an_emptied_cache(scratch: Path) -> None:
    assert load_finished(JOB, scratch / "missing") is None


def test_a_full_scratch_is_raised(of: FinishedJob, scratch: Path) -> None:
    gone = replace(of, resolved_job=replace(of.resolved_job, scratch=scratch / "missing"))
    with pytest.raises(FileNotFoundError):
        save_finished(gone)
