import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import within

from daemon.inbox.watcher import InotifyWatch

SECONDS = 30.0


class Ears:
    """What a watcher said, for a test to wait on."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.reasons: queue.SimpleQueue[str] = queue.SimpleQueue()

    def wakes(self, cause: Callable[[], object]) -> bool:
        self.quiet()
        cause()
        return self.woken.wait(SECONDS)

    def quiet(self) -> None:
        while self.woken.wait(0.2):
            self.woken.clear()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox/portraits").mkdir(parents=True)
    return tmp_path / "inbox"


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def watcher(inbox: Path, ears: Ears) -> Iterator[InotifyWatch]:
    watcher = InotifyWatch(inbox, ears.woken.set, ears.reasons.put)
    watcher.start()
    yield watcher
    watcher.stop()


@pytest.mark.usefixtures("watcher")
def test_it_wakes_for_writing_moving_and_removing(inbox: Path, ears: Ears, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.png").touch()
    assert ears.wakes(lambda: (inbox / "a.png").write_bytes(b"x"))
    assert ears.wakes(lambda: (tmp_path / "elsewhere.png").rename(inbox / "b.png"))
    assert ears.wakes(lambda: (inbox / "a.png").rename(inbox / "portraits/a.png"))
    assert ears.wakes((inbox / "b.png").unlink)
    assert ears.reasons.empty()


@pytest.mark.usefixtures("watcher")
def test_a_tree_that_arrives_is_watched_to_the_bottom(
    inbox: Path, ears: Ears, tmp_path: Path
) -> None:
    (tmp_path / "tree/a/b").mkdir(parents=True)
    assert ears.wakes(lambda: (tmp_path / "tree").rename(inbox / "tree"))
    assert ears.wakes((inbox / "tree/a/b/c.png").touch)
    assert ears.wakes(lambda: (inbox / "made/deep").mkdir(parents=True))
    assert ears.wakes((inbox / "made/deep/c.png").touch)


@pytest.mark.usefixtures("watcher")
def test_a_folder_renamed_within_the_inbox_stays_watched(inbox: Path, ears: Ears) -> None:
    assert ears.wakes(lambda: (inbox / "portraits").rename(inbox / "renamed"))
    assert ears.wakes((inbox / "renamed/a.png").touch)
    assert ears.wakes((inbox / "renamed/new").mkdir)
    assert ears.wakes((inbox / "renamed/new/b.png").touch)


@pytest.mark.usefixtures("watcher")
def test_a_folder_made_again_under_its_old_name_is_watched(inbox: Path, ears: Ears) -> None:
    for _ in range(20):
        shutil.rmtree(inbox / "portraits")
        (inbox / "portraits").mkdir()
    assert ears.wakes((inbox / "portraits/a.png").touch)
    assert ears.reasons.empty()


@pytest.mark.usefixtures("watcher")
def test_reading_a_file_wakes_nobody(inbox: Path, ears: Ears) -> None:
    file = inbox / "a.png"
    assert ears.wakes(lambda: file.write_bytes(b"x"))
    ears.quiet()
    file.read_bytes()
    os.utime(file)
    assert not ears.woken.wait(0.2)


@pytest.mark.usefixtures("watcher")
@pytest.mark.parametrize("gone", ["removed", "moved"])
def test_an_inbox_that_goes_away_is_told_once(
    inbox: Path, ears: Ears, tmp_path: Path, gone: str
) -> None:
    if gone == "removed":
        shutil.rmtree(inbox)
    else:
        inbox.rename(tmp_path / "other")
    assert gone in ears.reasons.get(timeout=SECONDS)
    assert ears.reasons.empty()


def test_a_missing_inbox_is_told_and_nothing_raised(tmp_path: Path, ears: Ears) -> None:
    watcher = InotifyWatch(tmp_path / "missing", ears.woken.set, ears.reasons.put)
    watcher.start()
    assert ears.reasons.get(timeout=SECONDS) == "it is not a folder that can be read"
    watcher.stop()


def test_an_inbox_that_is_a_link_is_not_watched(inbox: Path, tmp_path: Path, ears: Ears) -> None:
    (tmp_path / "link").symlink_to(inbox)
    watcher = InotifyWatch(tmp_path / "link", ears.woken.set, ears.reasons.put)
    watcher.start()
    assert ears.reasons.get(timeout=SECONDS)
    watcher.stop()


def test_more_events_than_the_queue_holds_are_told(inbox: Path, ears: Ears) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    reached, go_on = threading.Event(), threading.Event()

    def wake() -> None:
        reached.set()
        go_on.wait(SECONDS * 4)

    watcher = InotifyWatch(inbox, wake, ears.reasons.put)
    watcher.start()
    names = (inbox / "a", inbox / "b")
    names[0].touch()
    assert reached.wait(SECONDS)  # its reader stands still while the queue fills
    for number in range(limit // 2 + 100):
        names[number % 2].rename(names[1 - number % 2])
    go_on.set()
    assert "max_queued_events" in ears.reasons.get(timeout=SECONDS)
    watcher.stop()


def test_it_stops_within_a_second_and_is_silent_then(inbox: Path, ears: Ears) -> None:
    def begun_and_stopped() -> InotifyWatch:
        watcher = InotifyWatch(inbox, ears.woken.set, ears.reasons.put)
        watcher.start()
        watcher.stop()
        return watcher

    watcher = within(1.0, begun_and_stopped)
    (inbox / "a.png").touch()
    assert not ears.woken.wait(0.1)
    assert ears.reasons.empty()
    watcher.stop()


def test_stopping_gives_all_descriptors_back(inbox: Path, ears: Ears) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        watcher = InotifyWatch(inbox, ears.woken.set, ears.reasons.put)
        watcher.start()
        watcher.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


PROGRAM = """
import sys
from pathlib import Path
from daemon.inbox.watcher import InotifyWatch
watcher = InotifyWatch(Path(sys.argv[1]), lambda: None, print)
watcher.start()
watcher.stop()
"""


def test_no_descriptor_left_is_told(inbox: Path) -> None:
    starve = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
    program = PROGRAM.replace("watcher.start()", f"{starve}watcher.start()")
    ran = _run([sys.executable, "-c", program, str(inbox)])
    assert "max_user_instances" in ran.stdout


def test_too_few_watches_for_the_subfolders_are_told(inbox: Path) -> None:
    for number in range(9):
        (inbox / str(number)).mkdir()
    # Within a user namespace of its own the limit is ours to set, and nobody else's.
    shell = 'echo 4 > /proc/sys/user/max_inotify_watches && exec "$@"'
    alone = ["unshare", "--user", "--map-root-user", "sh", "-c", shell, "sh"]
    ran = _run([*alone, sys.executable, "-c", PROGRAM, str(inbox)])
    if "unshare" in ran.stderr or "max_inotify_watches" in ran.stderr:
        pytest.skip(f"no user namespaces here: {ran.stderr}")
    assert "max_user_watches" in ran.stdout
    assert ran.stdout.count("\n") == 1


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
