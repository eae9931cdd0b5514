"""A share on which calls do not come back: it stops neither the daemon nor another hot folder."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from harness import DEADLINE_SECONDS, Daemon, wait_for, within
from rig.nas import Impatient, Nas, edits, told
from rig.share import unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

SILENT = "the share has not answered since"


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[Nas]:
    """A hot folder on a share, and daemons that soon call it silent."""
    one = Nas(tmp_path, daemons=Impatient)
    yield one
    one.close()


def is_out(nas: Nas, name: str) -> bool:
    """Whether a result of the share's hot folder is complete, and nothing of it under way."""
    is_filed = not any((nas.far.root / ".hotfolder/work").iterdir())
    return (nas.far.outbox / f"{name}.json").exists() and is_filed


def test_nobody_waits_for_a_share_that_may_say_who_works_on_it(nas: Nas) -> None:
    nas.share.rule("HANG", "*", "*")
    for words in (("pause",), ("drain",), ("cancel", "cat.png")):
        done = within(20.0, partial(nas.ask, *words, "--root", nas.root))
        assert done.returncode in (2, 78)
        assert "the share does not answer" in done.stdout + done.stderr
    nas.share.heal()
    assert not (nas.far.root / ".hotfolder/paused").exists()


@pytest.mark.parametrize(
    ("operations", "paths"),
    [
        ("readdir", "/inbox"),
        ("rename", "/inbox/*"),
        ("create", "/outbox/*"),
        pytest.param("read", "/.hotfolder/work/*/cat.png", marks=pytest.mark.torture),
        pytest.param("rename,link,unlink", "*/work/*/cat.*", marks=pytest.mark.torture),
        pytest.param("write", "/logs/*", marks=pytest.mark.torture),
    ],
    ids=["look", "claim", "publish", "copy", "file", "log"],
)
def test_others_go_on_and_it_comes_back_by_itself(nas: Nas, operations: str, paths: str) -> None:
    daemon = nas.start()
    wait_for(lambda: daemon.said("action=folder_online", str(nas.root)))
    nas.share.rule("HANG", operations, paths)
    nas.far.drop("cat.png")
    wait_for(nas.share.held)
    nas.near.drop("dog.png")
    wait_for((nas.near.outbox / "dog.png.json").exists)
    wait_for(lambda: daemon.said("action=folder_offline", SILENT))
    assert_status_is_told_at_once(nas)
    nas.share.heal()
    wait_for(lambda: is_out(nas, "cat.png"))
    wait_for(lambda: len(told(daemon, "action=folder_online", str(nas.root))) == 2)
    assert edits(daemon, "cat.png") == 1
    assert nas.far.receipt("cat.png")["attempts"] == 1
    assert nas.far.files("outbox") == {"cat.png", "cat.png.json"}
    assert len(told(daemon, "action=folder_offline")) == 1
    assert daemon.stop() == 0


def assert_status_is_told_at_once(nas: Nas) -> None:
    status = within(3.0, lambda: nas.ask("status"))
    assert f"{nas.root}: offline ({SILENT}" in status.stdout
    assert f"{nas.near.root}: online" in status.stdout


def test_claims_that_hang_leave_room_for_other_hot_folders(nas: Nas) -> None:
    daemon = nas.start()
    nas.share.rule("HANG", "rename", "/inbox/*")
    for number in range(6):
        nas.far.drop(f"{number}.png")
    wait_for(nas.share.held)
    for number in range(6):
        nas.near.drop(f"{number}.png")
    wait_for(lambda: len(list(nas.near.outbox.glob("*.json"))) == 6)
    nas.share.heal()
    wait_for(lambda: len(list(nas.far.outbox.glob("*.json"))) == 6)
    assert daemon.stop() == 0


def test_it_ends_in_time_and_the_next_daemon_publishes_what_was_finished(nas: Nas) -> None:
    first = nas.start()
    nas.share.rule("HANG", "create", "/outbox/*")
    nas.far.drop("cat.png")
    wait_for(nas.share.held)
    wait_for(lambda: first.said("action=folder_offline", SILENT))
    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < 5
    nas.share.heal()
    second = nas.start()
    wait_for(lambda: is_out(nas, "cat.png"))
    assert (edits(first, "cat.png"), edits(second, "cat.png")) == (1, 0)
    assert second.stop() == 0


def test_once_ends_without_a_share_that_hangs(nas: Nas) -> None:
    nas.share.rule("HANG", "readdir", "/inbox")
    nas.near.drop("dog.png")
    nas.far.drop("cat.png")
    daemon = nas.start("--once")
    assert daemon.process.wait(DEADLINE_SECONDS) == 1  # not all was worked
    assert (nas.near.outbox / "dog.png.json").exists()
    assert nas.far.files("inbox") == {"cat.png", "cat.yaml"}


def test_a_caller_that_cannot_be_killed_is_all_that_is_left_of_it(nas: Nas) -> None:
    daemon = nas.start()
    wait_for(lambda: daemon.said("action=folder_online", str(nas.root)))
    nas.share.rule("STUCK", "readdir", "/inbox")
    wait_for(nas.share.held)
    wait_for(lambda: daemon.said("action=folder_offline", SILENT))
    daemon.process.send_signal(signal.SIGTERM)
    wait_for(lambda: daemon.said("action=stopped"))
    wait_for(lambda: is_zombie(daemon))  # the kernel keeps it for its thread in the call
    nas.share.heal()
    assert daemon.process.wait(DEADLINE_SECONDS) == 0


def is_zombie(daemon: Daemon) -> bool:
    """Whether its main thread has ended."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0] == "Z"


@pytest.mark.parametrize(
    "paths", ["*", pytest.param("/inbox*", marks=pytest.mark.torture)], ids=["all", "inbox"]
)
def test_a_share_that_hangs_at_the_start_is_offline_and_others_are_served(
    nas: Nas, paths: str
) -> None:
    nas.share.rule("HANG", "*", paths)
    nas.near.drop("dog.png")
    daemon = nas.start()
    wait_for((nas.near.outbox / "dog.png.json").exists)
    wait_for(lambda: daemon.said("action=folder_offline", SILENT))
    nas.far.drop("cat.png")
    nas.share.heal()
    wait_for(lambda: is_out(nas, "cat.png"))
    assert daemon.stop() == 0


def test_a_share_that_fails_at_the_start_is_offline_and_others_are_served(nas: Nas) -> None:
    nas.share.rule("EHOSTDOWN")
    nas.near.drop("dog.png")
    daemon = nas.start()
    wait_for((nas.near.outbox / "dog.png.json").exists)
    wait_for(lambda: daemon.said("action=folder_offline", os.strerror(112)))
    nas.far.drop("cat.png")
    nas.share.heal()
    wait_for(lambda: is_out(nas, "cat.png"))
    assert daemon.stop() == 0


def test_a_folder_without_its_marker_at_the_start_is_refused(nas: Nas) -> None:
    nas.share.detach()
    refused = nas.ask("run", "--editor", "echo")
    assert refused.returncode == 78
    assert "mount the share" in refused.stderr


def test_without_a_daemon_too_whoever_asks_has_an_answer_within_seconds(nas: Nas) -> None:
    nas.far.drop("cat.png")
    nas.near.drop("dog.png")
    nas.share.rule("HANG")
    began = time.monotonic()
    with ThreadPoolExecutor() as side_by_side:
        looks = side_by_side.map(
            lambda words: nas.ask(*words.split()),
            ["status", "plan", "why cat.png", "check --editor echo"],
        )
        programs = side_by_side.map(lambda it: nas.ask(it, "--json"), ["status", "plan"])
    status, plan, why, check = (it.stdout for it in looks)
    assert time.monotonic() - began < 30  # six commands at once, on whatever machine
    for told_of in (status, plan, why, check):
        assert f"{nas.root}" in told_of
        assert "the share does not answer" in told_of
    assert "dog.png" in plan
    (far, near), (unseen, seen) = (json.loads(it.stdout)["folders"] for it in programs)
    assert (far["state"], near["state"]) == ("offline", "online")
    assert (unseen["state"], unseen["files"]) == ("offline", [])
    assert {file["file"] for file in seen["files"]} == {"dog.png", "dog.yaml"}
