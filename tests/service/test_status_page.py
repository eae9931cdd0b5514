"""STATUS.txt: what it says, and when it is another one."""

from dataclasses import replace
from typing import Any

import pytest
from sample import active, candidate, plan, resumable, seen

from daemon.control.documents import ReviewStatus, Turn
from daemon.folder.messages import StatusChanged
from daemon.history import Counts
from daemon.job import FileState, FolderState, Ignored, State
from daemon.jobs.job_run import Editing, Waiting
from daemon.service.status import job_status
from daemon.service.status_page import (
    FolderFacts,
    StatusPage,
    StatusPages,
    last_page,
    page_of,
)
from daemon.spool.failed_jobs import FailedJob

ONLINE = StatusChanged(FolderState.ONLINE, "")
EDITED, NEXT = active(1, Editing(index=0, step=3, steps=40, since=0.0)), active(2, Waiting())
NOTHING = FolderFacts(
    root="/srv/hot",
    stands=ONLINE,
    plan=plan(),
    jobs=(),
    turns={},
    today=Counts(),
    day="2026-11-28",
    reviews=(),
    is_loading=False,
)
BUSY = replace(
    NOTHING,
    plan=replace(
        plan(candidate(seen("album/a.jpg")), candidate(seen("b.jpg"))),
        states=(
            FileState("album/a.jpg", State.READY, "ready"),
            FileState("b.jpg", State.READY, "ready"),
            FileState("c.jpg", State.WAITING_SIDECAR, "waits for c.yaml since 12:04"),
            FileState("d.jpg", State.HELD, "waits for logo.png"),
            FileState("d.yaml", State.HELD, "with d.jpg: waits for logo.png"),
            FileState("e.jpg", State.SETTLING, "unchanged for 0.5 s of 2 s"),
        ),
        ignored=(Ignored("f.heic", "a HEIC picture: save it as JPEG"),),
    ),
    jobs=(job_status(EDITED, 9.0, 42.0), job_status(NEXT, 9.0, None)),
    turns={
        NEXT.job.job_id: Turn(0, 3, 60.0),
        "album/a.jpg": Turn(1, 3, 242.0),
        "b.jpg": Turn(2, 3, None),
    },
    today=Counts(done=1041, review=1, failed=3),
    reviews=(ReviewStatus(file="r.jpg", result="review/r.jpg", reason="min_keep_psnr: 20 dB"),),
)


def text(facts: FolderFacts, *failed_jobs: FailedJob) -> str:
    return page_of(facts).text(0.0, failed_jobs)


def test_a_busy_folder_says_all_that_people_ask_for() -> None:
    bad = FailedJob("bad.jpg", "bad.yaml, line 2: 'promt' is no key.")
    head, written, *rest = text(BUSY, bad).split("\n")
    assert head == "How the hot folder hot stands"
    assert written.startswith("Written on 19")
    assert (
        "\n".join(rest)
        == """
What is dropped into inbox/ is edited.

Being edited:
  1.png: step 3 of 40, about 42 s more

In the queue: 3 pictures
  1st: 2.png, in about 60 s
  2nd: album/a.jpg, in about 4 min
  3rd: b.jpg

Waiting for something:
  c.jpg: waits for c.yaml since 12:04
  d.jpg: waits for logo.png
  1 file still being copied

To be looked at, in review/:
  review/r.jpg: min_keep_psnr: 20 dB

Failed today, in failed/2026-11-28, each with a WHY.txt:
  bad.jpg: bad.yaml, line 2: 'promt' is no key.

Ignored:
  f.heic: a HEIC picture: save it as JPEG

Today: 1,041 done, 1 to be looked at, 3 failed.
"""
    )


def test_a_folder_without_anything_is_short() -> None:
    assert text(NOTHING).split("\n")[2:] == [
        *("", "What is dropped into inbox/ is edited.", "", "Today: 0 done.", "")
    ]


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (FolderState.PAUSED, "outside its hours, until Mon 20:00", "is paused: outside its hours"),
        (FolderState.LOW_SPACE, "/srv has 1.2 GiB free", "is low on space: /srv has 1.2 GiB free"),
        (FolderState.ONLINE, "logs/LOG.txt: Permission denied", "But: logs/LOG.txt: Permission"),
    ],
)
def test_it_says_why_nothing_is_begun(state: FolderState, reason: str, words: str) -> None:
    assert words in text(replace(NOTHING, stands=StatusChanged(state, reason)))


def test_a_job_that_is_tried_again_waits_and_its_seconds_are_no_news() -> None:
    rests = job_status(resumable(3, until=42.0), 9.0, None)
    facts = replace(NOTHING, jobs=(rests,))
    said = text(facts)
    assert "Waiting for something:\n  3.png: it was tired, tried again in 33 s\n" in said
    assert "Being edited" not in said
    later = replace(facts, jobs=(replace(rests, retry_in_seconds=12.0),))
    assert page_of(later) == page_of(facts)


def test_a_model_that_is_loading_is_said() -> None:
    assert "The model is being loaded." in text(replace(NOTHING, is_loading=True))


def test_of_thousands_a_few_are_listed_and_the_rest_counted() -> None:
    many = plan(*(candidate(seen(f"{number}.jpg")) for number in range(5000)))
    said = text(replace(NOTHING, plan=many))
    assert "In the queue: 5,000 pictures" in said
    assert "  and 4,980 more" in said
    assert len(said.splitlines()) < 30


def test_a_name_of_several_lines_is_one_line() -> None:
    odd = plan(candidate(seen("a\nFailed today: 9.jpg\udcff")))
    assert r"a\nFailed today: 9.jpg%FF" in text(replace(NOTHING, plan=odd))


def test_a_long_cause_is_cut() -> None:
    long = FailedJob("a.jpg", "words " * 100)
    assert max(map(len, text(NOTHING, long).splitlines())) < 200


JOB = BUSY.jobs[0]
SAME: dict[str, dict[str, Any]] = {
    "seconds of a job": {"jobs": (replace(JOB, seconds=19.0, eta_seconds=32.0), BUSY.jobs[1])},
    "seconds of the queue": {"turns": {**BUSY.turns, "album/a.jpg": Turn(1, 3, 232.0)}},
    "free space": {"stands": StatusChanged(FolderState.LOW_SPACE, "it has 1.3 GiB free")},
}
OTHER: dict[str, dict[str, Any]] = {
    "a step": {"jobs": (replace(JOB, step=4), BUSY.jobs[1])},
    "a place": {"turns": {**BUSY.turns, "album/a.jpg": Turn(2, 3, 242.0)}},
    "a job done": {"today": replace(BUSY.today, done=1042)},
    "a failure": {"today": replace(BUSY.today, failed=4)},
    "a pause": {"stands": StatusChanged(FolderState.PAUSED, "by hand")},
    "another day": {"day": "2026-11-29"},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_what_only_runs_makes_no_other_page(changes: dict[str, Any]) -> None:
    low = StatusChanged(FolderState.LOW_SPACE, "it has 1.2 GiB free")
    before = replace(BUSY, stands=low) if "stands" in changes else BUSY
    assert page_of(replace(before, **changes)) == page_of(before)


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
def test_what_has_happened_does(changes: dict[str, Any]) -> None:
    assert page_of(replace(BUSY, **changes)) != page_of(BUSY)


def test_the_last_page_says_that_nothing_is_edited_any_more() -> None:
    bad = FailedJob("bad.jpg", "it is empty.")
    said = last_page("/srv/hot", "asked to by SIGTERM", "2026-11-28").text(0.0, [bad])
    assert "in failed/2026-11-28, each with a WHY.txt:\n  bad.jpg: it is empty.\n" in said
    assert "Hotfolder has stopped (asked to by SIGTERM), and nothing is edited." in said
    assert said.startswith("How the hot folder hot stands\nWritten on ")


class TestWhenItIsWritten:
    """At most every 10 s, and only where it has changed."""

    PAGE, OTHER_PAGE = page_of(NOTHING), page_of(BUSY)

    def shown(self) -> StatusPages:
        """The page is there since 100 s."""
        pages = StatusPages()
        assert self.is_due(pages, 1, 100.0)
        assert pages.is_news("/hot", 1, self.PAGE, 100.0)
        return pages

    def is_due(self, pages: StatusPages, signature: object, now: float) -> bool:
        return pages.has_rested("/hot", now) and pages.is_changed("/hot", signature)

    def test_nothing_is_made_while_nothing_happens(self) -> None:
        assert not self.is_due(self.shown(), 1, 9999.0)

    def test_what_happens_is_written_when_ten_seconds_are_over(self) -> None:
        pages = self.shown()
        assert not self.is_due(pages, 2, 109.9)
        assert self.is_due(pages, 2, 110.0)
        assert pages.is_news("/hot", 2, self.OTHER_PAGE, 110.0)

    def test_the_same_page_is_not_written_again(self) -> None:
        pages = self.shown()
        assert not pages.is_news("/hot", 2, self.PAGE, 110.0)
        assert not self.is_due(pages, 2, 130.0)

    def test_after_another_daemon_it_is(self) -> None:
        pages = self.shown()
        pages.forget("/hot")
        assert self.is_due(pages, 1, 101.0)
        assert pages.is_news("/hot", 1, self.PAGE, 101.0)

    def test_each_hot_folder_has_its_own(self) -> None:
        assert self.shown().has_rested("/other", 100.0)


def test_a_page_of_ten_thousand_files_is_the_same_page_again() -> None:
    many = plan(*(candidate(seen(f"{number}.jpg")) for number in range(10_000)))
    assert page_of(replace(NOTHING, plan=many)) == page_of(replace(NOTHING, plan=many))
    assert isinstance(page_of(NOTHING), StatusPage)
