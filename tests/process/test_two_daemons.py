"""Two daemons on one hot folder: one works, and the other goes on where it ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from harness import DEADLINE_SECONDS, Daemon, HotFolder, wait_for
from leads import lead_from_afar
from rig.share import Share, unavailable

from daemon.fs.hot_folder import make_hot_folder

TESTS = Path(__file__).parents[1]


class Restless(Daemon):
    """`hotfolder run` with the short terms of rig.restless."""

    module = "rig.restless"


class Pair:
    """A hot folder, and daemons on it that share nothing else."""

    def __init__(self, base: Path) -> None:
        self.hot = HotFolder(base)
        self.hot.settle_fast()
        path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
        self.hot.environment |= {"PYTHONPATH": path}
        self._base = base
        self._begun: list[Daemon] = []

    def serve(self, root: Path) -> None:
        """Go on with another hot folder."""
        make_hot_folder(root, "the-id")
        self.hot.root, self.hot.inbox, self.hot.outbox = root, root / "inbox", root / "outbox"
        self.hot.settings.write_text("defaults: {settle_seconds: 0.2, poll_seconds: 0.2}")

    def start(self, name: str, *words: object, editor: str = "echo", **environment: str) -> Daemon:
        """Start the daemon of that name, with local state of its own."""
        state, cache = (str(self._base / f"{what}-{name}") for what in ("state", "cache"))
        options = words or ("--editor", editor)
        environment |= {"XDG_STATE_HOME": state, "XDG_CACHE_HOME": cache}
        daemon = Restless(self.hot, *options, **environment)
        self._begun.append(daemon)
        return daemon

    def status(self, name: str) -> str:
        """What `hotfolder status` says beside the daemon of that name."""
        return self.call(name, "status")

    def call(self, name: str, verb: str) -> str:
        """What a command says beside the daemon of that name."""
        environment = {**self.hot.environment, "XDG_STATE_HOME": str(self._base / f"state-{name}")}
        command = [sys.executable, "-m", "daemon", verb]
        return subprocess.run(
            command, cwd=self.hot.cwd, env=environment, capture_output=True, text=True, check=True
        ).stdout

    def is_quiet(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self.hot.files("inbox") and not self.hot.files(".hotfolder/work")

    def close(self) -> None:
        """End all daemons."""
        for daemon in self._begun:
            daemon.process.kill()
            daemon.process.wait()
            daemon.said("")
            print(*daemon.lines, sep="")  # seen where a test has failed
            assert daemon.process.stderr is not None
            daemon.process.stderr.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A hot folder for two daemons."""
    it = Pair(tmp_path)
    yield it
    it.close()


def leads(daemon: Daemon) -> object:
    return daemon.said("action=folder_online")


def stands_by(daemon: Daemon) -> object:
    return daemon.said("action=folder_standby")


def assert_each_done_once(pair: Pair, *names: str) -> None:
    """One result, one receipt and one pair of originals of each, and nothing else."""
    hot = pair.hot
    assert hot.files("outbox") == {*names, *(f"{name}.json" for name in names)}
    done = Counter(Path(path).name for path in hot.files("done"))
    assert done == Counter([*names, *(name.replace(".png", ".yaml") for name in names)])
    assert hot.files("failed") == hot.files("inbox") == hot.files(".hotfolder/work") == set()


def test_the_second_says_who_leads_and_takes_over_when_it_stops(pair: Pair) -> None:
    first = pair.start("one")
    wait_for(lambda: leads(first))
    second = pair.start("two")
    wait_for(lambda: stands_by(second))
    assert f"standby (process {first.process.pid} on" in pair.status("two")
    assert "is paused: what was begun is finished" in pair.call("two", "pause")
    assert "paused" in pair.status("one")
    assert "is paused no more" in pair.call("two", "resume")
    pair.hot.drop("cat.png")
    wait_for(pair.is_quiet)
    assert first.stop() == 0
    wait_for(lambda: leads(second))
    pair.hot.drop("dog.png")
    wait_for(lambda: (pair.hot.outbox / "dog.png.json").exists() and pair.is_quiet())
    assert second.stop() == 0
    assert_each_done_once(pair, "cat.png", "dog.png")
    assert first.said("action=job_done", "cat.png")
    assert second.said("action=job_done", "dog.png")


def test_a_standby_loads_no_model(pair: Pair) -> None:
    first = pair.start("one")
    wait_for(lambda: leads(first))
    second = pair.start("two")
    wait_for(lambda: stands_by(second))
    pair.hot.drop("cat.png")
    wait_for(pair.is_quiet)
    assert not second.said("action=editor_loading")
    assert "pipeline.editor_worker" not in second.children()
    assert second.stop() == 0


def test_systemd_is_told_that_a_standby_is_ready(pair: Pair, tmp_path: Path) -> None:
    first = pair.start("one")
    wait_for(lambda: leads(first))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE_SECONDS)
        second = pair.start("two", NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert systemd.recv(4096).startswith(b"READY=1\nSTATUS=on standby")
        assert second.stop() == 0


def test_a_killed_leader_is_followed_and_its_job_is_done(pair: Pair, tiny_model: Path) -> None:
    first = pair.start("one", "--model", tiny_model)
    wait_for(lambda: leads(first))
    second = pair.start("two", "--model", tiny_model)
    wait_for(lambda: stands_by(second))
    pair.hot.drop("cat.png", steps=30)
    wait_for(lambda: first.said("action=step_done"))
    first.process.kill()
    wait_for(lambda: (pair.hot.outbox / "cat.png.json").exists() and pair.is_quiet())
    assert second.said("action=job_done", "cat.png")
    assert pair.hot.receipt("cat.png")["attempts"] == 2
    assert_each_done_once(pair, "cat.png")


def test_a_leader_that_was_stopped_and_comes_back_publishes_nothing(
    pair: Pair, tiny_model: Path
) -> None:
    first = pair.start("one", "--model", tiny_model)
    wait_for(lambda: leads(first))
    second = pair.start("two")
    wait_for(lambda: stands_by(second))
    pair.hot.drop("cat.png", steps=30)
    wait_for(lambda: first.said("action=step_done"))
    first.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: (pair.hot.outbox / "cat.png.json").exists() and pair.is_quiet())
    receipt = pair.hot.receipt("cat.png")
    first.process.send_signal(signal.SIGCONT)
    wait_for(lambda: stands_by(first))
    wait_for(lambda: first.said("action=job_passed", "cat.png"))
    assert second.stop() == 0
    wait_for(lambda: _count(first, "action=folder_online") == 2)
    assert first.stop() == 0
    assert_each_done_once(pair, "cat.png")
    assert pair.hot.receipt("cat.png") == receipt
    assert not first.said("action=job_done")


def test_a_killed_daemon_has_its_own_folder_back_at_once(hot: HotFolder, tmp_path: Path) -> None:
    hot.settle_fast()
    first = Daemon(hot, "--editor", "echo")
    wait_for(lambda: leads(first))
    first.process.kill()
    first.process.wait()
    assert first.process.stderr is not None
    first.process.stderr.close()
    hot.drop("cat.png")
    again = hot.once()
    assert again.returncode == 0
    assert "folder_standby" not in again.stderr
    assert hot.files("outbox") == {"cat.png", "cat.png.json"}


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
@pytest.mark.parametrize(
    "hangs",  # one after the other; the first ones pass
    [
        pytest.param(["create /outbox/*"], marks=pytest.mark.torture),
        pytest.param(["write /outbox/*"], marks=pytest.mark.torture),
        pytest.param(["fsync /outbox/*"], marks=pytest.mark.torture),
        ["link /outbox/*"],
        pytest.param(["link /outbox/*", "write /outbox/*"], marks=pytest.mark.torture),
        pytest.param(["link /outbox/*", "fsync /outbox/*"], marks=pytest.mark.torture),
        pytest.param(["rename /outbox/*"], marks=pytest.mark.torture),
        pytest.param(["link */work/*/cat.*"], marks=pytest.mark.torture),
        ["unlink */work/*/cat.*"],
        pytest.param(["write /logs/*"], marks=pytest.mark.torture),
    ],
    ids=[
        *("result", "its content", "its sync", "its name", "content of the receipt"),
        *("sync of the receipt", "receipt", "file", "work", "log"),
    ],
)
def test_a_leader_whose_share_hung_while_it_published_changes_nothing_on_return(
    pair: Pair, tmp_path: Path, hangs: list[str]
) -> None:
    with closing(Share(tmp_path / "far")) as share:
        pair.serve(share.backing)
        first = pair.start("one", "--editor", "echo", "--root", share.mount)
        wait_for(lambda: leads(first))
        second = pair.start("two", "--editor", "echo", "--root", share.backing)
        wait_for(lambda: stands_by(second))
        share.rule("HANG", *hangs[0].split())
        pair.hot.drop("cat.png")
        for number, hang in enumerate(hangs, 1):
            share.rule("HANG", *hang.split())
            wait_for(partial(have_hung, share, number))
        share.rule("HANG")
        wait_for(lambda: (pair.hot.outbox / "cat.png.json").exists() and pair.is_quiet())
        before = everything(share.backing)
        share.heal()
        wait_for(lambda: stands_by(first))
        assert first.stop() == 0
        assert everything(share.backing) == before
        assert "has stopped" not in (share.backing / "STATUS.txt").read_text()
        assert second.stop() == 0
    assert_each_done_once(pair, "cat.png")


def have_hung(share: Share, calls: int) -> bool:
    return len(share.held()) >= calls


def everything(root: Path) -> dict[str, int]:
    """All files but those of the lease, and what the daemon that leads tells people."""
    apart = (root / ".hotfolder/lease", root / "logs", root / "STATUS.txt")
    paths = (path for path in root.rglob("*") if not any(map(path.is_relative_to, apart)))
    return {str(path): path.lstat().st_mtime_ns for path in paths if path.is_file()}


class TestOnce:
    """`run --once` where somebody else leads."""

    def test_it_says_so_and_ends(self, pair: Pair) -> None:
        first = pair.start("one")
        wait_for(lambda: leads(first))
        second = pair.start("two", "--once", "--editor", "echo")
        assert second.process.wait(DEADLINE_SECONDS) == 1
        assert second.said("action=folder_standby", f"process {first.process.pid}")
        assert second.said("action=stopping", "is left to the other daemon that works on it")

    def test_a_leader_of_another_machine_that_is_silent_is_waited_for_and_followed(
        self, pair: Pair
    ) -> None:
        lead_from_afar(pair.hot.root)
        pair.hot.drop("cat.png")
        daemon = pair.start("two", "--once", "--editor", "echo")
        assert daemon.process.wait(DEADLINE_SECONDS) == 0
        assert daemon.said("action=folder_standby", "process 4711 on nas1 worked on it last")
        assert_each_done_once(pair, "cat.png")

    def test_a_leader_of_another_machine_that_lives_keeps_its_work(self, pair: Pair) -> None:
        lead_from_afar(pair.hot.root)
        pair.hot.drop("cat.png")
        daemon = pair.start("two", "--once", "--editor", "echo")
        wait_for(lambda: daemon.said("action=folder_standby"))
        lead_from_afar(pair.hot.root, counter=42)
        assert daemon.process.wait(DEADLINE_SECONDS) == 1
        assert daemon.said("action=folder_standby", "process 4711 on nas1 works on it")
        assert pair.hot.files("inbox") == {"cat.png", "cat.yaml"}


def test_thirty_jobs_are_done_once_however_often_a_daemon_is_killed_or_stopped(pair: Pair) -> None:
    daemons = {name: pair.start(name) for name in ("one", "two")}
    names = [f"{number:02}.png" for number in range(30)]
    for name in names:
        pair.hot.drop(name)
    failure_handler: list[Callable[[str], None]] = [
        lambda name: _replace(pair, daemons, name),
        lambda name: _stop_for_a_while(pair, daemons[name]),
    ]
    for number in range(4):
        wait_for(progress(pair))
        leader = _leader(daemons)
        failure_handler[number % 2](leader)
    wait_for(pair.is_quiet)
    for daemon in daemons.values():
        assert daemon.stop() == 0
    assert_each_done_once(pair, *names)


def progress(pair: Pair) -> Callable[[], bool]:
    """Whether there are more results than now, or nothing is left to do."""
    before = len(pair.hot.files("outbox"))
    return lambda: len(pair.hot.files("outbox")) > before or pair.is_quiet()


def _leader(daemons: dict[str, Daemon]) -> str:
    """The one whose last word was that the folder is online."""
    return wait_for(lambda: next((it for it in daemons if _is_online(daemons[it])), None)) or ""


def _is_online(daemon: Daemon) -> bool:
    daemon.said("")
    words = [word for line in daemon.lines for word in line.split() if "action=folder_" in word]
    return words[-1:] == ["action=folder_online"]


def _replace(pair: Pair, daemons: dict[str, Daemon], name: str) -> None:
    daemons[name].process.kill()
    daemons[name].process.wait()
    daemons[name] = pair.start(name)


def _stop_for_a_while(pair: Pair, daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGSTOP)
    over = time.monotonic() + 6.0
    wait_for(lambda: time.monotonic() > over)
    daemon.process.send_signal(signal.SIGCONT)
    wait_for(lambda: stands_by(daemon))


def _count(daemon: Daemon, word: str) -> int:
    daemon.said("")
    return sum(word in line for line in daemon.lines)
