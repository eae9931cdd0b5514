"""Whoever may write to a hot folder lays traps in it: nothing outside is read, made or changed."""

import contextlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from sample import TICKET, candidate, finished, job, resolved_job, seen

from daemon.events import events
from daemon.events.folder_log import FolderLog
from daemon.fs.dirfd import NotRegularFile
from daemon.fs.hot_folder import folder_id, make_hot_folder
from daemon.fs.safe_tree import SafeTree
from daemon.inbox.scan import scan
from daemon.job import Job
from daemon.spool.publisher import Publisher
from daemon.spool.receipts import FailureReason
from daemon.spool.records import UNKNOWN
from daemon.spool.spool import ChangedMeanwhile, Spool

DAY = "2026-11-22"
NOON = 1_795_348_800.0


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    make_hot_folder(tmp_path / "hot", "the-id")
    return Spool(tmp_path / "hot")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the hot folder, with a secret in it; it stays as it is."""
    folder = tmp_path / "outside"
    (folder / "below").mkdir(parents=True)
    (folder / "secret").write_text("prompt: the secret")
    (folder / "below" / "secret").write_text("deeper")
    before = contents(folder)
    yield folder
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def claimed(spool: Spool, folder: str = "s") -> Job:
    """A job of a subfolder that has begun."""
    home = spool.inbox / folder
    home.mkdir(exist_ok=True)
    (home / "cat.png").write_text("a cat")
    (home / "cat.yaml").write_text("prompt: a dog")
    image, sidecar = (seen(f"{folder}/{name}", spool.inbox) for name in ("cat.png", "cat.yaml"))
    one = spool.claim(candidate(image, sidecar=sidecar), frozenset(), TICKET)
    return spool.begin_attempt(one)


def replace_by_link(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def publish(spool: Spool, of: Job, tmp_path: Path) -> tuple[str, ...]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    done = finished(resolved_job(of, scratch=scratch), b"blue")
    return spool.publication(of.job_id).publish(done, iter([1.0, 2.0]), ())


class TestFolders:
    """A folder that was replaced by a link is not entered."""

    @pytest.mark.parametrize("trap", ["outbox", "outbox/s", ".hotfolder", ".hotfolder/work"])
    def test_no_result_goes_through_a_link(
        self, spool: Spool, outside: Path, tmp_path: Path, trap: str
    ) -> None:
        one = claimed(spool)
        replace_by_link(spool.root / trap, outside)
        with pytest.raises(NotADirectoryError) as error:
            publish(spool, one, tmp_path)
        assert error.value.filename == str(spool.root / trap)

    @pytest.mark.parametrize(
        ("trap", "beside"),
        [(f"done/{DAY}", f"done/{DAY}_2/s"), (f"done/{DAY}/s", f"done/{DAY}")],
    )
    def test_originals_are_filed_beside_a_link_and_not_through_it(
        self, spool: Spool, outside: Path, trap: str, beside: str
    ) -> None:
        one = claimed(spool)
        (spool.root / trap).parent.mkdir(exist_ok=True)
        (spool.root / trap).symlink_to(outside)
        where = spool.file_done(one, DAY)
        assert where == beside
        assert (spool.root / where / "cat.png").read_text() == "a cat"

    def test_failures_are_filed_beside_a_link(self, spool: Spool, outside: Path) -> None:
        one = claimed(spool)
        (spool.root / "failed" / DAY).symlink_to(outside)
        assert spool.file_failed(one, DAY, UNKNOWN, "{}") == f"failed/{DAY}_2/cat"

    def test_a_link_with_the_name_of_the_failure_is_passed_over(
        self, spool: Spool, outside: Path
    ) -> None:
        one = claimed(spool)
        (spool.root / "failed" / DAY).mkdir()
        (spool.root / "failed" / DAY / "cat").symlink_to(outside)
        assert spool.file_failed(one, DAY, UNKNOWN, "{}") == f"failed/{DAY}/cat_2"

    def test_originals_go_back_beside_a_link(self, spool: Spool, outside: Path) -> None:
        one = claimed(spool)
        replace_by_link(spool.inbox / "s", outside)
        assert set(spool.release(one)) == {"cat.png", "cat.yaml"}
        assert not spool.work(one.job_id).exists()

    def test_a_candidate_is_not_taken_through_a_link(self, spool: Spool, outside: Path) -> None:
        (spool.inbox / "s").mkdir()
        (spool.inbox / "s" / "secret").write_text("theirs")
        image = seen("s/secret", spool.inbox)
        replace_by_link(spool.inbox / "s", outside)
        with pytest.raises(ChangedMeanwhile):
            spool.claim(candidate(image), frozenset(), TICKET)

    def test_no_scan_goes_through_a_link(self, spool: Spool, outside: Path) -> None:
        (spool.inbox / "deep").symlink_to(outside)
        listing = scan(spool.inbox, trust_inodes=True)
        assert listing.files == ()
        replace_by_link(spool.inbox, outside)
        with pytest.raises(NotADirectoryError):
            scan(spool.inbox, trust_inodes=True)

    def test_a_marker_behind_a_link_is_none(self, spool: Spool, tmp_path: Path) -> None:
        make_hot_folder(tmp_path / "other", "another")
        replace_by_link(spool.root / ".hotfolder", tmp_path / "other" / ".hotfolder")
        with pytest.raises(Exception, match="mount the share"):
            folder_id(spool.root)

    def test_recovery_looks_into_no_link(self, spool: Spool, outside: Path) -> None:
        trap = spool.work("20261122-120000-00000001")
        trap.symlink_to(outside)
        assert list(spool.recover()) == []

    def test_a_folder_swapped_at_any_moment_leads_nowhere(
        self, spool: Spool, outside: Path
    ) -> None:
        folder, tree = spool.root / "outbox" / "s", spool.tree
        folder.mkdir()
        done = threading.Event()

        def swap() -> None:
            while not done.is_set():
                folder.rename(spool.root / "aside")
                folder.symlink_to(outside)
                folder.unlink()
                (spool.root / "aside").rename(folder)

        thread = threading.Thread(target=swap)
        thread.start()
        written = 0
        try:
            while written < 100:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    tree.write_whole(folder / "ours", b"x")
                    written += 1
        finally:
            done.set()
            thread.join()
        assert (folder / "ours").read_bytes() == b"x"


def by_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "secret")


def by_second_name(path: Path, outside: Path) -> None:
    os.link(outside / "secret", path)


def by_fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


def by_device(path: Path, _: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero has no end
    except PermissionError:
        pytest.skip("making a device needs root")


TRAPS = [by_link, by_second_name, by_fifo, by_device]
Trap = Callable[[Path, Path], None]


@pytest.mark.parametrize("trap", TRAPS)
class TestFiles:
    """What lies where a file should be is looked at before it is used."""

    def test_it_is_no_input(self, spool: Spool, outside: Path, trap: Trap) -> None:
        trap(spool.inbox / "photo.jpg", outside)
        listing = scan(spool.inbox, trust_inodes=True)
        assert listing.files == ()
        assert [odd.path for odd in listing.odd] == ["photo.jpg"]

    def test_it_is_no_claimed_original(
        self, spool: Spool, outside: Path, tmp_path: Path, trap: Trap
    ) -> None:
        one = claimed(spool)
        original = spool.work(one.job_id) / "cat.yaml"
        original.unlink()
        trap(original, outside)
        with pytest.raises(FileNotFoundError):
            spool.copy_to_scratch(one, tmp_path / "scratch")

    @pytest.mark.parametrize("name", ["cat.png", "cat.png.json"])
    def test_no_result_is_written_to_it(
        self, spool: Spool, outside: Path, tmp_path: Path, trap: Trap, name: str
    ) -> None:
        (spool.root / "outbox" / "s").mkdir()
        trap(spool.root / "outbox" / "s" / name, outside)
        assert publish(spool, claimed(spool), tmp_path) == ("outbox/s/cat_2.png",)

    def test_no_log_is_written_to_it(self, spool: Spool, outside: Path, trap: Trap) -> None:
        book = FolderLog(spool.tree)
        book.write(events.Noted(text="one"), NOON)
        (name,) = (path.name for path in (spool.root / "logs").iterdir())
        (spool.root / "logs" / name).unlink()
        trap(spool.root / "logs" / name, outside)
        book.write(events.Noted(text="two"), NOON)
        second = spool.root / "logs" / name.replace(".txt", "_2.txt")
        assert second.read_text().endswith("two\n")

    @pytest.mark.parametrize("name", ["job.json", "published.json"])
    def test_it_is_no_paper(self, spool: Spool, outside: Path, trap: Trap, name: str) -> None:
        one = claimed(spool)
        (spool.work(one.job_id) / name).unlink(missing_ok=True)
        trap(spool.work(one.job_id) / name, outside)
        (left,) = spool.recover()
        assert left.is_known is (name != "job.json")
        assert not spool.publication(one.job_id).is_complete(one)

    def test_it_is_no_marker(self, spool: Spool, outside: Path, trap: Trap) -> None:
        marker = spool.root / ".hotfolder" / "id"
        marker.unlink()
        trap(marker, outside)
        with pytest.raises(Exception, match="mount the share"):
            folder_id(spool.root)

    def test_it_is_replaced_where_a_paper_is_written_and_not_written_to(
        self, spool: Spool, outside: Path, trap: Trap
    ) -> None:
        path = spool.root / "failed" / "WHY.txt"
        trap(path, outside)
        spool.tree.write_whole(path, b"ours")
        assert path.read_bytes() == b"ours"


class TestPapers:
    """Papers on the share may be forged; they name nothing outside, and end nothing."""

    @pytest.mark.parametrize(
        "forged",
        [
            {"folder": "../../outside"},
            {"folder": "/etc"},
            {"folder": 3},
            {"files": [{"name": "../../../../outside/secret"}]},
            {"files": [{"name": "/etc/passwd"}]},
            {"files": [{"name": ".."}]},
            {"files": [{"name": "cat.png", "size": "large"}]},
            {"attempts": "many"},
            {"alone": None},
        ],
        ids=repr,
    )
    def test_a_forged_job_is_no_job_of_ours(
        self, spool: Spool, outside: Path, forged: dict[str, object]
    ) -> None:
        one = claimed(spool)
        paper = spool.work(one.job_id) / "job.json"
        document = asdict(one)
        for changed in forged.pop("files", []):  # type: ignore[attr-defined]
            document["files"][0].update(changed)
        paper.write_text(json.dumps({**document, **forged}))
        (left,) = spool.recover()
        assert not left.is_known
        assert {file.name for file in left.job.files} == {"cat.png", "cat.yaml"}

    @pytest.mark.parametrize(
        "name", ["../outside/secret", "/etc/passwd", "done/x", "outbox/../../outside/secret"]
    )
    def test_a_forged_note_removes_and_writes_nothing(
        self, spool: Spool, outside: Path, name: str
    ) -> None:
        one = claimed(spool)
        secret = SafeTree(outside).sha256_of(outside / "secret")
        replaced = json.dumps({"job_id": "x", "recipe": {"seed": 1}, "output": {"sha256": secret}})
        for note in (
            {"name": name, "sha256": secret},
            {"name": name, "sha256": "", "replaced": replaced},
            {"name": name, "sha256": 7},
            {"unknown": True},
        ):
            notes = {"variants": 1, "results": {"0": note}}
            (spool.work(one.job_id) / "published.json").write_text(json.dumps(notes))
            publication = Publisher(spool.tree, spool.work(one.job_id))
            publication.clear_half_done(one)
            assert not publication.is_complete(one)

    def test_a_folder_of_another_name_in_work_is_left_alone(self, spool: Spool) -> None:
        theirs = spool.root / ".hotfolder" / "work" / "torch"
        theirs.mkdir()
        (theirs / "job.json").write_text(json.dumps(asdict(job())))
        assert list(spool.recover()) == []
        assert theirs.exists()

    def test_a_paper_without_end_is_none(self, spool: Spool) -> None:
        path = spool.root / "outbox" / "cat.png.json"
        with path.open("wb") as stream:
            stream.truncate(1 << 40)
        with pytest.raises(NotRegularFile):
            spool.tree.read(path)


@pytest.mark.parametrize("way", ["outbox/../../outside/x", "/etc/x", "../outside/x"])
def test_a_path_that_leads_out_is_refused(spool: Spool, outside: Path, way: str) -> None:
    assert outside.is_dir()
    with pytest.raises(OSError, match="not below"):
        spool.tree.write_whole(spool.root / way, b"")


def test_a_file_with_a_second_name_is_told_and_taken_when_it_has_one(
    spool: Spool, tmp_path: Path
) -> None:
    (spool.inbox / "a.jpg").write_bytes(b"x")
    os.link(spool.inbox / "a.jpg", tmp_path / "second")
    (odd,) = scan(spool.inbox, trust_inodes=True).odd
    assert "copy it here instead" in odd.what
    (tmp_path / "second").unlink()
    assert [file.path for file in scan(spool.inbox, trust_inodes=True).files] == ["a.jpg"]


def test_a_failure_in_the_way_of_a_file_says_the_whole_path(spool: Spool) -> None:
    (spool.root / "failed").rmdir()
    (spool.root / "failed").write_text("a file")
    why = FailureReason(UNKNOWN.state, "cause", "advice")
    with pytest.raises(NotADirectoryError) as error:
        spool.file_failed(claimed(spool), DAY, why, "{}")
    assert error.value.filename == str(spool.root / "failed")
