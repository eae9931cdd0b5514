import contextlib
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import wait_for
from paper import WHOLE
from rig.descriptors import descriptors_below
from rig.disk import SmallDisk
from sample import TICKET, HotFolderWorker, candidate, finished, resolved_job, seen

from config.instruction_keys import Keys
from daemon.clock import day_of
from daemon.events import events
from daemon.events.events import ThreadFailed
from daemon.folder import messages
from daemon.folder.resolve import Problems, Resolver
from daemon.inbox.cancel_files import WaitingJob
from daemon.job import EMPTY_PLAN, Candidate, FolderState, Job, ResolvedJob, State
from daemon.spool.receipts import FailureReason
from daemon.spool.scratch import ScratchDirs, save_finished
from daemon.spool.spool import Spool

TODAY = day_of(time.time())
WHY = FailureReason(State.FAILED, "It is broken.", "Mend it.")


class Kept(HotFolderWorker):
    """A hot folder with its folder worker at work."""

    def drop(self, name: str = "cat.png", sidecar: str = "prompt: blue\n") -> None:
        (self.inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (self.inbox / name).write_bytes(WHOLE)
        (self.inbox / name).with_suffix(".yaml").write_text(sidecar)

    def ready(self) -> Candidate:
        """The first candidate that a look finds."""
        self.submit(messages.Scan())
        return self.next(messages.Scanned, lambda looked: looked.plan.ready).plan.ready[0]

    def claim_in(self, folder: str) -> ResolvedJob:
        """Drop a pair into a subfolder of the inbox and claim it."""
        (self.inbox / folder).mkdir()
        return self.claim(f"{folder}/cat.png")

    def stays_online(self) -> None:
        """Look once more: in no look it was anything else."""
        self.submit(messages.Scan())
        self.next(messages.Scanned)
        stood = [it.state for it in self.seen if isinstance(it, messages.StatusChanged)]
        assert stood == [FolderState.ONLINE]

    def claim(self, name: str = "cat.png") -> ResolvedJob:
        """Drop a pair and claim it."""
        self.drop(name)
        self.ready()
        self.submit(messages.ClaimNext())
        return self.next(messages.Claimed).resolved_job

    def stands(self, state: FolderState) -> messages.StatusChanged:
        """Look until it stands so."""
        self.submit(messages.Scan())
        return self.next(messages.StatusChanged, lambda stands: stands.state is state)

    def tree(self) -> dict[str, tuple[int, int]]:
        """Everything in the hot folder, with its times and inodes."""
        paths = (path for path in self.root.rglob("*"))
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in paths}


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Callable[[Path], Kept]]:
    """Puts a folder worker on a folder, and ends it with the test."""
    begun: list[Kept] = []

    def begin(root: Path) -> Kept:
        begun.append(Kept(root, tmp_path / "scratch"))
        return begun[-1]

    yield begin
    for kept in begun:
        if kept.folder_worker.ident is None:
            continue
        kept.end()


@pytest.fixture
def kept(tmp_path: Path, on: Callable[[Path], Kept]) -> Kept:
    """A folder worker at work."""
    one = on(tmp_path / "hot")
    one.folder_worker.start()
    return one


@contextlib.contextmanager
def sealed(folder: Path) -> Iterator[None]:
    """A folder in which nobody, not even root, may write; needs root and a disk that knows it."""
    command = subprocess.run(["chattr", "+i", folder], capture_output=True, check=False)
    if command.returncode:
        pytest.skip(f"{folder} cannot be sealed: {command.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


def long_below(top: Path, length: int) -> str:
    """A picture's path below a folder, with which its whole path has so many bytes."""
    left = length - len(os.fsencode(top / "cat.png"))
    whole, rest = divmod(left, 100)
    parts = ["d" * 99] * (whole - 1) + ["d" * (99 + rest)]
    return "/".join([*parts, "cat.png"])


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def status_of(text: str) -> messages.WriteStatus:
    return messages.WriteStatus("2026-11-28", lambda _: text)


class TestTheWayOfAJob:
    """Look, claim, resume, publish, file: each order has its answer."""

    def test_a_job_comes_from_the_inbox_to_the_outbox(self, kept: Kept) -> None:
        claimed = kept.claim()
        assert (claimed.recipe.prompt, claimed.job.attempts) == ("blue", 1)
        assert (claimed.scratch / "original-0").read_bytes() == WHOLE
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        assert kept.next(messages.Published).results == ("outbox/cat.png",)
        filed = kept.next(messages.Filed)
        assert filed.state is State.DONE
        assert below(kept.root / filed.where) == {"cat.png", "cat.yaml"}
        assert below(kept.root / "outbox") == {"cat.png", "cat.png.json"}
        assert below(kept.inbox) == below(kept.root / ".hotfolder" / "work") == set()
        assert not claimed.scratch.exists()

    def test_another_attempt_begins_with_fresh_copies_and_the_same_seed(self, kept: Kept) -> None:
        first = kept.claim()
        shutil.rmtree(first.scratch)
        kept.submit(messages.Reclaim(first.job, strike=True, alone=True))
        again = kept.next(messages.Claimed).resolved_job
        assert (again.job.attempts, again.job.strikes, again.job.alone) == (2, 1, True)
        assert again.recipe == first.recipe
        assert (again.scratch / "original-0").read_bytes() == WHOLE

    def test_a_changed_file_is_lost_and_stays(self, kept: Kept) -> None:
        kept.drop()
        kept.ready()
        (kept.inbox / "cat.yaml").write_text("prompt: red, after all\n")
        kept.submit(messages.ClaimNext())
        kept.next(messages.ClaimLost)
        assert below(kept.inbox) == {"cat.png", "cat.yaml"}

    def test_a_faulty_instruction_is_claimed_to_be_filed(self, kept: Kept) -> None:
        kept.drop(sidecar="promt: blue\n")
        kept.ready()
        kept.submit(messages.ClaimNext())
        invalid = kept.next(messages.Rejected)
        assert "'promt' is no key" in invalid.problems[0].what
        kept.submit(messages.FileFailed(invalid.job, WHY, invalid.instruction))
        where = kept.next(messages.Filed).where
        assert below(kept.root / where) == {"cat.png", "cat.yaml", "WHY.txt", "report.json"}

    def test_given_back_it_is_found_by_the_next_look(self, kept: Kept) -> None:
        claimed = kept.claim()
        kept.submit(messages.Release(claimed.job))
        kept.next(messages.Released)
        assert kept.ready().image.path == "cat.png"

    def test_a_folder_preset_holds_for_the_job(self, kept: Kept) -> None:
        (kept.inbox / "_preset.yaml").write_text("steps: 17\n")
        assert kept.claim().recipe.steps == 17


def test_a_command_walks_down_from_the_root_once(kept: Kept) -> None:
    kept.drop()
    kept.ready()
    walks: list[int] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and arguments[0] == f"{kept.root}/.":
            walks.append(threading.get_ident())

    sys.addaudithook(hook)
    kept.submit(messages.ClaimNext())
    kept.next(messages.Claimed)
    # Beside the claim's own there may be those of a scan before it.
    assert 1 <= walks.count(kept.folder_worker.ident or 0) <= 4


def test_between_two_commands_no_folder_of_the_share_is_held(kept: Kept) -> None:
    kept.claim()
    wait_for(lambda: not descriptors_below(kept.root))


class TestOffline:
    """Without its marker nothing in a folder is touched, and it goes on by itself."""

    def test_nothing_is_touched_and_all_is_done_when_it_is_back(self, kept: Kept) -> None:
        claimed = kept.claim()
        marker = kept.root / ".hotfolder" / "id"
        marker.rename(kept.scratch / "id")
        assert "share is not mounted" in kept.stands(FolderState.OFFLINE).reason
        before = kept.tree()
        kept.submit(messages.AppendLog(events.Noted(text="Hello."), 0.0))
        for text in ("of a moment that is over\n", "the newest\n"):
            kept.submit(status_of(text))
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        kept.submit(messages.ClaimNext())
        kept.next(messages.ClaimLost)  # none waits for a share
        for _ in range(2):  # looks that see nothing
            kept.submit(messages.Scan())
            with pytest.raises(queue.Empty):
                kept.answers.get(timeout=0.3)
        assert kept.tree() == before
        (kept.scratch / "id").rename(marker)
        kept.submit(messages.Scan())
        kept.next(messages.Filed)
        kept.next(messages.Scanned)
        kept.submit(messages.Scan())
        kept.next(messages.Scanned)
        assert list(kept.root.glob("logs/LOG-*"))
        assert (kept.root / "STATUS.txt").read_text() == "the newest\n"

    def test_several_finished_jobs_are_published_once_each_when_it_is_back(
        self, kept: Kept
    ) -> None:
        names = ("cat.png", "dog.png", "emu.png")
        resolver = [kept.claim(name) for name in names]
        marker = kept.root / ".hotfolder" / "id"
        marker.rename(kept.scratch / "id")
        for one in resolver:
            kept.submit(messages.Publish(finished(one, b"blue"), ()))
        kept.stands(FolderState.OFFLINE)
        (kept.scratch / "id").rename(marker)
        kept.submit(messages.Scan())
        for _ in names:
            kept.next(messages.Filed)
        assert sum(isinstance(answer, messages.Published) for answer in kept.seen) == 3
        results = {file for name in names for file in (name, f"{name}.json")}
        assert below(kept.root / "outbox") == results

    def test_another_folder_in_its_place_is_not_taken_for_it(self, kept: Kept) -> None:
        kept.stands(FolderState.ONLINE)
        (kept.root / ".hotfolder" / "id").write_text("of another share")
        assert "another hot folder" in kept.stands(FolderState.OFFLINE).reason

    def test_an_inbox_that_is_gone_takes_it_offline_until_it_is_back(self, kept: Kept) -> None:
        kept.stands(FolderState.ONLINE)
        kept.inbox.rename(kept.root / "elsewhere")
        assert str(kept.inbox) in kept.stands(FolderState.OFFLINE).reason
        (kept.root / "elsewhere").rename(kept.inbox)
        kept.stands(FolderState.ONLINE)

    def test_an_order_held_up_does_not_let_it_flap(self, kept: Kept) -> None:
        claimed = kept.claim()
        (kept.root / "done").rmdir()
        (kept.root / "done").write_text("in the way")
        kept.submit(messages.FileDone(claimed.job, State.CANCELLED, ()))
        kept.stands(FolderState.OFFLINE)
        for _ in range(5):
            kept.submit(messages.Scan())
            kept.next(messages.Recovered)  # the first thing in a look
        (kept.root / "done").unlink()
        (kept.root / "done").mkdir(exist_ok=True)  # the folder worker makes it too
        kept.stands(FolderState.ONLINE)
        stood = [
            answer.state for answer in kept.seen if isinstance(answer, messages.StatusChanged)
        ]
        assert stood == [FolderState.ONLINE, FolderState.OFFLINE, FolderState.ONLINE]
        assert any(isinstance(answer, messages.Filed) for answer in kept.seen)

    def test_a_log_that_nobody_may_write_stops_nothing_and_is_said_once(self, kept: Kept) -> None:
        kept.stands(FolderState.ONLINE)
        log = kept.root / "logs" / f"LOG-{TODAY}.txt"
        log.write_text("Somebody else's.\n")
        with sealed(log):
            for _ in range(3):
                kept.submit(messages.AppendLog(events.Noted(text="A line."), time.time()))
            kept.submit(messages.Scan())
            stands = kept.next(messages.StatusChanged, lambda stands: stands.reason)
            assert stands.state is FolderState.ONLINE
            reason = f"logs/LOG-{TODAY}.txt: Operation not permitted; give the daemon's user"
            assert stands.reason.startswith(reason)
            claimed = kept.claim()
            kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
            kept.next(messages.Filed)
        (told,) = [it.event for it in kept.seen if isinstance(it, messages.EventRaised)]
        assert isinstance(told, events.FolderNotLogged)
        assert told.reason == stands.reason
        kept.submit(messages.AppendLog(events.Noted(text="It can be written."), time.time()))
        kept.submit(messages.Scan())
        kept.next(messages.StatusChanged, lambda stands: not stands.reason)
        assert log.read_text().endswith("It can be written.\n")

    def test_a_status_that_cannot_be_written_stops_nothing_and_is_said_once(
        self, kept: Kept
    ) -> None:
        (kept.root / "STATUS.txt").mkdir()
        for text in ("one\n", "two\n"):
            kept.submit(status_of(text))
        kept.claim()
        (kept.root / "STATUS.txt").rmdir()
        kept.stays_online()
        (told,) = [it.event for it in kept.seen if isinstance(it, messages.EventRaised)]
        assert isinstance(told, events.StatusNotWritten)
        wait_for((kept.root / "STATUS.txt").exists)  # that look may have begun before
        assert (kept.root / "STATUS.txt").read_text() == "two\n"

    def test_a_result_whose_folder_is_a_file_is_filed_with_its_reason(self, kept: Kept) -> None:
        (kept.inbox / "s").mkdir()
        kept.drop("s/cat.png")
        kept.ready()
        kept.submit(messages.ClaimNext())
        claimed = kept.next(messages.Claimed).resolved_job
        (kept.root / "outbox" / "s").write_text("in the way")
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        filed = kept.next(messages.Filed)
        assert filed.state is State.FAILED
        assert str(kept.root / "outbox" / "s") in filed.cause

    @pytest.mark.parametrize("area", ["outbox", "review"])
    def test_a_subfolder_that_takes_no_result_fails_its_job_and_no_other(
        self, kept: Kept, area: str
    ) -> None:
        blocked, other = kept.claim_in("s"), kept.claim("dog.png")
        missed = ("it changed too much",) if area == "review" else ()
        (kept.root / area / "s").mkdir()
        with sealed(kept.root / area / "s"):
            kept.submit(messages.Publish(finished(blocked, b"blue", missed=missed), ()))
            kept.submit(messages.Publish(finished(other, b"blue"), ()))
            assert kept.next(messages.Filed).job.job_id == other.job.job_id
            filed = kept.next(messages.Filed)
        assert (filed.job.job_id, filed.state) == (blocked.job.job_id, State.FAILED)
        assert f"cannot be written to {area}/s: Operation not permitted" in filed.cause
        assert filed.advice.startswith("Give the daemon's user the right")
        assert below(kept.root / filed.where) == {"cat.png", "cat.yaml", "WHY.txt", "report.json"}
        kept.stays_online()

    def test_a_subfolder_that_is_mended_in_time_gets_its_result(self, kept: Kept) -> None:
        claimed = kept.claim_in("s")
        (kept.root / "outbox" / "s").mkdir()
        with sealed(kept.root / "outbox" / "s"):
            kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
            kept.drop("dog.png")
            kept.ready()  # looked after the first try
        assert kept.next(messages.Filed).state is State.DONE
        assert below(kept.root / "outbox") == {"s/cat.png", "s/cat.png.json"}
        kept.stays_online()

    def test_what_a_subfolder_of_done_does_not_take_is_filed_above_it(self, kept: Kept) -> None:
        first, second = kept.claim_in("s"), kept.claim("dog.png")
        (kept.root / "done" / TODAY / "s").mkdir(parents=True)
        with sealed(kept.root / "done" / TODAY / "s"):
            kept.submit(messages.FileDone(first.job, State.CANCELLED, ()))
            assert kept.next(messages.Filed).where == f"done/{TODAY}"
        with sealed(kept.root / "done" / TODAY):
            kept.submit(messages.FileDone(second.job, State.CANCELLED, ()))
            assert kept.next(messages.Filed).where == f"done/{TODAY}_2"
        kept.stays_online()

    @pytest.mark.parametrize("length", [4070, 4080, 4089])
    def test_a_path_as_long_as_any_is_published_and_filed(self, kept: Kept, length: int) -> None:
        claimed = kept.claim(long_below(kept.inbox, length))
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        assert kept.next(messages.Filed).state is State.DONE
        (receipt,) = (kept.root / "outbox").rglob("*.json")
        assert receipt.parent == kept.root / "outbox" / claimed.job.folder
        done = {Path(name).name for name in below(kept.root / "done")}
        assert (done, below(kept.inbox)) == ({"cat.png", "cat.yaml"}, set())
        kept.stays_online()

    @pytest.mark.parametrize("length", [4090, 4094])  # with .yaml and .json that is too long
    def test_a_result_whose_path_would_be_too_long_fails_its_job(
        self, kept: Kept, length: int
    ) -> None:
        claimed = kept.claim(long_below(kept.inbox, length))
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        filed = kept.next(messages.Filed)
        assert filed.state is State.FAILED
        assert "File name too long" in filed.cause
        assert filed.advice.startswith("Give its folders shorter names.")
        assert below(kept.root / filed.where) == {"cat.png", "cat.yaml", "WHY.txt", "report.json"}
        assert below(kept.root / "outbox") == set()
        kept.stays_online()

    def test_what_a_day_of_failed_does_not_take_is_filed_beside_it(self, kept: Kept) -> None:
        claimed = kept.claim()
        (kept.root / "failed" / TODAY).mkdir()
        with sealed(kept.root / "failed" / TODAY):
            kept.submit(messages.FileFailed(claimed.job, WHY, "{}"))
            where = kept.next(messages.Filed).where
        assert where == f"failed/{TODAY}_2/cat"
        assert below(kept.root / where) == {"cat.png", "cat.yaml", "WHY.txt", "report.json"}
        kept.stays_online()

    def test_what_its_folder_of_the_inbox_does_not_take_is_given_back_above_it(
        self, kept: Kept
    ) -> None:
        claimed = kept.claim_in("s")
        with sealed(kept.inbox / "s"):
            kept.submit(messages.Release(claimed.job))
            kept.next(messages.Released)
        assert below(kept.inbox) == {"cat.png", "cat.yaml"}
        kept.stays_online()

    def test_a_pair_that_may_not_be_moved_is_held_with_its_reason_and_the_next_is_ready(
        self, kept: Kept
    ) -> None:
        kept.drop("s/cat.png")
        kept.ready()
        with sealed(kept.inbox / "s"):
            kept.submit(messages.ClaimNext())
            kept.next(messages.ClaimLost)
            kept.drop("dog.png")
            kept.submit(messages.Scan())
            plan = kept.next(messages.Scanned, lambda looked: looked.plan.ready).plan
            assert [one.image.path for one in plan.ready] == ["dog.png"]
            (held,) = (it for it in plan.states if it.path == "s/cat.png")
            assert held.state is State.HELD
            assert "may not be moved by this user (Operation not permitted)" in held.reason
        assert below(kept.inbox / "s") == {"cat.png", "cat.yaml"}
        kept.stays_online()

    def test_a_job_whose_own_folder_is_closed_is_held_with_its_reason(self, kept: Kept) -> None:
        claimed = kept.claim()
        work = kept.root / ".hotfolder" / "work" / claimed.job.job_id
        with sealed(work):
            kept.submit(messages.FileDone(claimed.job, State.CANCELLED, ()))
            assert kept.next(messages.Held).job.job_id == claimed.job.job_id
            kept.submit(messages.Scan())
            held = kept.next(messages.Scanned, lambda looked: looked.plan.states).plan.states[0]
            assert (held.path, held.state) == ("cat.png", State.HELD)
            assert f".hotfolder/work/{claimed.job.job_id}" in held.reason
            assert "Operation not permitted" in held.reason
        kept.stays_online()

    @pytest.mark.parametrize("how", ["ro", "full"])
    def test_a_result_that_a_disk_mounted_in_the_outbox_does_not_take_fails_its_job(
        self, kept: Kept, how: str
    ) -> None:
        claimed = kept.claim_in("s")
        with contextlib.closing(SmallDisk(kept.root / "outbox" / "s", "64k")) as disk:
            if how == "ro":
                subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
            kept.submit(messages.Publish(finished(claimed, b"x" * 100_000), ()))
            filed = kept.next(messages.Filed)
            assert below(disk.folder) == set()
        said = {
            "ro": "outbox/s: Read-only file system",
            "full": "outbox/s: No space left on device",
        }
        assert (filed.state, said[how] in filed.cause) == (State.FAILED, True)
        kept.stays_online()

    def test_a_picture_on_a_disk_mounted_in_the_inbox_is_held(self, kept: Kept) -> None:
        with contextlib.closing(SmallDisk(kept.inbox / "s", "1m")):
            kept.drop("s/cat.png")
            kept.ready()
            kept.submit(messages.ClaimNext())
            kept.next(messages.ClaimLost)
            looked = kept.next(
                messages.Scanned, lambda looked: looked.plan.states[0].state is State.HELD
            )
            assert "inbox/s/cat.png: Invalid cross-device link" in looked.plan.states[0].reason
            assert below(kept.inbox) == {"s/cat.png", "s/cat.yaml"}
            kept.drop("dog.png")
            assert kept.ready().image.path == "dog.png"
            kept.stays_online()

    def test_a_failed_job_that_cannot_be_taken_back_is_refused_with_the_reason(
        self, kept: Kept
    ) -> None:
        claimed = kept.claim()
        kept.submit(messages.FileFailed(claimed.job, WHY, "{}"))
        where = kept.next(messages.Filed).where
        with contextlib.closing(SmallDisk(kept.root / where, "64k")):
            (kept.root / where / "cat.png").write_bytes(WHOLE)
            kept.submit(messages.Requeue(where))
            (problem,) = kept.next(messages.Requeued).problems
            assert "Invalid cross-device link" in str(problem)
        kept.submit(messages.Requeue(where))
        assert set(kept.next(messages.Requeued).paths) == {"cat.png", "cat.yaml"}
        kept.stays_online()

    def test_an_outbox_that_takes_nothing_blames_no_job(self, kept: Kept) -> None:
        claimed = kept.claim_in("s")
        with sealed(kept.root / "outbox"):
            kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
            reason = kept.stands(FolderState.OFFLINE).reason
            assert reason.startswith(f"{kept.root}/outbox: Operation not permitted; give ")
        kept.submit(messages.Scan())
        assert kept.next(messages.Filed).state is State.DONE

    def test_an_outbox_that_is_a_file_blames_no_job(self, kept: Kept) -> None:
        claimed = kept.claim()
        (kept.root / "outbox").rmdir()
        (kept.root / "outbox").write_text("in the way")
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        kept.stands(FolderState.OFFLINE)
        (kept.root / "outbox").unlink()
        (kept.root / "outbox").mkdir(exist_ok=True)
        kept.submit(messages.Scan())
        kept.next(messages.Published)

    def test_it_can_be_ended_while_it_is_offline(self, kept: Kept) -> None:
        (kept.root / ".hotfolder" / "id").unlink()
        kept.stands(FolderState.OFFLINE)
        kept.submit(messages.AppendLog(events.Noted(text="Hello."), 0.0))
        kept.submit(messages.Stop())
        kept.folder_worker.join(10)
        assert not kept.folder_worker.is_alive()

    @pytest.mark.parametrize("marker", [True, False], ids=["online", "offline"])
    def test_thousands_of_orders_at_once_do_not_end_it(
        self, tmp_path: Path, on: Callable[[Path], Kept], marker: bool
    ) -> None:
        kept = on(tmp_path / "hot")
        if not marker:
            (kept.root / ".hotfolder" / "id").unlink()
        for _ in range(3000):
            kept.submit(messages.Scan())
            kept.submit(messages.AppendLog(events.Noted(text="Hello."), 0.0))
        kept.folder_worker.start()
        kept.stands(FolderState.ONLINE if marker else FolderState.OFFLINE)
        assert kept.folder_worker.is_alive()


class TestFullDisk:
    """Where space is short, jobs are kept and go on."""

    @pytest.fixture
    def kept(self, small_disk: Path, on: Callable[[Path], Kept]) -> Kept:
        """A folder worker on a disk of one MiB."""
        one = on(small_disk)
        one.folder_worker.start()
        return one

    def test_publishing_waits_for_space_and_goes_on(self, kept: Kept) -> None:
        claimed = kept.claim()
        of = finished(claimed, b"x" * 600_000)
        (kept.root / "ballast").write_bytes(b"x" * 600_000)
        kept.submit(messages.Publish(of, ()))
        assert "make room" in kept.stands(FolderState.LOW_SPACE).reason
        assert below(kept.root / "outbox") == set()
        work = below(kept.root / ".hotfolder" / "work" / claimed.job.job_id)
        assert {"cat.png", "cat.yaml", "job.json"} <= work
        (kept.root / "ballast").unlink()
        kept.stands(FolderState.ONLINE)
        assert below(kept.root / "outbox") == {"cat.png", "cat.png.json"}
        assert any(isinstance(answer, messages.Filed) for answer in kept.seen)

    def test_a_claim_that_found_no_space_leaves_all_in_the_inbox(self, kept: Kept) -> None:
        (kept.inbox / "logo.png").write_bytes(WHOLE + b"x" * 600_000)
        kept.drop("dog.png", sidecar="prompt: red\nimages: [logo.png]\n")  # so it is copied
        kept.drop(sidecar="prompt: blue\nimages: [logo.png]\npriority: 9\n")
        ready = kept.ready()
        kept.submit(messages.ClaimNext())
        kept.next(messages.ClaimLost)
        again = kept.next(
            messages.Scanned, lambda looked: looked.plan.ready and looked.plan.ready[0] != ready
        )
        assert again.plan.ready[0].image.path == "cat.png"
        assert below(kept.inbox) == {"cat.png", "cat.yaml", "dog.png", "dog.yaml", "logo.png"}
        assert below(kept.root / ".hotfolder" / "work") == set()
        for _ in range(3):  # whatever the disk says of itself, it is believed for a while
            kept.submit(messages.Scan())
            kept.next(messages.Scanned)
        states = [it.state for it in kept.seen if isinstance(it, messages.StatusChanged)]
        assert states[-1] is FolderState.LOW_SPACE


class TestWhatUsersDo:
    """Whatever somebody does to the folders, jobs go on or say why not."""

    def test_results_are_told_and_published_once_however_long_filing_takes(
        self, kept: Kept
    ) -> None:
        claimed = kept.claim()
        (kept.root / "done").rmdir()
        (kept.root / "done").write_text("in the way")
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        kept.next(messages.Published)
        for path in list((kept.root / "outbox").iterdir()):
            path.unlink()  # somebody has fetched them
        kept.stands(FolderState.OFFLINE)
        (kept.root / "done").unlink()
        kept.submit(messages.Scan())
        kept.next(messages.Filed)
        assert sum(isinstance(answer, messages.Published) for answer in kept.seen) == 1
        assert below(kept.root / "outbox") == set()

    def test_an_emptied_cache_makes_the_job_begin_again(self, kept: Kept) -> None:
        claimed = kept.claim()
        of = finished(claimed, b"blue")
        shutil.rmtree(kept.scratch)
        kept.submit(messages.Publish(of, ()))
        assert kept.next(messages.Recovered, lambda found: found.jobs).jobs == (claimed.job,)
        kept.submit(messages.Reclaim(claimed.job, strike=False, alone=False))
        assert kept.next(messages.Claimed).resolved_job.job.attempts == 2

    def test_what_is_left_of_a_job_that_somebody_broke_goes_back(self, kept: Kept) -> None:
        claimed = kept.claim()
        (kept.root / ".hotfolder" / "work" / claimed.job.job_id / "cat.png").unlink()
        kept.submit(messages.Reclaim(claimed.job, strike=False, alone=False))
        assert kept.next(messages.FilesGone).job.job_id == claimed.job.job_id
        assert below(kept.inbox) == {"cat.yaml"}

    def test_a_job_whose_folder_was_deleted_has_vanished(self, kept: Kept) -> None:
        claimed = kept.claim()
        shutil.rmtree(kept.root / ".hotfolder" / "work" / claimed.job.job_id)
        kept.submit(messages.Reclaim(claimed.job, strike=False, alone=False))
        assert kept.next(messages.FilesGone).job.job_id == claimed.job.job_id
        kept.drop("dog.png")
        assert kept.ready().image.path == "dog.png"

    def test_scratch_that_may_not_be_written_blames_no_job(self, kept: Kept) -> None:
        claimed = kept.claim()
        shutil.rmtree(claimed.scratch)
        with sealed(kept.scratch):
            kept.submit(messages.Reclaim(claimed.job, strike=False, alone=False))
            reason = kept.stands(FolderState.OFFLINE).reason
            assert reason.startswith(f"{claimed.scratch}: Operation not permitted; give ")
        kept.submit(messages.Scan())
        assert kept.next(messages.Claimed).resolved_job.job.job_id == claimed.job.job_id

    @pytest.mark.parametrize("folder", ["outbox", "done", "logs", "failed", ".hotfolder/work"])
    def test_folders_that_were_deleted_are_made_again(self, kept: Kept, folder: str) -> None:
        kept.stands(FolderState.ONLINE)
        shutil.rmtree(kept.root / folder)
        claimed = kept.claim()
        kept.submit(messages.AppendLog(events.Noted(text="Hello."), 0.0))
        kept.submit(messages.Publish(finished(claimed, b"blue"), ()))
        assert kept.next(messages.Filed).state is State.DONE
        assert all(
            it.state is FolderState.ONLINE
            for it in kept.seen
            if isinstance(it, messages.StatusChanged)
        )


FAULTY = "faulty.png"


class FaultyResolver(Resolver):
    """One that raises what nobody expects, for one picture."""

    def read(
        self, job: Job, scratch: Path, presets: tuple[Keys, ...], problems: Problems
    ) -> messages.Claimed | messages.Rejected:
        if job.image.name == FAULTY:
            message = "it stumbled"
            raise LookupError(message)
        return super().read(job, scratch, presets, problems)


class TestFaultsOfOurs:
    """What nobody expects is told with where it came from, and the folder worker goes on."""

    def told(self, kept: Kept) -> ThreadFailed:
        event = kept.next(
            messages.EventRaised, lambda it: isinstance(it.event, ThreadFailed)
        ).event
        assert isinstance(event, ThreadFailed)
        assert event.thread == f"worker of {kept.root}"
        return event

    def test_a_claim_that_raises_leaves_its_file_and_others_are_worked(self, kept: Kept) -> None:
        kept.stands(FolderState.ONLINE)
        image = seen("\ud800.png")  # which JSON can say, and no file system
        kept.folder_worker._plan = replace(EMPTY_PLAN, ready=(candidate(image),))
        kept.submit(messages.ClaimNext())
        told = self.told(kept)
        assert "UnicodeEncodeError" in told.text
        assert "Traceback" in told.traceback
        kept.next(messages.ClaimLost)
        self.another_is_edited(kept)
        assert below(kept.root / ".hotfolder" / "work") == set()

    def test_a_fault_after_the_claim_holds_the_file_in_the_inbox(self, kept: Kept) -> None:
        kept.stands(FolderState.ONLINE)
        executor = kept.folder_worker._executor
        executor.resolver = FaultyResolver(executor.resolver.rules)
        kept.drop(FAULTY)
        kept.ready()
        kept.submit(messages.ClaimNext())
        assert f"holds up {FAULTY} alone: LookupError: it stumbled" in self.told(kept).text
        kept.next(messages.ClaimLost)
        kept.submit(messages.Scan())
        plan = kept.next(messages.Scanned, lambda looked: looked.plan.states).plan
        (held,) = (it for it in plan.states if it.path == FAULTY)
        assert (held.state, plan.ready) == (State.HELD, ())
        reason = "a fault of Hotfolder itself, please report it (LookupError: it stumbled"
        assert held.reason.startswith(reason)
        assert below(kept.inbox) == {FAULTY, "faulty.yaml"}
        kept.seen[:] = [it for it in kept.seen if not isinstance(it, messages.EventRaised)]
        self.another_is_edited(kept)
        assert not any(isinstance(it, messages.EventRaised) for it in kept.seen)

    def test_a_job_that_lies_in_work_and_raises_is_held_there(self, kept: Kept) -> None:
        claimed = kept.claim(FAULTY)
        executor = kept.folder_worker._executor
        executor.resolver = FaultyResolver(executor.resolver.rules)
        kept.submit(messages.Reclaim(claimed.job, strike=False, alone=False))
        self.told(kept)
        assert kept.next(messages.Held).job.job_id == claimed.job.job_id
        self.is_held(kept, claimed.job, "LookupError: it stumbled")
        self.another_is_edited(kept)
        assert claimed.job.job_id in executor.retries.held_jobs()

    @pytest.mark.parametrize(
        ("request_", "reply"),
        [
            (messages.FileAway(seen("\ud800.png")), messages.FiledAway),
            (
                messages.CancelWaiting(
                    WaitingJob(image="\ud800.png", others=(), kept=frozenset())
                ),
                messages.CancelRefused,
            ),
        ],
        ids=["file away", "cancel"],
    )
    def test_a_request_that_raises_is_refused_with_the_reason(
        self, kept: Kept, request_: messages.FileRequest, reply: type[messages.FolderReply]
    ) -> None:
        kept.stands(FolderState.ONLINE)
        kept.submit(request_)
        assert "UnicodeEncodeError" in self.told(kept).text
        refused = str(kept.next(reply))
        assert "a fault of Hotfolder itself, please report it (UnicodeEncodeError" in refused
        self.another_is_edited(kept)

    def test_a_line_that_cannot_be_written_is_left_out(self, kept: Kept) -> None:
        kept.stands(FolderState.ONLINE)
        kept.submit(messages.AppendLog(events.Noted(text="Never."), float("inf")))
        self.told(kept)
        kept.submit(messages.AppendLog(events.Noted(text="A line."), 0.0))
        kept.claim()
        stood = [
            answer.state for answer in kept.seen if isinstance(answer, messages.StatusChanged)
        ]
        assert stood == [FolderState.ONLINE]
        assert "A line." in "".join(path.read_text() for path in kept.root.glob("logs/LOG-*"))

    def test_an_order_that_raises_is_told_once_and_its_job_is_held(self, kept: Kept) -> None:
        claimed = kept.claim(FAULTY)
        order = messages.Publish(finished(claimed, b"blue"), ("outbox/\ud800.png",))
        kept.submit(order)
        assert "UnicodeEncodeError" in self.told(kept).text
        assert kept.next(messages.Held).job == claimed.job
        self.is_held(kept, claimed.job, "UnicodeEncodeError")
        self.another_is_edited(kept)
        kept.seen.clear()
        kept.submit(order)  # as after its rest
        kept.next(messages.Held)
        assert not any(isinstance(it, messages.EventRaised) for it in kept.seen)

    def is_held(self, kept: Kept, job: Job, words: str) -> None:
        kept.submit(messages.Scan())
        held = kept.next(messages.Scanned, lambda looked: looked.plan.states).plan.states[0]
        assert (held.path, held.state) == (FAULTY, State.HELD)
        assert f"a fault of Hotfolder itself, please report it ({words}" in held.reason
        work = below(kept.root / ".hotfolder" / "work" / job.job_id)
        assert {FAULTY, "faulty.yaml", "job.json"} <= work

    def another_is_edited(self, kept: Kept) -> None:
        kept.submit(messages.Publish(finished(kept.claim(), b"blue"), ()))
        assert kept.next(messages.Filed).state is State.DONE
        kept.stays_online()


def left_behind(kept: Kept, *, begun: bool) -> Job:
    """A claimed job of an earlier daemon."""
    kept.drop()
    spool = Spool(kept.root)
    image, sidecar = (seen(name, kept.inbox) for name in ("cat.png", "cat.yaml"))
    job = spool.claim(candidate(image, sidecar=sidecar), frozenset(), TICKET)
    return spool.begin_attempt(job) if begun else job


class TestRecovery:
    """What an earlier daemon left is finished, begun again, given back or filed."""

    @pytest.fixture
    def kept(self, tmp_path: Path, on: Callable[[Path], Kept]) -> Kept:
        """A folder worker that has not begun."""
        return on(tmp_path / "hot")

    def test_a_begun_job_is_handed_over(self, kept: Kept) -> None:
        job = left_behind(kept, begun=True)
        kept.folder_worker.start()
        assert kept.next(messages.Recovered).jobs == (job,)

    def test_one_whose_results_lie_on_scratch_only_has_to_be_published(self, kept: Kept) -> None:
        job = left_behind(kept, begun=True)
        scratch = ScratchDirs(kept.scratch, "the-id").of(job.job_id)
        scratch.mkdir(parents=True)
        of = finished(resolved_job(job, scratch=scratch), b"blue")
        save_finished(of)
        kept.folder_worker.start()
        assert kept.next(messages.Recovered) == messages.Recovered((), (of,))

    def test_scratch_of_jobs_that_are_no_more_is_cleared_once_it_is_online(
        self, kept: Kept
    ) -> None:
        mine, other = ScratchDirs(kept.scratch, "the-id"), ScratchDirs(kept.scratch, "another")
        for folder in (mine.of(TICKET.job_id), other.of(TICKET.job_id)):
            folder.mkdir(parents=True)
        marker = kept.root / ".hotfolder" / "id"
        marker.rename(kept.root / "away")
        kept.folder_worker.start()
        kept.next(messages.StatusChanged)
        assert mine.of(TICKET.job_id).exists()  # its share may hold the job
        (kept.root / "away").rename(marker)
        kept.stands(FolderState.ONLINE)
        assert not mine.of(TICKET.job_id).exists()
        assert other.of(TICKET.job_id).exists()

    def test_a_job_whose_claim_was_cut_off_is_in_the_first_plan(self, kept: Kept) -> None:
        left_behind(kept, begun=False)
        kept.folder_worker.start()
        assert kept.next(messages.Recovered).jobs == ()
        (first,) = kept.next(messages.Scanned).plan.ready
        assert first.image.path == "cat.png"

    def test_a_published_job_is_filed(self, kept: Kept, tmp_path: Path) -> None:
        job = left_behind(kept, begun=True)
        (tmp_path / "scratch").mkdir()
        of = finished(resolved_job(job, scratch=tmp_path / "scratch"), b"x")
        times = iter([1.0, 2.0])
        Spool(kept.root).publication(job.job_id).publish(of, times, ())
        kept.folder_worker.start()
        assert kept.next(messages.Recovered).jobs == ()
        assert {Path(name).name for name in below(kept.root / "done")} == {"cat.png", "cat.yaml"}

    def test_originals_that_lost_their_paper_are_filed_with_a_why(self, kept: Kept) -> None:
        job = left_behind(kept, begun=True)
        (kept.root / ".hotfolder" / "work" / job.job_id / "job.json").write_text("{")
        kept.folder_worker.start()
        filed = kept.next(messages.Filed)
        assert (filed.state, filed.job.job_id) == (State.FAILED, job.job_id)
        assert below(kept.root / filed.where) == {"cat.png", "cat.yaml", "WHY.txt", "report.json"}

    def test_a_recovery_that_fails_is_tried_again(self, kept: Kept) -> None:
        job = left_behind(kept, begun=True)
        (kept.root / ".hotfolder" / "work" / job.job_id / "job.json").write_text("{")
        (kept.root / "failed").rmdir()
        (kept.root / "failed").write_text("in the way")
        kept.folder_worker.start()
        kept.next(messages.StatusChanged)
        (kept.root / "failed").unlink()
        kept.submit(messages.Scan())
        assert kept.next(messages.Filed).job.job_id == job.job_id
