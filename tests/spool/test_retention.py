"""Only what we filed, and nobody has touched since, is ever deleted, and only in time."""

import os
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sample import TICKET, candidate, seen

from config.settings import FolderSettings
from daemon.events.events import FolderNotSwept, FolderSwept
from daemon.fs.hot_folder import make_hot_folder
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job
from daemon.spool.receipts import FailureReason
from daemon.spool.records import UNKNOWN
from daemon.spool.retention import (
    MOST_FILES,
    FiledManifest,
    RetentionSchedule,
    RetentionSweeper,
    Swept,
)
from daemon.spool.spool import Spool

DAY = date(2026, 12, 1)
WHY = FailureReason(UNKNOWN.state, "cause", "advice")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    make_hot_folder(tmp_path / "hot", "the-id")
    return Spool(tmp_path / "hot")


def settings(spool: Spool, **keep: float) -> FolderSettings:
    return FolderSettings(root=spool.root, **keep)  # type: ignore[arg-type] # all are numbers


def claimed(spool: Spool, name: str = "cat") -> Job:
    folder = spool.inbox / "s"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.png").write_text("a cat")
    (folder / f"{name}.yaml").write_text("prompt: a dog")
    image, sidecar = (seen(f"s/{name}{it}", spool.inbox) for it in (".png", ".yaml"))
    return spool.claim(candidate(image, sidecar=sidecar), frozenset(), TICKET)


def noon(day: date) -> float:
    return datetime(day.year, day.month, day.day, 12).astimezone().timestamp()


def written(spool: Spool, day: date = DAY) -> None:
    """Let the file system's clock have said that the lists and logs were written on a day."""
    for path in (*spool.root.glob(".hotfolder/filed/*.jsonl"), *spool.root.glob("logs/**/*")):
        os.utime(path, (noon(day), noon(day)), follow_symlinks=False)


class Share(SafeTree):
    """A file system whose clock goes where it is put."""

    today = DAY

    def write_whole(self, path: Path, content: bytes) -> None:
        super().write_whole(path, content)
        os.utime(path, (noon(self.today), noon(self.today)))


def sweep(spool: Spool, folder: FolderSettings, days: int) -> list[Swept]:
    written(spool)
    return list(RetentionSchedule(spool.tree).sweep(folder, DAY + timedelta(days=days)))


def shown(spool: Spool) -> set[str]:
    """All files that people see."""
    paths = [path for path in spool.root.rglob("*") if path.is_file() or path.is_symlink()]
    names = {str(path.relative_to(spool.root)) for path in paths}
    return {name for name in names if not name.startswith(".hotfolder")}


def test_originals_go_when_their_days_are_over_and_not_before(spool: Spool) -> None:
    spool.file_done(claimed(spool), str(DAY))
    folder = settings(spool, keep_done_days=30)
    assert sweep(spool, folder, 30) == []
    assert len(shown(spool)) == 2
    assert sweep(spool, folder, 31) == [Swept(f"done/{DAY}", 2, 30)]
    assert shown(spool) == set()
    assert not (spool.root / "done" / str(DAY)).exists()
    assert (spool.root / "done").exists()
    assert FiledManifest(spool.tree).days() == []


def test_what_was_filed_beside_its_day_goes_with_it(spool: Spool) -> None:
    for area in ("done", "failed"):
        (spool.root / area / str(DAY)).symlink_to(spool.root)  # it takes nothing
    spool.file_done(claimed(spool), str(DAY))
    spool.file_failed(claimed(spool), str(DAY), WHY, "{}")
    filed = {f"done/{DAY}_2/s/cat.png", f"failed/{DAY}_2/cat/cat.png"}
    assert filed <= shown(spool)
    folder = settings(spool, keep_done_days=30, keep_failed_days=30)
    swept = sweep(spool, folder, 31)
    assert swept == [Swept(f"done/{DAY}", 2, 30), Swept(f"failed/{DAY}", 4, 30)]
    assert not any((spool.root / area / f"{DAY}_2").exists() for area in ("done", "failed"))


def test_a_list_that_cannot_be_written_costs_no_filing_and_one_that_cannot_be_read_no_look(
    spool: Spool,
) -> None:
    page = spool.root / ".hotfolder" / "filed" / f"done-{DAY}.jsonl"
    page.mkdir(parents=True)
    spool.file_done(claimed(spool), str(DAY))
    assert len(shown(spool)) == 2
    clock, folder, share = Watch(), settings(spool, keep_done_days=1), Share(spool.root)
    share.today = DAY + timedelta(days=5)
    written(spool)
    sweeper = RetentionSweeper(share, clock)
    clock.now += 601
    (told,) = sweeper.sweep(folder, str(share.today), is_quiet=True)
    assert isinstance(told, FolderNotSwept)
    assert str(page) in told.reason


def test_without_a_setting_nothing_goes(spool: Spool) -> None:
    spool.file_done(claimed(spool), str(DAY))
    assert sweep(spool, settings(spool, keep_failed_days=1, keep_logs_days=1), 9999) == []
    assert len(shown(spool)) == 2


def test_a_failure_goes_with_its_papers(spool: Spool) -> None:
    spool.file_failed(claimed(spool), str(DAY), WHY, "{}")
    assert sweep(spool, settings(spool, keep_failed_days=7), 8) == [Swept(f"failed/{DAY}", 4, 7)]
    assert shown(spool) == set()
    assert not (spool.root / "failed" / str(DAY)).exists()


def test_what_is_not_ours_or_was_changed_stays_with_its_folders(
    spool: Spool, tmp_path: Path
) -> None:
    spool.file_done(claimed(spool), str(DAY))
    spool.file_done(claimed(spool, "dog"), str(DAY))
    day = spool.root / "done" / str(DAY)
    (day / "s" / "theirs.png").write_text("put here by somebody")
    (day / "s" / "cat.png").write_text("edited by somebody")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "dog.yaml").write_text("prompt: a dog")
    (day / "s" / "dog.yaml").unlink()
    (day / "s" / "dog.yaml").symlink_to(outside / "dog.yaml")
    (spool.root / "done" / "mine").mkdir()
    (spool.root / "done" / "mine" / "keep.png").write_text("never filed by us")
    assert sweep(spool, settings(spool, keep_done_days=1), 9) == [Swept(f"done/{DAY}", 2, 1)]
    kept = {"theirs.png", "cat.png", "dog.yaml"}
    assert shown(spool) == {f"done/{DAY}/s/{name}" for name in kept} | {"done/mine/keep.png"}
    assert (outside / "dog.yaml").exists()
    assert sweep(spool, settings(spool, keep_done_days=1), 99) == []


def test_a_day_that_became_a_link_is_not_followed(spool: Spool, tmp_path: Path) -> None:
    spool.file_done(claimed(spool), str(DAY))
    (spool.root / "done" / str(DAY)).rename(tmp_path / "outside")
    (spool.root / "done" / str(DAY)).symlink_to(tmp_path / "outside")
    assert sweep(spool, settings(spool, keep_done_days=1), 9) == []
    assert len(list((tmp_path / "outside" / "s").iterdir())) == 2


@pytest.mark.parametrize(
    "line",
    [
        '["../outside/secret", 6, 0]',
        '["done/2026-12-01/../../inbox/photo.jpg", 6, 0]',
        '["inbox/photo.jpg", 6, 0]',
        '["/etc/passwd", 6, 0]',
        '["outbox/photo.jpg", 6, 0]',
        '["done/2026-12-01/x", "6", 0]',
        "[",
        "3",
        "null",
    ],
)
def test_a_forged_line_deletes_nothing(spool: Spool, tmp_path: Path, line: str) -> None:
    for path in (tmp_path / "outside", spool.inbox, spool.root / "outbox"):
        path.mkdir(exist_ok=True)
    for path in (tmp_path / "outside/secret", spool.inbox / "photo.jpg"):
        path.write_text("secret")
        os.utime(path, ns=(0, 0))
    pages = spool.root / ".hotfolder" / "filed"
    (pages / f"done-{DAY}.jsonl").write_text(f"{line}\n")
    assert sweep(spool, settings(spool, keep_done_days=1), 9) == []
    assert (tmp_path / "outside" / "secret").exists()
    assert (spool.inbox / "photo.jpg").exists()


def test_logs_go_by_the_days_in_their_names(spool: Spool) -> None:
    ours = {"LOG-2026-12-01.txt", "LOG-2026-12-01_2.txt", "20261201-120000-aaaaaaaa.log"}
    others = {"LOG-2026-12-01.txt.bak", "notes.txt", "LOG-2026-13-01.txt", "LOG-2026-12-08.txt"}
    for name in ours | others:
        (spool.root / "logs" / name).write_text("")
    (spool.root / "logs" / "LOG-2026-12-02.txt").symlink_to("notes.txt")
    assert sweep(spool, settings(spool, keep_logs_days=7), 8) == [Swept("logs", 3, 7)]
    assert {path.name for path in (spool.root / "logs").iterdir()} == {
        *others,
        "LOG-2026-12-02.txt",
    }


def test_logs_of_jobs_go_with_the_folders_of_their_days(spool: Spool) -> None:
    logs, story = spool.root / "logs", "20261201-130000-bbbbbbbb.log"
    stays = ("2026-12-01/mine.log", "2026-12-08/20261208-120000-dddddddd.log", f"mine/{story}")
    goes = (f"2026-12-01/{story}", f"2026-12-01/{story}_2", f"2026-11-30/{story}")
    for name in (*stays, *goes):
        (logs / name).parent.mkdir(exist_ok=True)
        (logs / name).write_text("")
        os.utime(logs / name, (noon(DAY), noon(DAY)))
    assert sweep(spool, settings(spool, keep_logs_days=7), 8) == [Swept("logs", 3, 7)]
    left = {str(path.relative_to(logs)) for path in logs.rglob("*.log*")}
    assert left == set(stays)
    assert not (logs / "2026-11-30").exists()  # nothing was left in it


@pytest.mark.parametrize("trap", ["filed", f"filed/done-{DAY}.jsonl"])
def test_a_list_that_became_a_link_stops_no_filing(
    spool: Spool, tmp_path: Path, trap: str
) -> None:
    path = spool.root / ".hotfolder" / trap
    if path.is_dir():
        path.rmdir()
    path.symlink_to(tmp_path / "outside")
    spool.file_done(claimed(spool), str(DAY))
    assert sweep(spool, settings(spool, keep_done_days=1), 9) == []
    assert len(shown(spool)) == 2
    assert not (tmp_path / "outside").exists()


def test_a_look_says_the_same_and_deletes_nothing(spool: Spool) -> None:
    spool.file_done(claimed(spool), str(DAY))
    written(spool)
    folder = settings(spool, keep_done_days=1)
    found = list(RetentionSchedule(spool.tree).look(folder, DAY + timedelta(days=9)))
    assert found == [Swept(f"done/{DAY}", 2, 1)]
    assert len(shown(spool)) == 2


def test_a_great_many_go_in_portions(spool: Spool) -> None:
    day = spool.root / "done" / str(DAY)
    day.mkdir()
    paths = [day / f"{number}.png" for number in range(MOST_FILES + 10)]
    for path in paths:
        path.write_text("")
    FiledManifest(spool.tree).note(paths)
    folder = settings(spool, keep_done_days=1)
    assert [it.files for it in sweep(spool, folder, 9)] == [MOST_FILES]
    assert [it.files for it in sweep(spool, folder, 9)] == [10]
    assert not day.exists()


class Watch:
    """A clock that goes where it is put."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def test_it_is_done_when_it_is_quiet_and_after_a_day_all_the_same(spool: Spool) -> None:
    clock, share, later = Watch(), Share(spool.root), DAY + timedelta(days=1)
    sweeper, folder = RetentionSweeper(share, clock), settings(spool, keep_done_days=0.5)

    def told(now: float, *, is_quiet: bool) -> list[FolderSwept]:
        spool.file_done(claimed(spool), str(DAY))
        written(spool)
        clock.now = now
        share.today = later + timedelta(seconds=now)
        found = sweeper.sweep(folder, str(share.today), is_quiet=is_quiet)
        return [it for it in found if isinstance(it, FolderSwept)]

    assert told(0, is_quiet=True) == []
    assert told(700, is_quiet=False) == []
    assert [it.files for it in told(701, is_quiet=True)] == [6]
    assert told(800, is_quiet=True) == []
    assert told(7 * 3600, is_quiet=False) == []
    assert [it.files for it in told(32 * 3600, is_quiet=False)] == [6]


class Daemon:
    """A daemon's sweeps of one hot folder, day by day."""

    def __init__(self, spool: Spool, keep_days: float = 30) -> None:
        self.spool, self.clock, self.share = spool, Watch(), Share(spool.root)
        self.folder = settings(spool, keep_done_days=keep_days)
        self.sweeper = RetentionSweeper(self.share, self.clock)

    def restarted(self) -> "Daemon":
        """The same after an end, with a measure of time that begins anew."""
        return Daemon(self.spool)

    def files(self, day: date, name: str) -> None:
        """File a pair on what the clock says is that day."""
        self.spool.file_done(claimed(self.spool, name), str(day))
        path = self.spool.root / ".hotfolder" / "filed" / f"done-{day}.jsonl"
        os.utime(path, (noon(day), noon(day)))

    def sees(self, day: date, *, share_day: date | None = None, hours: float = 24) -> list[str]:
        """What is told on a day, so many hours after the last one."""
        self.clock.now += hours * 3600
        self.share.today = share_day or day
        return [str(it) for it in self.sweeper.sweep(self.folder, str(day), is_quiet=True)]

    def lives(self, first: date, days: int) -> list[str]:
        """What is told on a number of days, one after the other."""
        return [line for it in range(days) for line in self.sees(first + timedelta(days=it))]


class TestClock:
    """By a clock that may be wrong nothing is deleted."""

    def test_what_was_filed_before_there_was_a_hotfolder_stays_and_is_said(
        self, spool: Spool
    ) -> None:
        daemon, long_ago = Daemon(spool), date(1970, 1, 3)
        daemon.files(long_ago, "cat")
        assert daemon.lives(DAY, 99) == []
        assert len(shown(spool)) == 2
        retention = RetentionSchedule(spool.tree)
        assert list(retention.doubtful(daemon.folder)) == [Swept(f"done/{long_ago}", 2, 30)]
        assert list(retention.look(daemon.folder, DAY + timedelta(days=99))) == []

    def test_a_clock_that_is_in_1970_deletes_nothing_and_is_forgotten(self, spool: Spool) -> None:
        daemon = Daemon(spool, keep_days=1)
        assert daemon.lives(date(1970, 1, 1), 9) == []
        daemon.files(DAY, "cat")
        daemon.sees(DAY)
        told = daemon.lives(DAY + timedelta(days=1), 3)
        assert len(told) == 1  # no leap from 1970
        assert shown(spool) == set()

    def test_a_year_ahead_for_an_hour_deletes_nothing(self, spool: Spool) -> None:
        daemon = Daemon(spool)
        daemon.files(DAY, "cat")
        assert daemon.lives(DAY, 20) == []
        ahead = DAY + timedelta(days=385)
        (told,) = daemon.sees(ahead)
        assert "the date has leapt from 2026-12-20 to 2027-12-21" in told
        assert len(shown(spool)) == 2
        # It is right again, and all goes as if nothing had been.
        told_later = daemon.lives(DAY + timedelta(days=20), 20)
        assert [it for it in told_later if "deleted: they are kept for 30 days" in it]
        assert shown(spool) == set()

    def test_a_year_ahead_from_the_start_deletes_nothing_until_a_week_has_passed(
        self, spool: Spool
    ) -> None:
        daemon = Daemon(spool)
        daemon.files(DAY, "cat")
        daemon.lives(DAY, 9)
        daemon, ahead = daemon.restarted(), DAY + timedelta(days=385)
        told = daemon.lives(ahead, 7)
        assert told
        assert len(shown(spool)) == 2
        # It was no mistake: nobody was here for a year.
        daemon.lives(ahead + timedelta(days=7), 1)
        assert shown(spool) == set()

    def test_a_few_days_ahead_while_it_runs_are_a_leap_too(self, spool: Spool) -> None:
        daemon = Daemon(spool)
        daemon.files(DAY, "cat")
        daemon.lives(DAY, 28)
        (told,) = daemon.sees(DAY + timedelta(days=32))
        assert "the date has leapt" in told
        assert len(shown(spool)) == 2

    def test_a_date_that_the_share_does_not_have_deletes_nothing(self, spool: Spool) -> None:
        daemon = Daemon(spool)
        daemon.files(DAY, "cat")
        daemon.lives(DAY, 9)
        daemon, ahead = daemon.restarted(), DAY + timedelta(days=385)
        for number in range(9):
            share_day = DAY + timedelta(days=9 + number)
            told = daemon.sees(ahead + timedelta(days=number), share_day=share_day)
            assert f"{share_day} by that of the folder" in told[0]
        assert len(shown(spool)) == 2

    def test_what_was_filed_while_the_clock_was_behind_stays_and_is_said(
        self, spool: Spool
    ) -> None:
        daemon, behind = Daemon(spool), DAY - timedelta(days=5)
        daemon.lives(DAY, 40)
        daemon.files(behind, "cat")
        daemon.files(DAY + timedelta(days=40), "dog")
        daemon.lives(DAY + timedelta(days=40), 32)
        assert shown(spool) == {f"done/{behind}/s/cat.png", f"done/{behind}/s/cat.yaml"}
        doubtful = list(RetentionSchedule(spool.tree).doubtful(daemon.folder))
        assert doubtful == [Swept(f"done/{behind}", 2, 30)]

    def test_days_are_counted_from_when_the_share_wrote_the_list(self, spool: Spool) -> None:
        spool.file_done(claimed(spool), str(DAY))
        written(spool, DAY + timedelta(days=10))
        retention, folder = RetentionSchedule(spool.tree), settings(spool, keep_done_days=30)
        assert list(retention.look(folder, DAY + timedelta(days=40))) == []
        assert list(retention.look(folder, DAY + timedelta(days=41))) != []

    @pytest.mark.parametrize("content", ["", "{", '{"since": "x", "until": "y"}'])
    def test_a_damaged_record_is_begun_anew(self, spool: Spool, content: str) -> None:
        daemon = Daemon(spool)
        daemon.lives(DAY, 2)
        record = spool.root / ".hotfolder" / "filed" / "clock.json"
        assert record.exists()
        record.write_text(content)
        daemon.files(DAY + timedelta(days=2), "cat")
        assert daemon.lives(DAY + timedelta(days=2), 40)
        assert shown(spool) == set()
