"""Whatever disk is full: nothing is lost, blamed or left half done, and all goes on by itself."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from PIL import Image
from rig.disk import SmallDisk

QUICK = "defaults: {settle_seconds: 0.1, poll_seconds: 0.2, min_free_gib: 0}"
Start = Callable[..., Daemon]
Disk = Callable[[Path], SmallDisk]


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Makes small disks, and unmounts them after the test."""
    made: list[SmallDisk] = []

    def make(folder: Path) -> SmallDisk:
        made.append(SmallDisk(folder, "2m"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def hot(tmp_path: Path, disk: Disk) -> HotFolder:
    """A hot folder on a small disk of its own."""
    disk(tmp_path / "hot")
    one = HotFolder(tmp_path)
    one.write_settings(QUICK)
    return one


def full(hot: HotFolder) -> SmallDisk:
    """The disk of the hot folder."""
    one = object.__new__(SmallDisk)
    one.folder = hot.root
    return one


def drop(hot: HotFolder, side: int) -> int:
    """Drop a picture that no format makes smaller, beside its prompt; returns its bytes."""
    path = hot.inbox / "cat.bmp"
    Image.effect_noise((side, side), 60).save(path)
    path.with_suffix(".txt").write_text("Make it blue")
    return path.stat().st_size


def folder_state(hot: HotFolder) -> tuple[str, str]:
    (folder,) = json.loads(hot.call("status", "--json").stdout)["folders"]
    return folder["state"], folder["reason"]


def is_done(hot: HotFolder) -> bool:
    return (hot.outbox / "cat.bmp.json").exists() and not hot.files(".hotfolder/work")


def assert_done(hot: HotFolder, *, attempts: int = 1) -> None:
    wait_for(lambda: is_done(hot))
    assert hot.receipt("cat.bmp")["attempts"] == attempts
    assert hot.files("outbox") == {"cat.bmp", "cat.bmp.json"}
    assert hot.files("failed") == set()


def test_a_share_too_full_for_the_result_keeps_it_and_takes_it_later(
    hot: HotFolder, start: Start
) -> None:
    size = drop(hot, 500)
    full(hot).fill(but_bytes=size // 2)
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=folder_low_space"))
    assert folder_state(hot)[0] == "low-space"
    wait_for(lambda: hot.files("outbox") == set())  # between two tries
    full(hot).make_room()
    assert_done(hot)
    assert len([line for line in daemon.lines if "action=job_running" in line]) == 1


def test_a_share_too_full_for_a_claim_is_left_alone_for_a_while(
    hot: HotFolder, start: Start
) -> None:
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    drop(hot, 50)
    full(hot).fill()
    wait_for(lambda: daemon.said("action=folder_low_space", "make room"))
    assert (hot.inbox / "cat.bmp").exists()
    wait_for(lambda: not any((hot.root / ".hotfolder" / "work").iterdir()))
    full(hot).make_room()
    assert folder_state(hot)[0] == "low-space"  # it does not come and go with every look
    assert daemon.stop() == 0

    start("--editor", "echo")
    assert_done(hot)


def reloads(daemon: Daemon) -> int:
    daemon.said("action=settings_reloaded")
    return sum("action=settings_reloaded" in line for line in daemon.lines)


def test_a_share_too_full_for_the_log_stops_no_work_for_ever(hot: HotFolder, start: Start) -> None:
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    (log,) = hot.root.glob("logs/LOG-*.txt")
    full(hot).fill()
    for number in range(1, 4096):  # until the last page of the log is full
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda it=number: reloads(daemon) >= it)  # type: ignore[misc]
        if daemon.said("action=folder_low_space"):
            break
    full(hot).make_room()
    drop(hot, 50)
    assert_done(hot)
    lines = log.read_text().splitlines()
    assert all(line.endswith((".", ")")) for line in lines), lines


def test_scratch_too_full_for_the_copy_blames_no_job(
    tmp_path: Path, disk: Disk, start: Start, hot: HotFolder
) -> None:
    scratch = disk(tmp_path / "cache")
    size = drop(hot, 500)
    scratch.fill(but_bytes=size // 2)
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=folder_low_space", "make room"))
    wait_for((hot.inbox / "cat.bmp").exists)
    scratch.make_room()
    assert daemon.stop() == 0
    start("--editor", "echo")
    assert_done(hot)


def test_scratch_too_full_for_the_work_halts_it_and_blames_no_job(
    tmp_path: Path, disk: Disk, start: Start, hot: HotFolder
) -> None:
    scratch = disk(tmp_path / "cache")
    size = drop(hot, 500)
    scratch.fill(but_bytes=size + 8192)
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=work_halted"))
    state, reason = folder_state(hot)
    assert state == "paused"
    assert reason.startswith("Local scratch cannot be used")
    assert hot.files("failed") == set()
    scratch.make_room()
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.said("action=work_tried"))
    assert daemon.stop() == 0
    start("--editor", "echo")  # which does not let the job rest for its minute
    assert_done(hot, attempts=2)


def test_a_full_state_disk_costs_the_history_alone(
    tmp_path: Path, disk: Disk, start: Start, hot: HotFolder
) -> None:
    state = disk(tmp_path / "state")
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    state.fill()
    drop(hot, 50)
    assert_done(hot)
    assert wait_for(lambda: daemon.said("history does not work"))
    assert daemon.process.poll() is None
