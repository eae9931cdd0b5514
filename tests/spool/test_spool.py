import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from dying import ends_within
from sample import TICKET, candidate, seen

from config.problems import UserError
from daemon.fs.hot_folder import folder_id, make_hot_folder
from daemon.job import Candidate, Job, Role, State
from daemon.lease.leader import NotLeader
from daemon.spool.receipts import FailureReason
from daemon.spool.records import UNKNOWN, RecoveredJob
from daemon.spool.spool import ChangedMeanwhile, Spool

DAY = "2026-11-22"
WHY = FailureReason(State.FAILED, "It is broken.", "Mend it.")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    make_hot_folder(tmp_path, "the-id")
    return Spool(tmp_path)


def files_in(folder: Path) -> dict[str, str]:
    """The content of every file below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def drop(spool: Spool, *names: str) -> None:
    for name in names:
        path = spool.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}", errors="surrogateescape")


def look(spool: Spool, image: str, *companions: str) -> Candidate:
    """A look at a picture with a sidecar of its stem."""
    sidecar = seen(f"{image.rpartition('.')[0]}.yaml", spool.inbox)
    others = [seen(name, spool.inbox) for name in companions]
    return candidate(seen(image, spool.inbox), *others, sidecar=sidecar)


def claimed(spool: Spool, *kept: str, begun: bool = True) -> Job:
    """A claimed job of cat.png, cat.yaml and logo.png in the subfolder s."""
    drop(spool, "s/cat.png", "s/cat.yaml", "s/logo.png")
    job = spool.claim(look(spool, "s/cat.png", "s/logo.png"), frozenset(kept), TICKET)
    return spool.begin_attempt(job) if begun else job


def recovered(spool: Spool) -> list[RecoveredJob]:
    return list(spool.recover())


def remove(path: Path) -> None:
    path.unlink()


def lengthen(path: Path) -> None:
    path.write_text("another content, and longer")


def rewrite(path: Path) -> None:
    path.write_text(path.read_text().upper())


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES = [remove, lengthen, rewrite, replace_by_link, replace_by_folder, replace_by_fifo]


class TestClaiming:
    """The files of a job leave the inbox together or not at all."""

    def test_image_sidecar_and_companions_are_moved(self, spool: Spool) -> None:
        job = claimed(spool)
        assert files_in(spool.inbox) == {}
        assert {path.name for path in spool.work(job.job_id).iterdir()} == {
            *("cat.png", "cat.yaml", "logo.png", "job.json", "published.json")
        }
        assert [file.role for file in job.files] == [Role.IMAGE, Role.SIDECAR, Role.COMPANION]
        assert (job.folder, job.path) == ("s", "s/cat.png")

    def test_what_others_need_is_copied(self, spool: Spool) -> None:
        job = claimed(spool, "s/logo.png", "s/cat.yaml")
        assert set(files_in(spool.inbox)) == {"s/logo.png", "s/cat.yaml"}
        assert [file.moved for file in job.files] == [True, False, False]
        assert (spool.work(job.job_id) / "logo.png").read_text() == "content of s/logo.png"

    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
    @pytest.mark.parametrize("name", ["cat.png", "cat.yaml", "logo.png"])
    @pytest.mark.parametrize("kept", [(), ("logo.png", "cat.yaml")], ids=["moved", "copied"])
    def test_a_change_since_the_look_puts_everything_back(
        self, spool: Spool, change: Callable[[Path], object], name: str, kept: tuple[str, ...]
    ) -> None:
        drop(spool, "cat.png", "cat.yaml", "logo.png")
        looked = look(spool, "cat.png", "logo.png")
        change(spool.inbox / name)
        before = {path.name: path.lstat().st_ino for path in spool.inbox.iterdir()}
        with pytest.raises(ChangedMeanwhile):
            spool.claim(looked, frozenset(kept), TICKET)
        assert {path.name: path.lstat().st_ino for path in spool.inbox.iterdir()} == before
        assert list((spool.root / ".hotfolder" / "work").iterdir()) == []

    def test_a_file_replaced_by_one_of_its_size_and_time_is_another(self, spool: Spool) -> None:
        drop(spool, "cat.png", "cat.yaml")
        looked = look(spool, "cat.png")
        (spool.inbox / "cat.png").write_text("CONTENT OF CAT.PNG")
        os.utime(spool.inbox / "cat.png", ns=(0, looked.image.mtime_ns))
        with pytest.raises(ChangedMeanwhile):
            spool.claim(looked, frozenset(), TICKET)

    def test_a_subfolder_that_became_a_file_is_a_change(self, spool: Spool) -> None:
        drop(spool, "s/cat.png", "s/cat.yaml")
        looked = look(spool, "s/cat.png")
        (spool.inbox / "s").rename(spool.root / "elsewhere")
        drop(spool, "s")
        with pytest.raises((ChangedMeanwhile, NotADirectoryError, FileExistsError)):
            spool.claim(looked, frozenset(), TICKET)
        assert files_in(spool.inbox) == {"s": "content of s"}

    def test_no_file_moves_before_the_paper_is_on_disk(self, spool: Spool) -> None:
        drop(spool, "cat.png", "cat.yaml")
        (spool.work(TICKET.job_id) / "job.json").mkdir(
            parents=True
        )  # so that it cannot be written
        with pytest.raises(IsADirectoryError):
            spool.claim(look(spool, "cat.png"), frozenset(), TICKET)
        assert set(files_in(spool.inbox)) == {"cat.png", "cat.yaml"}

    def test_attempts_and_strikes_are_on_disk_before_they_matter(self, spool: Spool) -> None:
        job = claimed(spool, begun=False)
        assert [left.is_begun for left in recovered(spool)] == [False]
        job = spool.begin_attempt(job)
        assert [(left.job, left.is_begun) for left in recovered(spool)] == [(job, True)]
        job = spool.count_end(job, strike=True, alone=True)
        assert [(left.job, left.is_begun) for left in recovered(spool)] == [(job, True)]
        assert (job.attempts, job.strikes, job.alone) == (1, 1, True)

    def test_scratch_gets_copies_whose_hashes_the_job_knows(self, spool: Spool) -> None:
        job = claimed(spool, begun=False)
        scratch = spool.root / "scratch"
        spool.copy_to_scratch(job, scratch)
        hashed = spool.copy_to_scratch(job, scratch)  # a second attempt begins anew
        assert files_in(scratch)["original-0"] == "content of s/cat.png"
        assert len({file.sha256 for file in hashed.files}) == 3

    def test_what_grows_after_its_claim_is_not_copied(self, spool: Spool) -> None:
        job = claimed(spool, begun=False)
        with (spool.work(job.job_id) / "cat.yaml").open("a") as file:
            file.write(", and the rest of it")
        with pytest.raises(ChangedMeanwhile):
            spool.copy_to_scratch(job, spool.root / "scratch")


class TestGivingBack:
    """Originals return to where they came from, and nothing there is overwritten."""

    def test_they_return_under_their_names(self, spool: Spool) -> None:
        job = claimed(spool)
        spool.release(job)
        assert files_in(spool.inbox) == {
            f"s/{name}": f"content of s/{name}" for name in ("cat.png", "cat.yaml", "logo.png")
        }
        assert recovered(spool) == []
        assert not spool.work(job.job_id).exists()

    def test_where_one_name_is_taken_image_and_sidecar_get_one_number(self, spool: Spool) -> None:
        job = claimed(spool)
        drop(spool, "s/cat.yaml", "s/cat_2.png")
        (spool.inbox / "s/logo.png").write_text("another logo")
        spool.release(job)
        assert files_in(spool.inbox)["s/cat_3.png"] == "content of s/cat.png"
        assert files_in(spool.inbox)["s/cat_3.yaml"] == "content of s/cat.yaml"
        assert files_in(spool.inbox)["s/logo_2.png"] == "content of s/logo.png"

    def test_a_companion_keeps_its_name_because_the_sidecar_says_it(self, spool: Spool) -> None:
        job = claimed(spool)
        drop(spool, "s/cat.png")
        spool.release(job)
        assert {"s/cat_2.png", "s/cat_2.yaml", "s/logo.png"} < set(files_in(spool.inbox))

    def test_copies_are_dropped(self, spool: Spool) -> None:
        job = claimed(spool, "s/logo.png")
        spool.release(job)
        assert set(files_in(spool.inbox)) == {"s/cat.png", "s/cat.yaml", "s/logo.png"}

    def test_a_copy_stands_in_for_an_original_that_left_with_another_job(
        self, spool: Spool
    ) -> None:
        job = claimed(spool, "s/logo.png")
        (spool.inbox / "s/logo.png").unlink()
        spool.release(job)
        assert files_in(spool.inbox)["s/logo.png"] == "content of s/logo.png"

    def test_a_copy_that_may_be_half_is_dropped_all_the_same(self, spool: Spool) -> None:
        job = claimed(spool, "s/logo.png", begun=False)
        (spool.inbox / "s/logo.png").unlink()
        spool.release(job)
        assert set(files_in(spool.inbox)) == {"s/cat.png", "s/cat.yaml"}

    def test_a_reference_that_is_back_already_is_not_there_twice(self, spool: Spool) -> None:
        job = claimed(spool)
        drop(spool, "s/logo.png")
        assert spool.release(job) == ("s/cat.png", "s/cat.yaml")
        assert set(files_in(spool.inbox)) == {"s/cat.png", "s/cat.yaml", "s/logo.png"}

    def test_a_link_that_leads_nowhere_is_a_name_taken(self, spool: Spool) -> None:
        job = claimed(spool)
        (spool.inbox / "s" / "cat.png").symlink_to("nowhere")
        spool.release(job)
        assert {"s/cat_2.png", "s/cat_2.yaml"} < set(files_in(spool.inbox))

    def test_what_is_left_of_a_job_is_given_back(self, spool: Spool) -> None:
        job = claimed(spool)
        (spool.work(job.job_id) / "cat.png").unlink()
        spool.release(job)
        assert set(files_in(spool.inbox)) == {"s/cat.yaml", "s/logo.png"}

    def test_its_folder_is_made_again(self, spool: Spool) -> None:
        job = claimed(spool)
        (spool.inbox / "s").rmdir()
        spool.release(job)
        assert "s/cat.png" in files_in(spool.inbox)


class TestFiling:
    """Originals end in done/ or failed/, and nothing there is overwritten."""

    def test_done_mirrors_the_subfolder(self, spool: Spool) -> None:
        assert spool.file_done(claimed(spool, "s/logo.png"), DAY) == f"done/{DAY}/s"
        assert set(files_in(spool.root / "done" / DAY)) == {"s/cat.png", "s/cat.yaml"}
        assert set(files_in(spool.inbox)) == {"s/logo.png"}

    def test_the_second_of_a_name_is_numbered(self, spool: Spool) -> None:
        for _ in range(2):
            spool.file_done(claimed(spool), DAY)
        assert {"s/cat.png", "s/cat_2.png"} < set(files_in(spool.root / "done" / DAY))

    def test_filing_twice_is_filing_once(self, spool: Spool) -> None:
        job = claimed(spool)
        for _ in range(2):
            spool.file_done(job, DAY)
        assert len(files_in(spool.root / "done")) == 3

    def test_failed_holds_originals_and_papers(self, spool: Spool) -> None:
        where = spool.file_failed(claimed(spool), DAY, WHY, '{"prompt": "x"}')
        assert where == f"failed/{DAY}/cat"
        filed = files_in(spool.root / where)
        assert set(filed) == {"cat.png", "cat.yaml", "logo.png", "WHY.txt", "report.json"}
        assert filed["WHY.txt"].startswith("s/cat.png was not edited.\nCause: It is broken.")
        assert json.loads(filed["report.json"])["status"] == "failed"
        assert recovered(spool) == []

    def test_what_has_failed_has_failed_for_that_reason_on_that_day(self, spool: Spool) -> None:
        job, other = claimed(spool), FailureReason(State.FAILED, "It is another matter.", "Wait.")
        steps = 0
        while (failing := recovered(spool)[0].failing) is None:
            ends_within(steps, spool.root, partial(file_failed, spool, job, DAY))
            steps += 1
        assert (failing.day, failing.why) == (DAY, WHY)
        where = spool.file_failed(job, "2026-11-23", other, "{}")
        assert where == f"failed/{DAY}/cat"
        assert WHY.cause in (spool.root / where / "WHY.txt").read_text()
        assert files_in(spool.root / ".hotfolder" / "work") == {}

    def test_each_failure_has_a_folder_of_its_own(self, spool: Spool) -> None:
        wheres = set()
        for number in range(3):
            job = replace(claimed(spool), job_id=f"{TICKET.job_id}-{number}")
            spool.work(TICKET.job_id).rename(spool.work(job.job_id))
            wheres.add(spool.file_failed(job, DAY, WHY, "{}"))
        assert wheres == {f"failed/{DAY}/{name}" for name in ("cat", "cat_2", "cat_3")}

    def test_a_sidecar_named_like_our_paper_is_not_overwritten(self, spool: Spool) -> None:
        drop(spool, "WHY.png", "WHY.txt")
        looked = candidate(seen("WHY.png", spool.inbox), sidecar=seen("WHY.txt", spool.inbox))
        where = spool.file_failed(spool.claim(looked, frozenset(), TICKET), DAY, WHY, "{}")
        assert "content of WHY.txt" in files_in(spool.root / where).values()
        assert len(files_in(spool.root / where)) == 4

    def test_on_a_full_disk_filing_as_failed_begins_no_second_folder(
        self, small_disk: Path
    ) -> None:
        make_hot_folder(small_disk, "the-id")
        spool = Spool(small_disk)
        job = claimed(spool)
        fill(small_disk)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                spool.file_failed(job, DAY, WHY, "{}")
        (small_disk / "ballast").unlink()
        where = spool.file_failed(job, DAY, WHY, "{}")
        assert where == f"failed/{DAY}/cat"
        assert len(files_in(small_disk / where)) == 5
        assert list((small_disk / "failed" / DAY).iterdir()) == [small_disk / where]

    def test_what_others_put_into_the_work_folder_stops_nothing(self, spool: Spool) -> None:
        job = claimed(spool)
        (spool.work(job.job_id) / ".nfs0001").write_text("still open somewhere")
        spool.file_done(job, DAY)
        assert "s/cat.png" in files_in(spool.root / "done" / DAY)
        assert recovered(spool) == []

    def test_a_work_folder_that_is_gone_stops_nothing(self, spool: Spool) -> None:
        for end in (
            spool.release,
            lambda job: spool.file_done(job, DAY),
            lambda job: spool.file_failed(job, DAY, WHY, "{}"),
        ):
            job = claimed(spool)
            for path in spool.work(job.job_id).iterdir():
                path.unlink()
            spool.work(job.job_id).rmdir()
            end(job)
            assert recovered(spool) == []


def test_who_leads_no_more_changes_nothing(spool: Spool, tmp_path: Path) -> None:
    def say_no() -> None:
        message = "another daemon"
        raise NotLeader(message, is_certain=True)

    job = claimed(spool)
    drop(spool, "t/cat.png", "t/cat.yaml")
    late = Spool(spool.root, say_no)
    acts: tuple[Callable[[], object], ...] = (
        lambda: late.claim(look(late, "t/cat.png"), frozenset(), TICKET),
        lambda: late.begin_attempt(job),
        lambda: late.begin_ending(job, State.CANCELLED),
        lambda: late.file_done(job, DAY),
        lambda: late.file_failed(job, DAY, WHY, "{}"),
        lambda: late.release(job),
        lambda: late.publication(job.job_id).clear_half_done(job),
    )
    before = files_in(spool.root)
    for act in acts:
        with pytest.raises(NotLeader):
            act()
    assert files_in(spool.root) == before


class TestRecovering:
    """What lies in work/ is found again, whatever else lies there."""

    def test_it_gives_exactly_the_unfinished_jobs_oldest_first(self, spool: Spool) -> None:
        job = claimed(spool)
        older = replace(job, job_id="20200101-000000-bbbbbbbb")
        folder = spool.work(older.job_id)
        folder.mkdir()
        paper = json.loads((spool.work(job.job_id) / "job.json").read_text())
        (folder / "job.json").write_text(json.dumps({**paper, "job_id": older.job_id}))
        assert [left.job for left in recovered(spool)] == [older, job]
        assert recovered(spool) == recovered(spool)

    def test_odd_names_survive_the_paper(self, spool: Spool) -> None:
        drop(spool, "a\nb\udcff.png")
        image = seen("a\nb\udcff.png", spool.inbox)
        job = spool.begin_attempt(spool.claim(candidate(image), frozenset(), TICKET))
        assert [left.job for left in recovered(spool)] == [job]

    def test_junk_is_survived_and_empty_folders_are_removed(self, spool: Spool) -> None:
        job = claimed(spool)
        work = spool.root / ".hotfolder" / "work"
        (work / "plain file").write_text("x")
        (work / "somebody's").mkdir()
        (work / "20261122-120000-00000001").mkdir()
        (work / "20261122-120000-00000002").mkdir()
        temporary = work / "20261122-120000-00000002" / ".hotfolder-00ff.tmp"
        temporary.write_text("half a paper")
        assert [left.job for left in recovered(spool)] == [job]
        assert {path.name for path in work.iterdir()} == {
            "plain file",
            "somebody's",
            job.job_id,
        }

    @pytest.mark.parametrize(
        "paper",
        ["", "{", "[]", "{}", '"x"', '{"files": [3]}', '{"files": []}', "null", None],
        ids=repr,
    )
    def test_originals_whose_paper_is_lost_are_a_job_of_their_own(
        self, spool: Spool, paper: str | None
    ) -> None:
        job = claimed(spool)
        path = spool.work(job.job_id) / "job.json"
        path.unlink() if paper is None else path.write_text(paper)
        (left,) = recovered(spool)
        assert not left.is_known
        assert left.job.job_id == job.job_id
        assert {file.name for file in left.job.files} == {"cat.png", "cat.yaml", "logo.png"}
        assert left.job.image.role is Role.IMAGE

    def test_they_can_be_filed_and_then_nothing_is_left(self, spool: Spool) -> None:
        job = claimed(spool)
        (spool.work(job.job_id) / "job.json").write_text("{")
        (left,) = recovered(spool)
        where = spool.file_failed(left.job, DAY, UNKNOWN, "{}")
        filed = files_in(spool.root / where)
        assert filed["cat.yaml"] == "content of s/cat.yaml"
        assert filed["WHY.txt"].startswith("cat.png was not edited.")
        assert recovered(spool) == []
        assert not spool.work(job.job_id).exists()

    def test_a_paper_of_another_job_is_none(self, spool: Spool) -> None:
        job = claimed(spool)
        copy = spool.work("20200101-000000-bbbbbbbb")
        copy.mkdir()
        (copy / "job.json").write_bytes((spool.work(job.job_id) / "job.json").read_bytes())
        assert [left.job for left in recovered(spool)] == [job]


class TestHotFolders:
    """A hot folder is made once and known by its marker."""

    def test_a_second_init_changes_nothing(self, tmp_path: Path) -> None:
        assert make_hot_folder(tmp_path, "one")
        assert not make_hot_folder(tmp_path, "two")
        assert folder_id(tmp_path) == "one"

    def test_a_folder_without_marker_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="mount the share"):
            folder_id(tmp_path)

    def test_a_marker_with_junk_in_it_is_another_folder(self, tmp_path: Path) -> None:
        make_hot_folder(tmp_path, "one")
        (tmp_path / ".hotfolder" / "id").write_bytes(b"\xff\x00")
        assert folder_id(tmp_path) != "one"


def after(steps: int, spool: Spool, act: Callable[[], object]) -> bool:
    """Whether `act` came to its end before it was killed; then what the next daemon does."""
    ended = ends_within(steps, spool.root, act)
    for left in spool.recover():
        if not left.is_begun:
            spool.release(left.job)
    return ended


def file_done(spool: Spool, job: Job, day: str) -> None:
    spool.file_done(job, day)


def file_failed(spool: Spool, job: Job, day: str) -> None:
    spool.file_failed(job, day, WHY, "{}")


class TestDying:
    """The daemon may die between any two steps."""

    def test_in_a_claim(self, spool: Spool) -> None:
        drop(spool, "cat.png", "cat.yaml", "logo.png")
        before, steps, ended = files_in(spool.inbox), 0, False
        while not ended:
            looked = look(spool, "cat.png", "logo.png")
            ended = after(steps, spool, partial(spool.claim, looked, frozenset(), TICKET))
            assert files_in(spool.inbox) == before
            assert list((spool.root / ".hotfolder" / "work").iterdir()) == []
            steps += 1
        assert steps > 5

    def test_while_giving_back(self, spool: Spool) -> None:
        steps, ended = 0, False
        while not ended:
            job = claimed(spool, "s/logo.png")
            ended = after(steps, spool, partial(spool.release, job))
            for left in recovered(spool):
                spool.release(left.job)
            assert set(files_in(spool.inbox)) == {"s/cat.png", "s/cat.yaml", "s/logo.png"}
            assert list((spool.root / ".hotfolder" / "work").iterdir()) == []
            steps += 1
        assert steps > 5

    @pytest.mark.parametrize(
        ("file", "records"),
        [(file_done, set()), (file_failed, {"WHY.txt", "report.json"})],
        ids=["done", "failed"],
    )
    def test_while_filing(
        self, spool: Spool, file: Callable[[Spool, Job, str], None], records: set[str]
    ) -> None:
        steps, ended = 0, False
        while not ended:
            job, day = claimed(spool), f"day {steps}"
            ended = after(steps, spool, partial(file, spool, job, day))
            for left in recovered(spool):
                assert left.job == job
                file(spool, job, day)
            filed = [Path(name).name for name in files_in(spool.root) if f"/{day}/" in name]
            assert sorted(filed) == sorted({"cat.png", "cat.yaml", "logo.png"} | records)
            steps += 1
        assert steps > 5


def fill(folder: Path) -> None:
    """Use up all space of a small disk."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        size = 4096
        while size:
            try:
                ballast.write(b"x" * size)
            except OSError:
                size //= 2
