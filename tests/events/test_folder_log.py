from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.events import events, job_events
from daemon.events.folder_log import FolderLog
from daemon.fs.safe_tree import SafeTree
from daemon.job import story_of

ROOT = Path("/srv/hot")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).astimezone().timestamp()
STAMP = datetime.fromtimestamp(NOON, UTC).astimezone()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The logs of a hot folder."""
    (tmp_path / ".hotfolder").mkdir()
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def claimed(path: str = "cat.png", job_id: str = "job-1") -> job_events.JobClaimed:
    return job_events.JobClaimed(root=ROOT, job_id=job_id, path=path)


def test_an_event_is_a_line_with_its_time_in_the_log_of_the_day(logs: Path) -> None:
    FolderLog(SafeTree(logs.parent)).write(events.Noted(text="All is well."), NOON)
    log = logs / f"LOG-{STAMP:%Y-%m-%d}.txt"
    assert log.read_text() == f"{STAMP:%Y-%m-%d %H:%M:%S %z} All is well.\n"
    assert list(logs.iterdir()) == [log]


def test_a_job_has_its_whole_story_in_one_file(logs: Path) -> None:
    book = FolderLog(SafeTree(logs.parent))
    book.write(claimed(), NOON)
    book.write(claimed("dog.png", "job-2"), NOON)
    book.write(
        job_events.StepDone(root=ROOT, job_id="job-1", path="cat.png", step=1, steps=2), NOON
    )
    lines = (logs / "job-1.log").read_text().splitlines()
    assert len(lines) == 2
    assert "cat.png" in lines[0]


def test_the_stories_of_jobs_lie_by_the_days_of_their_claims(logs: Path) -> None:
    job_id = "20261122-235959-5eb655cb"
    book = FolderLog(SafeTree(logs.parent))
    book.write(claimed(job_id=job_id), NOON)
    book.write(claimed(job_id=job_id), NOON + 86400)  # the next day belongs to the same story
    path = logs / "2026-11-22" / f"{job_id}.log"
    assert len(path.read_text().splitlines()) == 2
    assert story_of(job_id) == str(path.relative_to(logs.parent))


def test_the_prompt_is_for_the_story_and_not_for_the_day(logs: Path) -> None:
    event = job_events.JobResolved(
        root=ROOT, job_id="job-1", path="cat.png", prompt="make it\nblue"
    )
    FolderLog(SafeTree(logs.parent)).write(event, NOON)
    (log,) = logs.iterdir()
    assert "cat.png is to be edited by this prompt: make it\\nblue" in log.read_text()


def test_steps_are_for_the_story_and_not_for_the_day(logs: Path) -> None:
    step = job_events.StepDone(root=ROOT, job_id="job-1", path="cat.png", step=1, steps=2)
    FolderLog(SafeTree(logs.parent)).write(step, NOON)
    assert [path.name for path in logs.iterdir()] == ["job-1.log"]


def test_each_day_has_its_own_file_by_the_time_of_the_event(logs: Path) -> None:
    for day in range(3):
        FolderLog(SafeTree(logs.parent)).write(
            events.Noted(text="Another day."), NOON + day * 86400
        )
    assert len(list(logs.glob("LOG-*.txt"))) == 3


def test_an_odd_name_stays_one_line_of_utf_8(logs: Path) -> None:
    FolderLog(SafeTree(logs.parent)).write(claimed("a\nb\udcff\x1b[31m.png"), NOON)
    (line,) = (logs / "job-1.log").read_bytes().decode("utf-8").splitlines()
    assert "\x1b" not in line


def test_a_folder_that_was_tidied_away_is_made_again(logs: Path) -> None:
    logs.rmdir()
    FolderLog(SafeTree(logs.parent)).write(claimed(), NOON)
    assert (logs / "job-1.log").exists()


def test_a_log_that_cannot_be_written_is_told_once_and_stops_no_other(logs: Path) -> None:
    book = FolderLog(SafeTree(logs.parent))
    (logs / "job-1.log").mkdir()
    assert book.write(claimed(), NOON).startswith("logs/job-1.log: Is a directory; ")
    assert [book.write(claimed(), NOON) for _ in range(3)] == [""] * 3
    assert len((logs / f"LOG-{STAMP:%Y-%m-%d}.txt").read_text().splitlines()) == 4
    (logs / "job-1.log").rmdir()
    assert book.write(claimed("dog.png"), NOON) == ""
    assert "dog.png" in (logs / "job-1.log").read_text()


def test_the_logs_of_many_jobs_that_cannot_be_written_are_told_of_once_a_day(logs: Path) -> None:
    book = FolderLog(SafeTree(logs.parent))
    for number in range(50):
        (logs / f"job-{number}.log").mkdir()
    told = [book.write(claimed(job_id=f"job-{number}"), NOON) for number in range(50)]
    assert told[0].startswith("logs/job-0.log: Is a directory; ")
    assert told[1:] == [""] * 49
    assert len(book._failing) == 1
    assert book.reason == ""
    assert book.write(claimed(job_id="sound"), NOON) == ""
    assert book.write(claimed(job_id="job-7"), NOON) == ""
    assert book.write(claimed(job_id="job-8"), NOON + 86400)


def test_a_log_that_fails_again_after_it_was_written_is_told_again(logs: Path) -> None:
    book, day = FolderLog(SafeTree(logs.parent)), logs / f"LOG-{STAMP:%Y-%m-%d}.txt"
    for _ in range(2):
        day.mkdir()
        assert book.write(events.Noted(text="One."), NOON)
        assert book.reason
        day.rmdir()
        assert book.write(events.Noted(text="Two."), NOON) == book.reason == ""
        day.unlink()


def test_where_the_log_of_the_day_fails_those_of_jobs_are_no_news(logs: Path) -> None:
    book = FolderLog(SafeTree(logs.parent))
    logs.rmdir()
    logs.write_text("in the way")
    assert (
        book.write(claimed(), NOON)
        == "logs: Not a directory; see to it that files can be read and written there"
    )
    assert [book.write(claimed(job_id=f"job-{n}"), NOON + n) for n in range(3)] == [""] * 3


def test_each_day_is_told_of_anew(logs: Path) -> None:
    book = FolderLog(SafeTree(logs.parent))
    logs.rmdir()
    logs.write_text("in the way")
    for day in range(2):
        assert book.write(events.Noted(text="One."), NOON + day * 86400)


def test_a_share_that_is_no_hot_folder_any_more_is_raised(logs: Path) -> None:
    (logs.parent / ".hotfolder").rmdir()
    with pytest.raises(OSError, match="no hot folder is there"):
        FolderLog(SafeTree(logs.parent)).write(claimed(), NOON)
