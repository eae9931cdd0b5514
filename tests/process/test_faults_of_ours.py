"""A thread that raises what nobody expects is told, and begins again; others do not notice."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import DEADLINE_SECONDS, Daemon, HotFolder, wait_for

from daemon.fs.hot_folder import make_hot_folder

TESTS = Path(__file__).parents[1]
ALWAYS = 1_000_000


class Stumbling(Daemon):
    """`hotfolder run` one of whose threads raises a few times."""

    module = "rig.stumbling"


@pytest.fixture
def stumble(hot: HotFolder) -> Iterator[Callable[..., Daemon]]:
    """Starts a daemon whose folder worker of `hot`, or another thread, stumbles so often."""
    hot.settle_fast()
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    hot.environment |= {"PYTHONPATH": path}
    begun: list[Daemon] = []

    def begin(
        times: int,
        *words: object,
        thread: str = f"worker of {hot.root}",
        at: str = "os.scandir",
    ) -> Daemon:
        where = {"STUMBLES": str(times), "STUMBLES_IN": thread, "STUMBLES_AT": at}
        begun.append(Stumbling(hot, "--editor", "echo", *words, **where))
        return begun[-1]

    yield begin
    for daemon in begun:
        daemon.process.kill()
        daemon.process.wait()
        print(*daemon.lines, sep="")  # seen where a test has failed
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()


def test_it_is_told_with_its_traceback_and_the_job_is_edited_in_the_end(
    hot: HotFolder, stumble: Callable[..., Daemon]
) -> None:
    hot.drop("cat.png")
    daemon = stumble(2, "--once")
    assert daemon.process.wait(DEADLINE_SECONDS) == 0
    told = daemon.said("action=thread_failed")
    assert told is not None
    assert "level=error" in told
    assert f"worker of {hot.root}" in told
    assert "LookupError: it stumbled" in told
    assert "Traceback" in told
    assert "in _work" in told
    assert hot.receipt("cat.png")["status"] == "done"


def test_a_run_whose_hot_folder_never_works_ends_and_says_so(
    hot: HotFolder, stumble: Callable[..., Daemon]
) -> None:
    hot.drop("cat.png")
    daemon = stumble(ALWAYS, "--once")
    assert daemon.process.wait(DEADLINE_SECONDS) == 1
    assert daemon.said("action=folder_offline", "a fault of Hotfolder itself", str(hot.root))
    assert len([it for it in daemon.lines if "action=thread_failed" in it]) == 1
    assert hot.files("inbox") == {"cat.png", "cat.yaml"}


def test_a_fault_at_one_picture_holds_that_one_and_the_run_ends(
    hot: HotFolder, stumble: Callable[..., Daemon]
) -> None:
    for name in ("cat.png", "faulty.png"):
        hot.drop(name)
    daemon = stumble(ALWAYS, "--once", at="os.rename faulty.png")
    daemon.process.wait(DEADLINE_SECONDS)
    assert hot.receipt("cat.png")["status"] == "done"
    assert hot.files("inbox") == {"faulty.png", "faulty.yaml"}
    assert daemon.said("action=thread_failed", "holds up faulty.png alone", "it stumbled")
    assert len([it for it in daemon.lines if "action=thread_failed" in it]) == 1
    assert not any("action=folder_offline" in it for it in daemon.lines)


def test_other_hot_folders_go_on_and_status_does_not_call_it_online(
    hot: HotFolder, stumble: Callable[..., Daemon], tmp_path: Path
) -> None:
    second = tmp_path / "second"
    make_hot_folder(second, "another-id")
    roots = [{"root": str(it)} for it in (hot.root, second)]
    hot.settings.write_text(f"defaults: {{settle_seconds: 0.2}}\nfolders: {json.dumps(roots)}\n")
    daemon = stumble(ALWAYS)
    wait_for(lambda: daemon.said("action=thread_failed"))
    hot.drop("cat.png")
    for name in ("cat.png", "cat.yaml"):
        (hot.inbox / name).rename(second / "inbox" / name)
    wait_for((second / "outbox" / "cat.png.json").exists)
    answer = hot.call("status", "--json", "--root", hot.root)
    (folder,) = json.loads(answer.stdout)["folders"]
    assert folder["state"] == "offline"
    assert "a fault of Hotfolder itself" in folder["reason"]
    assert "it stumbled" in folder["reason"]
    assert daemon.stop() == 0


def test_a_watcher_that_ends_is_told_and_costs_no_picture(
    hot: HotFolder, stumble: Callable[..., Daemon]
) -> None:
    hot.write_settings("defaults: {settle_seconds: 0.2, poll_seconds: 1}")
    daemon = stumble(1, thread="Thread-")  # as the library names its own
    wait_for(lambda: daemon.said("action=folder_online", "watch=events"))
    (hot.inbox / "sub").mkdir()
    assert wait_for(lambda: daemon.said("action=thread_failed", "it stumbled", "watcher.py"))
    hot.drop("cat.png")
    wait_for((hot.outbox / "cat.png.json").exists)
    assert daemon.stop() == 0
