"""What people want is done whole or not at all, wherever the daemon dies over it."""

import contextlib
import queue
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from dying import ends_within
from paper import WHOLE
from sample import TICKET, candidate, folder_worker, seen

from daemon.clock import day_of
from daemon.folder import messages
from daemon.folder.file_requests import FileRequests
from daemon.fs.hot_folder import make_hot_folder
from daemon.inbox.cancel_files import WaitingJob
from daemon.job import Candidate, Job, Plan, Seen, State
from daemon.spool.receipts import FailureReason
from daemon.spool.records import ClaimTicket
from daemon.spool.spool import Spool


class StoppedClock:
    """It is the same moment all day."""

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return 1_763_800_000.0


CLOCK = StoppedClock()
DAY = day_of(CLOCK.time())
FAILED = f"failed/{DAY}/cat"
PAIR = {"sub/cat.png": WHOLE, "sub/cat.txt": b"blue"}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    root = tmp_path / "hot"
    make_hot_folder(root, "the-id")
    return Spool(root)


@pytest.fixture
def file_requests(spool: Spool) -> FileRequests:
    return FileRequests(spool, CLOCK)


def drop(spool: Spool) -> None:
    for name, content in PAIR.items():
        path = spool.inbox / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def claimed(spool: Spool) -> Job:
    """A job whose first attempt has begun."""
    drop(spool)
    image, sidecar = (seen(name, spool.inbox) for name in PAIR)
    job = spool.claim(candidate(image, sidecar=sidecar), frozenset(), TICKET)
    return spool.begin_attempt(job)


def below(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@contextlib.contextmanager
def unmovable(file: Path) -> Iterator[None]:
    """A file that nobody, not even root, may move; needs root and a disk that knows it."""
    command = subprocess.run(["chattr", "+i", file], capture_output=True, check=False)
    if command.returncode:
        pytest.skip(f"{file} cannot be sealed: {command.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", file], check=True)


def filed(spool: Spool) -> dict[str, bytes]:
    """The content of every file in done/, whatever day it is for the one who filed it."""
    files = below(spool.root / "done")
    return {name.partition("/")[2]: content for name, content in files.items()}


def recover(spool: Spool, scratch: Path) -> Plan:
    """What the folder worker of a new daemon does first."""
    answers: queue.SimpleQueue[messages.FolderReply] = queue.SimpleQueue()
    one = folder_worker(spool.root, scratch, lambda mail: answers.put(mail.reply))
    one.start()
    one.submit(messages.Scan())
    while not isinstance(answer := answers.get(timeout=20), messages.Scanned):
        pass
    one.submit(messages.Stop())
    one.join(20)
    return answer.plan


class BusySpool(Spool):
    """Somebody writes to the picture as often as that, each time after a look at it."""

    def __init__(self, root: Path, changes: int) -> None:
        super().__init__(root)
        self._changes = changes

    def claim(self, candidate: Candidate, kept: frozenset[str], ticket: ClaimTicket) -> Job:
        if self._changes:
            self._changes -= 1
            with (self.inbox / candidate.image.path).open("ab") as picture:
                picture.write(b"more")
        return super().claim(candidate, kept, ticket)


class TestWithdrawing:
    """Files leave the inbox together."""

    WISH = messages.CancelWaiting(
        WaitingJob(image="sub/cat.png", others=("sub/cat.txt",), kept=frozenset())
    )

    def test_a_pair_is_filed_as_cancelled(self, spool: Spool, file_requests: FileRequests) -> None:
        drop(spool)
        answer = file_requests.grant(self.WISH)
        assert isinstance(answer, messages.Filed)
        assert (answer.state, answer.where) == (State.CANCELLED, f"done/{DAY}/sub")
        assert below(spool.root / "done" / DAY) == PAIR
        assert below(spool.inbox) == below(spool.root / ".hotfolder" / "work") == {}

    def test_whenever_it_dies_the_pair_is_together(
        self, spool: Spool, file_requests: FileRequests, tmp_path: Path
    ) -> None:
        steps, ended = 0, False
        while not ended:
            drop(spool)
            ended = ends_within(steps, spool.root, partial(file_requests.grant, self.WISH))
            recover(spool, tmp_path / "scratch")
            assert (below(spool.inbox), filed(spool)) in ((PAIR, {}), ({}, PAIR)), steps
            shutil.rmtree(spool.root / "done")
            steps += 1
        assert steps > 10

    @pytest.mark.parametrize("changes", [1, 2])
    def test_a_pair_that_changes_meanwhile_is_looked_at_again(
        self, spool: Spool, changes: int
    ) -> None:
        drop(spool)
        busy = BusySpool(spool.root, changes)
        answer = FileRequests(busy, CLOCK).grant(self.WISH)
        assert isinstance(answer, messages.Filed)
        assert (answer.state, answer.where) == (State.CANCELLED, f"done/{DAY}/sub")
        content = {"sub/cat.png": WHOLE + b"more" * changes, "sub/cat.txt": b"blue"}
        assert below(spool.root / "done" / DAY) == content
        assert below(spool.inbox) == below(spool.root / ".hotfolder" / "work") == {}

    def test_a_pair_that_keeps_changing_stays(self, spool: Spool) -> None:
        drop(spool)
        answer = FileRequests(BusySpool(spool.root, 3), CLOCK).grant(self.WISH)
        reason = "it is being written to; cancel it again in a moment"
        assert answer == messages.CancelRefused("sub/cat.png", reason)
        assert set(below(spool.inbox)) == set(PAIR)
        assert below(spool.root / ".hotfolder" / "work") == {}

    def test_what_is_gone_is_said(self, file_requests: FileRequests) -> None:
        answer = file_requests.grant(self.WISH)
        assert answer == messages.CancelRefused("sub/cat.png", "it is not there any more")


class TestFilingACancelledJob:
    """Once decided it is never run again."""

    def test_whenever_it_dies_it_is_claimed_or_filed(
        self, spool: Spool, file_requests: FileRequests, tmp_path: Path
    ) -> None:
        steps, ended = 0, False
        names = {name.rpartition("/")[2]: content for name, content in PAIR.items()}
        while not ended:
            job = claimed(spool)
            act = partial(file_requests.file, job, State.CANCELLED)
            ended = ends_within(steps, spool.root, act)
            recover(spool, tmp_path / "scratch")
            work = below(spool.root / ".hotfolder" / "work" / job.job_id)
            for ours in ("job.json", "published.json"):
                work.pop(ours, None)
            assert (filed(spool), work) in ((PAIR, {}), ({}, names)), steps
            assert below(spool.inbox) == {}
            file_requests.file(job, State.CANCELLED)
            assert filed(spool) == PAIR, steps
            shutil.rmtree(spool.root / "done")
            steps += 1
        assert steps > 8

    def test_its_folder_in_work_may_be_cleaned_away(
        self, spool: Spool, file_requests: FileRequests
    ) -> None:
        job = claimed(spool)
        for path in spool.work(job.job_id).iterdir():
            path.unlink()
        spool.work(job.job_id).rmdir()
        file_requests.file(job, State.CANCELLED)
        assert below(spool.root / ".hotfolder" / "work") == {}


class TestTakingBack:
    """A failed job's files go home, each once."""

    def fail(self, spool: Spool) -> None:
        why = FailureReason(State.FAILED, "It is broken.", "Mend it.")
        spool.file_failed(claimed(spool), DAY, why, "{}")

    def test_they_are_back_and_their_papers_gone(
        self, spool: Spool, file_requests: FileRequests
    ) -> None:
        self.fail(spool)
        answer = file_requests.grant(messages.Requeue(FAILED))
        assert answer == messages.Requeued(FAILED, ("sub/cat.png", "sub/cat.txt"), ())
        assert (below(spool.inbox), below(spool.root / "failed")) == (PAIR, {})

    def test_whenever_it_dies_each_file_is_there_once_and_a_second_call_ends_it(
        self, spool: Spool, file_requests: FileRequests, tmp_path: Path
    ) -> None:
        steps, ended = 0, False
        while not ended:
            self.fail(spool)
            ended = ends_within(
                steps, spool.root, partial(file_requests.grant, messages.Requeue(FAILED))
            )
            recover(spool, tmp_path / "scratch")
            home, there = below(spool.inbox), set(below(spool.root / FAILED))
            assert {name.rpartition("/")[2] for name in home} | there >= {"cat.png", "cat.txt"}
            # A picture without its instruction might be edited by a preset.
            assert "sub/cat.png" not in home or "sub/cat.txt" in home, steps
            assert there >= {"WHY.txt"} or not there - {"report.json"}, steps
            file_requests.grant(messages.Requeue(FAILED))
            recover(spool, tmp_path / "scratch")
            assert (below(spool.inbox), below(spool.root / "failed")) == (PAIR, {}), steps
            for name in PAIR:
                (spool.inbox / name).unlink()
            steps += 1
        assert steps > 10

    def test_what_may_not_be_taken_stays_together_and_is_said(
        self, spool: Spool, file_requests: FileRequests
    ) -> None:
        self.fail(spool)
        before = below(spool.root / FAILED)
        with unmovable(spool.root / FAILED / "cat.png"):
            answer = file_requests.grant(messages.Requeue(FAILED))
        assert isinstance(answer, messages.Requeued)
        assert "may not be moved by this user" in str(answer.problems[0])
        assert below(spool.root / FAILED) == before
        assert below(spool.root / ".hotfolder" / "work") == below(spool.inbox) == {}

    @pytest.mark.parametrize("folder", ["inbox", "failed/x", "failed/../inbox/a", "/etc/a/b", ""])
    def test_what_is_no_folder_of_a_failed_job_is_refused(
        self, file_requests: FileRequests, folder: str
    ) -> None:
        answer = file_requests.grant(messages.Requeue(folder))
        assert isinstance(answer, messages.Requeued)
        assert answer.problems


class TestTakingAway:
    """What has served its purpose leaves the inbox."""

    def take(self, file_requests: FileRequests, file: Seen) -> messages.FiledAway:
        answer = file_requests.grant(messages.FileAway(file))
        assert isinstance(answer, messages.FiledAway)
        return answer

    def test_it_goes_to_done_beside_others_of_its_name(
        self, spool: Spool, file_requests: FileRequests
    ) -> None:
        for expected in ("cat.cancel", "cat.cancel_2"):
            (spool.inbox / "cat.cancel").write_text("x")
            answer = self.take(file_requests, seen("cat.cancel", spool.inbox))
            assert answer.where == f"done/{DAY}/{expected}"

    def test_one_that_was_written_again_stays(
        self, spool: Spool, file_requests: FileRequests
    ) -> None:
        (spool.inbox / "cat.cancel").write_text("x")
        before = seen("cat.cancel", spool.inbox)
        (spool.inbox / "cat.cancel").write_text("more")
        assert self.take(file_requests, before).where == ""
        assert set(below(spool.inbox)) == {"cat.cancel"}
