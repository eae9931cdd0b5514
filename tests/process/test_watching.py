"""How a hot folder is watched while it runs: as its file system asks, and never to a loss."""

import shutil
import signal
from contextlib import closing
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from rig.nas import Nas, told
from rig.share import unavailable

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def overflow(inbox: Path) -> None:
    """Cause more events than a watcher's queue holds, and leave nothing in the inbox."""
    names = (inbox / ".a", inbox / ".b")
    names[0].touch()
    for number in range(int(QUEUE.read_text()) // 2 + 100):  # a renaming is two events
        names[number % 2].rename(names[1 - number % 2])
    for name in names:
        name.unlink(missing_ok=True)


def stands_still(daemon: Daemon) -> bool:
    """Whether each of its threads has been stopped."""
    resolver = Path(f"/proc/{daemon.process.pid}/task").iterdir()
    return all((it / "stat").read_text().rpartition(") ")[2].startswith("T") for it in resolver)


def test_more_changes_than_are_reported_cost_no_file(hot: HotFolder) -> None:
    hot.settle_fast()
    daemon = Daemon(hot, "--editor", "echo")
    wait_for(lambda: daemon.said("action=folder_online", "watch=events"))
    daemon.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: stands_still(daemon))  # while the queue fills
    overflow(hot.inbox)
    names = [f"{number}.png" for number in range(12)]
    for name in names:
        hot.drop(name)
    daemon.process.send_signal(signal.SIGCONT)
    wait_for(lambda: hot.files("outbox") == {x for name in names for x in (name, f"{name}.json")})
    wait_for(lambda: told(daemon, "action=folder_degraded", "max_queued_events"))
    assert daemon.stop() == 0
    assert len(told(daemon, "action=folder_degraded", "max_queued_events")) == 1
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
def test_a_share_that_is_mounted_after_the_start_is_polled(tmp_path: Path) -> None:
    with closing(Nas(tmp_path)) as nas:
        nas.share.detach()
        shutil.copytree(nas.far.root, nas.root, dirs_exist_ok=True)  # the same id, on a local disk
        daemon = nas.start()
        wait_for(lambda: daemon.said("action=folder_online", str(nas.root), "watch=events"))
        nas.share.attach()
        (nas.root / "inbox/wake.txt").touch()  # seen by nobody: the watcher is elsewhere
        wait_for(lambda: daemon.said("action=folder_online", str(nas.root), "watch=poll"))
        nas.far.drop("cat.png")  # at the server: no event
        wait_for((nas.far.outbox / "cat.png.json").exists)
        assert told(daemon, "action=folder_offline") == []
        assert daemon.stop() == 0
