"""The power may fail at any step from a claim to the filing of its job."""

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from faults import Fault, Ledger, Way
from sample import TICKET, candidate, finished, resolved_job, seen

from daemon.fs.hot_folder import make_hot_folder
from daemon.job import Job
from daemon.spool.receipts import FinishedJob
from daemon.spool.spool import Spool

DAY = "2026-11-22"


class Hot:
    """A hot folder with a pair in its inbox."""

    def __init__(self, base: Path) -> None:
        self.root, self.scratch, self.results = base / "hot", base / "scratch", base / "results"
        self.taken = self.root / "taken"  # what somebody has taken out of the outbox
        for folder in (self.root, self.results):
            folder.mkdir(parents=True)
        make_hot_folder(self.root, "the-id")
        self.taken.mkdir()
        for name in ("cat.png", "cat.yaml"):
            (self.root / "inbox" / name).write_text(name)
        self.spool = Spool(self.root)

    def claim(self) -> Job:
        """Claim the pair, and begin its first attempt."""
        image, sidecar = (seen(it, self.spool.inbox) for it in ("cat.png", "cat.yaml"))
        job = self.spool.claim(candidate(image, sidecar=sidecar), frozenset(), TICKET)
        return self.spool.begin_attempt(self.spool.copy_to_scratch(job, self.scratch))

    def edited(self, job: Job) -> FinishedJob:
        """The job with the result of its edit."""
        return finished(resolved_job(job, scratch=self.results), b"edited")

    def publish(self, job: Job) -> None:
        """Put the result into the outbox."""
        now = (float(number) for number in count())
        self.spool.publication(job.job_id).publish(self.edited(job), now, ())

    def take(self) -> None:
        """Take the result away for good, as somebody who waits for receipts does."""
        for name in ("cat.png.json", "cat.png"):
            os.rename(self.root / "outbox" / name, self.taken / name)  # noqa: PTH104 - a step
        synced(self.taken, self.root / "outbox")

    def tidy(self, job: Job) -> None:
        """Remove the notes on what is published, as somebody does who sees an empty file."""
        os.unlink(self.spool.work(job.job_id) / "published.json")  # noqa: PTH108 - a step
        synced(self.spool.work(job.job_id))

    def whole_job(self, somebody: str = "") -> None:
        """From the inbox to done/, while somebody does something."""
        job = self.claim()
        if somebody == "tidies":
            self.tidy(job)
        self.publish(job)
        if somebody == "takes":
            self.take()
        self.spool.file_done(job, DAY)
        os.mkdir(self.root / "afterwards")  # noqa: PTH102 - a step

    def recover(self) -> None:
        """What the next daemon does."""
        for left in self.spool.recover():
            publication = self.spool.publication(left.job.job_id)
            assert left.is_known, "its record is lost"
            if not left.is_begun:
                self.spool.release(left.job)
                continue
            if not publication.is_complete(left.job):
                publication.clear_half_done(left.job)
                self.publish(left.job)
            self.spool.file_done(left.job, DAY)
        if (self.root / "inbox" / "cat.png").exists():
            self.whole_job()

    def files(self, *areas: str) -> dict[str, str]:
        """What lies in some areas, by its names there."""
        paths = (path for area in areas for path in (self.root / area).rglob("*"))
        return {path.name: path.read_text() for path in paths if path.is_file()}


def synced(*folders: Path) -> None:
    """See to it that the names in some folders survive a power cut."""
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def in_a_child(root: Path, fault: Fault | None, act: Callable[[], object]) -> Iterator[str]:
    """The steps that a process of its own takes below a root until its end, or a fault."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            Ledger(str(root), fault, lambda step: os.write(writing, step.encode())).install()
            act()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as steps:
        yield from steps.read().splitlines()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (-signal.SIGKILL if fault else 0)


def hot_folders(base: Path) -> Iterator[Hot]:
    return (Hot(base / str(number)) for number in count())


@pytest.mark.parametrize("somebody", ["waits", "takes", "tidies"])
def test_nothing_is_lost_nor_there_twice(tmp_path: Path, somebody: str) -> None:
    fresh = hot_folders(tmp_path)

    def steps_of(hot: Hot, fault: Fault | None) -> list[str]:
        return [*in_a_child(hot.root, fault, lambda: hot.whole_job(somebody))]

    changes = [it[1:] for it in steps_of(next(fresh), None) if it.startswith("!")]
    assert len(changes) > 40
    for step in changes:
        hot = next(fresh)
        steps_of(hot, Fault(step, Way.CUT))
        hot.recover()
        assert hot.files("done") == {"cat.png": "cat.png", "cat.yaml": "cat.yaml"}, step
        assert hot.files("inbox", "failed", ".hotfolder/work") == {}, step
        results = [hot.files(area) for area in ("outbox", "taken")]
        assert sorted(map(sorted, results)) == [[], ["cat.png", "cat.png.json"]], step
        assert "edited" in max(results, key=len).values(), step


def test_a_note_is_known_though_the_one_before_it_was_torn(tmp_path: Path) -> None:
    hot = Hot(tmp_path)
    job = hot.claim()
    (hot.spool.work(job.job_id) / "published.json").write_bytes(b'{"variants": 1, "res\0\0')
    publication = hot.spool.publication(job.job_id)
    with pytest.raises(StopIteration):
        publication.publish(hot.edited(job), iter([1.0]), ())
    assert hot.files("outbox") == {"cat.png": "edited"}
    publication.clear_half_done(job)
    assert hot.files("outbox") == {}
