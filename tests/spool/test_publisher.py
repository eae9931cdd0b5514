import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from dying import ends_within
from sample import RECIPE, finished, job, resolved_job

from daemon.fs.local import sha256_of
from daemon.fs.safe_tree import SafeTree
from daemon.spool.publisher import Publisher
from daemon.spool.receipts import FinishedJob
from pipeline.pixel_requests import Preview

JOB = job(folder="s")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("hot/outbox/s", "hot/.hotfolder", "scratch", "other"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "hot"


def publication(root: Path, job_id: str = JOB.job_id) -> Publisher:
    return Publisher(SafeTree(root), root / "work" / job_id)


def results(root: Path, *contents: bytes, job_id: str = JOB.job_id) -> FinishedJob:
    """The finished results of a job, with as many variants as contents."""
    of = resolved_job(replace(JOB, job_id=job_id), scratch=root.parent / "scratch")
    return finished(replace(of, recipe=replace(RECIPE, variants=len(contents))), *contents)


def with_previews(of: FinishedJob) -> FinishedJob:
    """The same with a preview of each result on scratch."""
    variants = []
    for one in of.variants:
        path = one.composed.path.with_suffix(".preview.jpg")
        path.write_bytes(b"before and " + one.composed.path.read_bytes())
        preview = Preview(path=path, sha256=sha256_of(path))
        variants.append(replace(one, composed=replace(one.composed, preview=preview)))
    return replace(of, variants=tuple(variants))


def without_previews(of: FinishedJob) -> FinishedJob:
    """The same."""
    return of


Dressed = Callable[[FinishedJob], FinishedJob]


def publish(root: Path, of: FinishedJob, *earlier: str) -> tuple[str, ...]:
    now = (float(number) for number in count())
    return publication(root, of.resolved_job.job.job_id).publish(of, now, earlier)


def receipt_of(root: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / f"{name}.json").read_text())
    return document


def outbox(root: Path) -> dict[str, bytes]:
    """The results there; each has a receipt that fits, and nothing else is there."""
    paths = {path.name: path for path in (root / "outbox" / "s").iterdir()}
    pictures = {name: path for name, path in paths.items() if f"{name}.json" in paths}
    receipts = {name: receipt_of(root, f"outbox/s/{name}") for name in pictures}
    previews = [receipt["preview"] for receipt in receipts.values() if "preview" in receipt]
    own = {f"{name}.json" for name in pictures} | {preview["name"] for preview in previews}
    assert set(paths) == set(pictures) | own
    for preview in previews:
        assert sha256_of(paths[preview["name"]]) == preview["sha256"]
    for name, path in pictures.items():
        receipt = receipts[name]
        assert receipt["output"] == {
            **receipt["output"],
            "name": name,
            "sha256": sha256_of(path),
        }
    return {name: path.read_bytes() for name, path in pictures.items()}


class TestNames:
    """A result gets the first free name."""

    def test_it_has_the_name_of_the_original(self, root: Path) -> None:
        assert publish(root, results(root, b"blue")) == ("outbox/s/cat.png",)
        assert outbox(root) == {"cat.png": b"blue"}

    def test_the_next_of_the_name_is_numbered(self, root: Path) -> None:
        for number, name in enumerate(("cat.png", "cat_2.png", "cat_3.png")):
            of = results(root, b"blue", job_id=f"job-{number}")
            assert publish(root, of) == (f"outbox/s/{name}",)
        assert len(outbox(root)) == 3

    @pytest.mark.parametrize("taken", ["cat.png", "cat.png.json"])
    def test_a_name_whose_picture_or_receipt_is_there_is_taken(
        self, root: Path, taken: str
    ) -> None:
        (root / "outbox" / "s" / taken).symlink_to("nowhere")
        assert publish(root, results(root, b"blue")) == ("outbox/s/cat_2.png",)
        assert (root / "outbox" / "s" / taken).is_symlink()

    def test_variants_are_told_apart_by_their_seeds(self, root: Path) -> None:
        names = publish(root, results(root, b"a", b"b", b"c"))
        assert names == tuple(f"outbox/s/cat_s{seed}.png" for seed in (42, 43, 44))
        seeds = [receipt_of(root, name)["recipe"]["seed"] for name in names]
        assert seeds == [42, 43, 44]

    def test_another_format_has_its_extension(self, root: Path) -> None:
        of = results(root, b"blue")
        path = of.variants[0].composed.path.rename(root.parent / "scratch" / "result-0.webp")
        composed = replace(of.variants[0].composed, path=path, format_changed=True)
        of = replace(of, variants=(replace(of.variants[0], composed=composed),))
        assert publish(root, of) == ("outbox/s/cat.webp",)


class TestCompleteness:
    """A receipt is there if and only if its result is complete."""

    def test_a_receipt_is_written_last(self, root: Path) -> None:
        there: list[set[str]] = []

        def clock() -> Iterator[float]:
            for second in count():
                there.append({path.name for path in (root / "outbox" / "s").iterdir()})
                yield float(second)

        publication(root).publish(results(root, b"blue"), clock(), ())
        assert there == [set(), {"cat.png"}]

    def test_publishing_again_changes_nothing(self, root: Path) -> None:
        of = results(root, b"a", b"b")
        first = publish(root, of)
        before = outbox(root)
        assert publish(root, of) == first
        assert outbox(root) == before

    def test_a_job_is_complete_when_all_its_variants_are(self, root: Path) -> None:
        of = results(root, b"a", b"b")
        assert not publication(root).is_complete(JOB)
        with pytest.raises(StopIteration):
            publication(root).publish(of, iter([1.0, 2.0]), ())
        assert not publication(root).is_complete(JOB)
        publish(root, of)
        assert publication(root).is_complete(JOB)
        assert set(outbox(root)) == {"cat_s42.png", "cat_s43.png"}

    def test_results_that_somebody_took_away_are_not_published_again(self, root: Path) -> None:
        of = results(root, b"a", b"b")

        def collected() -> Iterator[float]:
            for second in count():
                for path in (root / "outbox" / "s").glob("*.json"):
                    path.with_suffix("").rename(root.parent / "other" / path.stem)
                    path.rename(root.parent / "other" / path.name)
                yield float(second)

        names = publication(root).publish(of, collected(), ())
        assert names == ("outbox/s/cat_s42.png", "outbox/s/cat_s43.png")
        assert publication(root).is_complete(JOB)
        assert publish(root, of) == names
        assert set(outbox(root)) == {"cat_s43.png"}  # the last was not taken

    def test_somebody_elses_file_is_never_cleared(self, root: Path) -> None:
        with pytest.raises(StopIteration):
            publication(root).publish(results(root, b"blue"), iter([1.0]), ())
        (root / "outbox" / "s" / "cat.png").write_bytes(b"theirs")
        publication(root).clear_half_done(JOB)
        assert (root / "outbox" / "s" / "cat.png").read_bytes() == b"theirs"

    def test_notes_that_became_a_link_are_replaced(self, root: Path) -> None:
        record = root / "work" / JOB.job_id / "published.json"
        record.parent.mkdir(parents=True)
        record.symlink_to(root.parent / "other" / "notes")
        assert publish(root, results(root, b"blue")) == ("outbox/s/cat.png",)
        assert publication(root).is_complete(JOB)
        assert not list((root.parent / "other").iterdir())

    def test_broken_notes_are_no_notes(self, root: Path) -> None:
        (root / "work" / JOB.job_id).mkdir(parents=True)
        for notes in (b"", b"{", b"[]", b"null"):
            (root / "work" / JOB.job_id / "published.json").write_bytes(notes)
            assert not publication(root).is_complete(JOB)
            publication(root).clear_half_done(JOB)

    @pytest.mark.parametrize(
        "change", [{"name": 7}, {"name": ["outbox/s/cat.png"]}, {"name": None}, {"sha256": 7}]
    )
    def test_notes_of_which_a_field_is_no_text_are_no_notes(
        self, root: Path, change: dict[str, object]
    ) -> None:
        (root / "work" / JOB.job_id).mkdir(parents=True)
        note = {"name": "outbox/s/cat.png", "sha256": "x", "is_out": True, **change}
        sound = {"name": "outbox/s/dog.png", "sha256": "x", "is_out": True}
        forged = {"variants": 2, "results": {"0": note, "1": sound}}
        (root / "work" / JOB.job_id / "published.json").write_text(json.dumps(forged))
        assert not publication(root).is_complete(JOB)
        assert publication(root).results(JOB) == ()
        publication(root).clear_half_done(JOB)

    @pytest.mark.parametrize("index", ["9" * 5000, "9" * 10, "-1", "one", "\u0661", ""])
    def test_notes_on_a_variant_that_cannot_be_are_no_notes(self, root: Path, index: str) -> None:
        (root / "work" / JOB.job_id).mkdir(parents=True)
        note = {"name": "outbox/s/cat.png", "sha256": "x", "is_out": True}
        forged = {"variants": 1, "results": {"0": note, index: note}}
        (root / "work" / JOB.job_id / "published.json").write_text(json.dumps(forged))
        assert not publication(root).is_complete(JOB)
        publication(root).clear_half_done(JOB)


class TestReplacing:
    """A result is done again in its place, unless somebody has changed it."""

    EARLIER = "outbox/s/cat.png"

    def test_an_untouched_result_is_replaced(self, root: Path) -> None:
        publish(root, results(root, b"old", job_id="old"))
        assert publish(root, results(root, b"new"), self.EARLIER) == (self.EARLIER,)
        assert outbox(root) == {"cat.png": b"new"}
        assert receipt_of(root, self.EARLIER)["job_id"] == JOB.job_id

    def test_a_changed_one_stays(self, root: Path) -> None:
        publish(root, results(root, b"old", job_id="old"))
        (root / self.EARLIER).write_bytes(b"retouched")
        assert publish(root, results(root, b"new"), self.EARLIER) == ("outbox/s/cat_2.png",)
        assert (root / self.EARLIER).read_bytes() == b"retouched"

    def test_one_that_became_a_link_stays(self, root: Path) -> None:
        publish(root, results(root, b"old", job_id="old"))
        moved = (root / self.EARLIER).rename(root.parent / "other" / "cat.png")
        (root / self.EARLIER).symlink_to(moved)
        assert publish(root, results(root, b"new"), self.EARLIER) == ("outbox/s/cat_2.png",)
        assert moved.read_bytes() == b"old"

    @pytest.mark.parametrize(
        "receipt", ["{}", '{"job_id": "old"}', "[]", "junk", '{"job_id": 1, "recipe": 2}']
    )
    def test_one_with_a_receipt_that_is_not_ours_stays(self, root: Path, receipt: str) -> None:
        (root / self.EARLIER).write_bytes(b"old")
        (root / f"{self.EARLIER}.json").write_text(receipt)
        of = results(root, b"a", b"b")
        publish(root, of, self.EARLIER)
        assert (root / self.EARLIER).read_bytes() == b"old"

    def test_variants_replace_those_of_their_seed(self, root: Path) -> None:
        earlier = publish(root, results(root, b"a", b"b", job_id="old"))
        assert publish(root, results(root, b"c", b"d"), *reversed(earlier)) == earlier
        assert outbox(root) == {"cat_s42.png": b"c", "cat_s43.png": b"d"}


def held(of: FinishedJob, *indices: int) -> FinishedJob:
    """The same with some results that did not pass."""
    missed = ("it is too far off",)
    variants = (replace(it, missed=missed) if it.index in indices else it for it in of.variants)
    return replace(of, variants=tuple(variants))


class TestReview:
    """What did not pass lies apart, whole, and takes the place of nothing."""

    def test_it_is_laid_out_as_in_the_outbox(self, root: Path) -> None:
        names = publish(root, with_previews(held(results(root, b"a", b"b"), 1)))
        assert names == ("outbox/s/cat_s42.png", "review/s/cat_s43.png")
        assert receipt_of(root, names[0])["status"] == "done"
        assert receipt_of(root, names[1])["status"] == "review"
        assert (root / "review/s/cat_s43.png.preview.jpg").exists()
        assert set(outbox(root)) == {"cat_s42.png"}

    def test_it_replaces_no_earlier_result(self, root: Path) -> None:
        (earlier,) = publish(root, results(root, b"old", job_id="old"))
        assert publish(root, held(results(root, b"new"), 0), earlier) == ("review/s/cat.png",)
        assert outbox(root) == {"cat.png": b"old"}

    def test_whenever_the_daemon_dies_it_is_there_once(self, root: Path) -> None:
        steps, ended = 0, False
        while not ended:
            of = with_previews(held(results(root, b"a", b"b"), 0))
            ended = ends_within(steps, root, partial(publish, root, of))
            recover(root, of)
            assert outbox(root) == {"cat_s43.png": b"b"}
            apart = sorted(path.name for path in (root / "review/s").iterdir())
            assert apart == [f"cat_s42.png{it}" for it in ("", ".json", ".preview.jpg")]
            sweep(root)
            steps += 1
        assert steps > 16


class TestPreviews:
    """A preview lies beside its result, and is nobody's but ours."""

    PREVIEW = "outbox/s/cat.png.preview.jpg"

    def test_it_is_there_before_the_receipt_that_names_it(self, root: Path) -> None:
        there: list[set[str]] = []

        def clock() -> Iterator[float]:
            for second in count():
                there.append({path.name for path in (root / "outbox" / "s").iterdir()})
                yield float(second)

        publication(root).publish(with_previews(results(root, b"blue")), clock(), ())
        assert there == [set(), {"cat.png", "cat.png.preview.jpg"}]
        assert outbox(root) == {"cat.png": b"blue"}
        assert receipt_of(root, "outbox/s/cat.png")["preview"]["name"] == "cat.png.preview.jpg"

    def test_a_name_whose_preview_is_somebody_elses_is_taken(self, root: Path) -> None:
        (root / self.PREVIEW).symlink_to("nowhere")
        of = with_previews(results(root, b"blue"))
        assert publish(root, of) == ("outbox/s/cat_2.png",)
        assert (root / self.PREVIEW).is_symlink()

    def test_it_is_replaced_with_its_result(self, root: Path) -> None:
        (earlier,) = publish(root, with_previews(results(root, b"old", job_id="old")))
        publish(root, with_previews(results(root, b"new")), earlier)
        assert (root / self.PREVIEW).read_bytes() == b"before and new"
        assert outbox(root) == {"cat.png": b"new"}

    def test_one_of_an_earlier_result_goes_with_it(self, root: Path) -> None:
        (earlier,) = publish(root, with_previews(results(root, b"old", job_id="old")))
        publish(root, results(root, b"new"), earlier)
        assert outbox(root) == {"cat.png": b"new"}

    @pytest.mark.parametrize("dressed", [without_previews, with_previews])
    def test_one_that_somebody_changed_stays(self, root: Path, dressed: Dressed) -> None:
        (earlier,) = publish(root, with_previews(results(root, b"old", job_id="old")))
        (root / self.PREVIEW).write_bytes(b"theirs")
        publish(root, dressed(results(root, b"new")), earlier)
        assert (root / self.PREVIEW).read_bytes() == b"theirs"

    def test_where_its_name_would_be_too_long_there_is_none(self, root: Path) -> None:
        long = replace(
            results(root, b"blue").resolved_job.job, files=job(f"{'n' * 241}.png").files
        )
        of = with_previews(finished(resolved_job(long, scratch=root.parent / "scratch"), b"blue"))
        (name,) = publish(root, of)
        assert set(outbox(root)) == {f"{'n' * 241}.png"}
        assert "preview" not in receipt_of(root, name)


def recover(root: Path, of: FinishedJob, *earlier: str) -> None:
    """What the next daemon does with a job that an earlier one left: finish it."""
    left = publication(root)
    if not left.is_complete(JOB):
        left.clear_half_done(JOB)
        outbox(root)  # no result without receipt even now
        publish(root, of, *earlier)


class TestDying:
    """The daemon may die between any two steps."""

    @pytest.mark.parametrize(
        ("contents", "dressed"),
        [
            ((b"a",), without_previews),
            ((b"a",), with_previews),
            ((b"a", b"b", b"c"), without_previews),
        ],
    )
    def test_each_result_is_published_once(
        self, root: Path, contents: tuple[bytes, ...], dressed: Dressed
    ) -> None:
        steps, ended = 0, False
        while not ended:
            of = dressed(results(root, *contents))
            ended = ends_within(steps, root, partial(publish, root, of))
            recover(root, of)
            assert sorted(outbox(root).values()) == sorted(contents)
            sweep(root)
            steps += 1
        assert steps > 8 * len(contents)

    @pytest.mark.parametrize("new", [b"new", b"old"], ids=["another", "the same"])
    @pytest.mark.parametrize("dressed", [without_previews, with_previews])
    def test_a_result_is_replaced_once(self, root: Path, new: bytes, dressed: Dressed) -> None:
        steps, ended = 0, False
        while not ended:
            (earlier,) = publish(root, dressed(results(root, b"old", job_id="old")))
            of = dressed(results(root, new))
            ended = ends_within(steps, root, partial(publish, root, of, earlier))
            recover(root, of, earlier)
            assert outbox(root) == {"cat.png": new}
            sweep(root)
            steps += 1
        assert steps > 8

    def test_results_that_an_interrupted_job_has_out_are_not_edited_again(
        self, root: Path
    ) -> None:
        with pytest.raises(StopIteration):
            publication(root).publish(results(root, b"a", b"b"), iter([1.0, 2.0, 3.0]), ())
        recover(root, results(root, b"another a", b"b"))
        assert outbox(root) == {"cat_s42.png": b"a", "cat_s43.png": b"b"}


def sweep(root: Path) -> None:
    """Begin anew."""
    for path in [*root.rglob("*.png"), *root.rglob("*.jpg"), *root.rglob("*.json")]:
        path.unlink()
