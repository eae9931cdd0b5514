from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.log import story
from daemon.log.logbook import Logbook

ROOT = Path("/srv/hot")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).astimezone().timestamp()
STAMP = datetime.fromtimestamp(NOON, UTC).astimezone()


def claimed(path: str = "cat.png", job_id: str = "job-1") -> story.JobClaimed:
    return story.JobClaimed(root=ROOT, job_id=job_id, path=path)


def test_an_event_is_a_line_with_its_time_in_the_log_of_the_day(tmp_path: Path) -> None:
    Logbook(tmp_path).write(story.Noted(text="All is well."), NOON)
    log = tmp_path / f"LOG-{STAMP:%Y-%m-%d}.txt"
    assert log.read_text() == f"{STAMP:%Y-%m-%d %H:%M:%S %z} All is well.\n"


def test_a_job_has_its_whole_story_in_one_file(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    book.write(claimed(), NOON)
    book.write(claimed("dog.png", "job-2"), NOON)
    book.write(story.StepDone(root=ROOT, job_id="job-1", path="cat.png", step=1, steps=2), NOON)
    lines = (tmp_path / "job-1.log").read_text().splitlines()
    assert len(lines) == 2
    assert "cat.png" in lines[0]


def test_steps_are_for_the_story_and_not_for_the_day(tmp_path: Path) -> None:
    step = story.StepDone(root=ROOT, job_id="job-1", path="cat.png", step=1, steps=2)
    Logbook(tmp_path).write(step, NOON)
    assert [path.name for path in tmp_path.iterdir()] == ["job-1.log"]


def test_each_day_has_its_own_file_by_the_time_of_the_event(tmp_path: Path) -> None:
    for day in range(3):
        Logbook(tmp_path).write(story.Noted(text="Another day."), NOON + day * 86400)
    assert len(list(tmp_path.glob("LOG-*.txt"))) == 3


def test_an_odd_name_stays_one_line_of_utf_8(tmp_path: Path) -> None:
    Logbook(tmp_path).write(claimed("a\nb\udcff\x1b[31m.png"), NOON)
    (line,) = (tmp_path / "job-1.log").read_bytes().decode("utf-8").splitlines()
    assert "\x1b" not in line


def test_a_folder_that_was_tidied_away_is_made_again(tmp_path: Path) -> None:
    Logbook(tmp_path / "logs").write(claimed(), NOON)
    assert (tmp_path / "logs" / "job-1.log").exists()


def test_what_cannot_be_written_is_raised(tmp_path: Path) -> None:
    (tmp_path / "job-1.log").mkdir()
    with pytest.raises(IsADirectoryError):
        Logbook(tmp_path).write(claimed(), NOON)
