import contextlib
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.history import Counts, Entry, History, JobKind, Typical
from daemon.job import State

ENTRY = Entry(
    job_id="j1",
    folder_id="f1",
    path="portraits/人像\n\udcff.png",
    image_sha256="aa",
    content_key="kk",
    state=State.DONE,
    results=("outbox/a.png", "outbox/a_2.png"),
    total_seconds=10.0,
    denoise_seconds=8.0,
    steps=4,
    width=640,
    height=480,
    finished_at=1000.0,
)


class Said(list[str]):
    def __call__(self, sentence: str) -> None:
        self.append(sentence)


@pytest.fixture
def said() -> Said:
    return Said()


def knows_it_alone(history: History) -> bool:
    return history.last("f1", ENTRY.path) == ENTRY and history.counts_since("f1", 0.0) == Counts(
        done=1
    )


def test_an_entry_survives_the_file_being_closed(tmp_path: Path, said: Said) -> None:
    first = History(tmp_path, said)
    first.record(ENTRY)
    first.close()
    second = History(tmp_path, said)
    assert second.earlier("f1", ENTRY.path, "kk") == ENTRY
    second.close()
    assert said == []


def test_earlier_is_the_newest_done_with_this_content(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    newer = replace(ENTRY, job_id="j2", finished_at=2000.0)
    failed = replace(ENTRY, job_id="j3", finished_at=3000.0, state=State.FAILED)
    other = replace(ENTRY, job_id="j4", finished_at=4000.0, content_key="zz")
    for entry in (newer, ENTRY, failed, other):
        history.record(entry)
    assert history.earlier("f1", ENTRY.path, "kk") == newer
    assert history.last("f1", ENTRY.path) == other
    assert history.earlier("f2", ENTRY.path, "kk") is None
    history.close()


def test_the_same_job_again_replaces_its_entry(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    history.record(replace(ENTRY, state=State.FAILED))
    history.record(ENTRY)
    assert knows_it_alone(history)
    history.close()


@pytest.mark.parametrize(
    ("moves", "state"),
    [
        ((("review/a.png", "outbox/a.png"),), State.REVIEW),
        ((("review/a.png", "outbox/a.png"), ("review/b.png", "failed/b.png")), State.DONE),
        ((("review/a.png", "failed/a.png"), ("review/b.png", "failed/b.png")), State.FAILED),
    ],
)
def test_a_job_has_ended_by_where_its_results_lie(
    tmp_path: Path, said: Said, moves: tuple[tuple[str, str], ...], state: State
) -> None:
    history = History(tmp_path, said)
    history.record(replace(ENTRY, state=State.REVIEW, results=("review/a.png", "review/b.png")))
    for result, where in moves:
        history.moved(ENTRY.job_id, result, where)
    history.moved("another", "review/a.png", "outbox/a.png")
    last = history.last(ENTRY.folder_id, ENTRY.path)
    assert last is not None
    assert (last.state, last.finished_at) == (state, ENTRY.finished_at)
    assert {where for _, where in moves} <= set(last.results)
    history.close()


def test_counts_begin_at_the_given_time(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    for number, state in enumerate([State.FAILED, State.DONE, State.DONE, State.QUARANTINED]):
        history.record(
            replace(ENTRY, job_id=str(number), state=state, finished_at=1000.0 + number)
        )
    assert history.counts_since("f1", 1001.0) == Counts(done=2, quarantined=1)
    assert history.counts_since("f2", 0.0) == Counts()
    history.close()


KIND = JobKind("m", 0.0, is_guided=False)
MEASURED = replace(
    ENTRY,
    results=("outbox/a.png",),
    model="m",
    encode_seconds=1.0,
    decode_seconds=0.5,
    finish_seconds=0.25,
)


def test_what_jobs_of_a_kind_took_is_the_median(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    assert history.typical(KIND) is None
    for number, denoise in enumerate([4.0, 8.0, 800.0]):
        entry = replace(MEASURED, job_id=str(number), denoise_seconds=denoise)
        history.record(replace(entry, total_seconds=denoise + 2.0))
    assert history.typical(KIND) == Typical(
        step=2.0, encode=1.0, decode=0.5, around=2.0, finish=0.25
    )
    assert history.usual_seconds("m") == 10.0
    history.close()


def test_what_several_results_took_is_told_of_one(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    history.record(replace(MEASURED, results=("a_s1.png", "a_s2.png"), steps=8))
    assert history.typical(KIND) == Typical(
        step=1.0, encode=0.5, decode=0.25, around=1.0, finish=0.25
    )
    history.close()


@pytest.mark.parametrize(
    "other",
    [
        replace(MEASURED, megapixels=4.0),
        replace(MEASURED, guided=1),
        replace(MEASURED, model="n"),
        replace(MEASURED, model=""),
        replace(MEASURED, state=State.REVIEW),
    ],
    ids=["another area", "with guidance", "another model", "not measured", "not done"],
)
def test_jobs_of_another_kind_say_nothing(tmp_path: Path, said: Said, other: Entry) -> None:
    history = History(tmp_path, said)
    history.record(other)
    assert history.typical(KIND) is None
    history.record(replace(MEASURED, job_id="j2"))
    assert history.typical(KIND) is not None
    history.close()


_NO_KINDS = [
    "DROP INDEX jobs_by_kind",
    *(
        f"ALTER TABLE jobs DROP COLUMN {name}"
        for name in ("model", "guided", "encode_seconds", "decode_seconds", "finish_seconds")
    ),
]
_BACK_TO = {  # what a file of an earlier version has not
    1: ["DROP INDEX jobs_by_time", *_NO_KINDS, "ALTER TABLE jobs DROP COLUMN megapixels"],
    2: [*_NO_KINDS, "ALTER TABLE jobs DROP COLUMN megapixels"],
    3: _NO_KINDS,
}


@pytest.mark.parametrize("version", _BACK_TO)
def test_a_file_of_an_earlier_version_is_read_and_brought_up_to_date(
    tmp_path: Path, said: Said, version: int
) -> None:
    history = History(tmp_path, said)
    history.record(ENTRY)
    history.close()
    with sqlite3.connect(tmp_path / "history.sqlite3") as file:
        for statement in (*_BACK_TO[version], f"PRAGMA user_version = {version}"):
            file.execute(statement)
    file.close()
    looking = History(tmp_path, said, look=True)
    assert knows_it_alone(looking)
    looking.close()
    writing = History(tmp_path, said)
    assert knows_it_alone(writing)
    assert writing.earlier("f1", ENTRY.path, "kk") == ENTRY
    assert writing.typical(KIND) is None  # it was not measured in that way
    writing.close()
    assert said == []


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 99, b"SQLite"])
def test_a_broken_file_is_moved_aside_and_said(tmp_path: Path, said: Said, content: bytes) -> None:
    (tmp_path / "history.sqlite3").write_bytes(content)
    history = History(tmp_path, said)
    history.record(ENTRY)
    assert history.last("f1", ENTRY.path) == ENTRY
    assert (tmp_path / "history.sqlite3.aside-1").read_bytes() == content
    assert len(said) == 1
    assert "aside-1. No job is lost" in said[0]
    history.close()


def test_a_file_of_a_newer_program_is_moved_aside_whole(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    history.record(ENTRY)
    history.close()
    with sqlite3.connect(tmp_path / "history.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    later = History(tmp_path, said)
    assert later.counts_since("f1", 0.0) == Counts()
    assert "version 99" in said[0]
    later.close()
    aside = sqlite3.connect(tmp_path / "history.sqlite3.aside-1")
    assert aside.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    aside.close()


def test_what_is_not_yet_in_the_file_goes_aside_with_it(tmp_path: Path, said: Said) -> None:
    other = sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("PRAGMA user_version = 99")  # in the log beside the file, as long as it is open
    history = History(tmp_path, said)
    history.record(ENTRY)
    aside = sqlite3.connect(tmp_path / "history.sqlite3.aside-1")
    assert aside.execute("PRAGMA user_version").fetchone() == (99,)
    assert knows_it_alone(history)
    for connection in (aside, history, other):
        connection.close()
    assert len(said) == 1


def test_a_file_that_breaks_while_open_is_replaced(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    vandal = sqlite3.connect(tmp_path / "history.sqlite3")
    vandal.execute("DROP TABLE jobs")
    vandal.close()
    history.record(ENTRY)
    history.record(ENTRY)
    assert knows_it_alone(history)
    assert len(said) == 1
    history.close()


def test_without_a_usable_folder_it_says_so_once_and_goes_on(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path / "missing", said)
    history.record(ENTRY)
    assert history.counts_since("f1", 0.0) == Counts()
    assert len(said) == 1
    assert "jobs go on without it" in said[0]
    history.close()


def test_looking_makes_and_moves_nothing(tmp_path: Path, said: Said) -> None:
    History(tmp_path, said, look=True).close()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "history.sqlite3").write_bytes(b"broken" * 999)
    look = History(tmp_path, said, look=True)
    assert look.counts_since("f1", 0.0) == Counts()
    assert [file.name for file in tmp_path.iterdir()] == ["history.sqlite3"]
    assert len(said) == 1


def test_another_process_may_look_while_it_is_open(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)
    history.record(ENTRY)
    look = History(tmp_path, said, look=True)
    assert look.last("f1", ENTRY.path) == ENTRY
    look.record(replace(ENTRY, job_id="j2"))
    assert knows_it_alone(history)
    look.close()
    history.close()


def test_threads_may_record_at_once(tmp_path: Path, said: Said) -> None:
    history = History(tmp_path, said)

    def record(start: int) -> None:
        for number in range(start, start + 50):
            history.record(replace(ENTRY, job_id=str(number)))

    threads = [threading.Thread(target=record, args=(start,)) for start in (0, 50, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert history.counts_since("f1", 0.0) == Counts(done=150)
    assert said == []
    history.close()


@pytest.mark.parametrize("forged", ["state = 'perhaps'", "total_seconds = 9e999"])
def test_a_row_that_is_not_sound_is_not_believed(tmp_path: Path, said: Said, forged: str) -> None:
    history = History(tmp_path, said)
    history.record(ENTRY)
    with contextlib.closing(sqlite3.connect(tmp_path / "history.sqlite3")) as file, file:
        file.execute(f"UPDATE jobs SET {forged}")
    assert history.last("f1", ENTRY.path) is None
    history.typical(KIND)
    history.close()
    assert said == []


def test_the_oldest_jobs_are_forgotten_and_the_newest_are_known(
    tmp_path: Path, said: Said
) -> None:
    for number in range(6):
        # Opened for each: the first record of a history has it forget.
        history = History(tmp_path, said, most=3)
        name = f"{number}.png"
        history.record(replace(ENTRY, job_id=name, path=name, finished_at=float(number)))
        history.close()
    history = History(tmp_path, said, look=True)
    known = [n for n in range(6) if history.earlier("f1", f"{n}.png", "kk") is not None]
    history.close()
    assert known == [3, 4, 5]
    assert said == []
