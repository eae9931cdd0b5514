"""A hot folder on a share that fails, goes away and comes back."""

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness import Daemon, wait_for
from rig.nas import Nas, edits, told
from rig.share import unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

THREE = ("cat_s7.png", "cat_s8.png", "cat_s9.png")  # the results of one job


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[Nas]:
    """A hot folder on a share."""
    one = Nas(tmp_path)
    yield one
    one.close()


def all_done(nas: Nas, *names: str) -> bool:
    """Whether all have their receipts and nothing is under way any more."""
    done = all((nas.far.outbox / f"{name}.json").exists() for name in names)
    return done and not any((nas.far.root / ".hotfolder/work").iterdir())


def assert_once(nas: Nas, *names: str) -> None:
    """Each has one result, of the first attempt."""
    results = {file for name in names for file in (name, f"{name}.json")}
    assert nas.far.files("outbox") == results
    assert [nas.far.receipt(name)["attempts"] for name in names] == [1] * len(names)


def test_what_cannot_be_published_waits_and_is_not_edited_again(nas: Nas) -> None:
    daemon = nas.start()
    nas.share.rule("ESTALE", "create,link,rename", "/outbox/*")
    nas.far.drop("cat.png")
    wait_for(lambda: daemon.said("action=folder_offline", "Stale file handle"))
    nas.near.drop("dog.png")
    wait_for((nas.near.outbox / "dog.png.json").exists)
    nas.share.heal()
    wait_for(lambda: all_done(nas, "cat.png"))
    assert edits(daemon, "cat.png") == 1
    assert_once(nas, "cat.png")
    assert len(told(daemon, "action=folder_offline")) == 1
    assert daemon.stop() == 0


def test_a_share_that_cannot_be_looked_at_is_offline_until_it_can(nas: Nas) -> None:
    nas.share.rule("EIO", "readdir,getattr", "/inbox*")
    daemon = nas.start()
    wait_for(lambda: daemon.said("action=folder_offline", "Input/output error"))
    nas.far.drop("cat.png")
    nas.near.drop("dog.png")
    wait_for((nas.near.outbox / "dog.png.json").exists)
    assert nas.far.files("inbox") == {"cat.png", "cat.yaml"}
    nas.share.heal()
    wait_for(lambda: all_done(nas, "cat.png"))
    assert_once(nas, "cat.png")


def test_a_picture_whose_bytes_cannot_be_read_is_held_and_the_others_are_edited(nas: Nas) -> None:
    nas.share.rule("EIO", "read", "/inbox/cat.png")
    daemon = nas.start()
    nas.far.drop("cat.png")
    nas.far.drop("dog.png")
    wait_for((nas.far.outbox / "dog.png.json").exists)
    wait_for(lambda: daemon.said("action=file_waiting", "file=cat.png", "Input/output error"))
    assert (
        "cat.png is held: cannot be read (Input/output error)"
        in nas.ask("why", nas.root / "inbox/cat.png").stdout
    )
    nas.share.heal()
    wait_for(lambda: all_done(nas, "cat.png"))
    assert told(daemon, "action=folder_offline") == []
    assert len(told(daemon, "action=file_waiting", "file=cat.png")) == 1


def test_a_picture_that_cannot_be_copied_goes_back_once_and_is_held(nas: Nas) -> None:
    nas.share.rule("EIO", "read", "/.hotfolder/work/*/cat.png")
    daemon = nas.start()
    nas.far.drop("cat.png")
    nas.far.drop("dog.png")
    wait_for((nas.far.outbox / "dog.png.json").exists)
    wait_for(lambda: daemon.said("action=file_waiting", "file=cat.png", "Input/output error"))
    nas.share.heal()
    (nas.far.inbox / "cat.png").touch()  # copied anew
    wait_for(lambda: all_done(nas, "cat.png"))
    assert told(daemon, "action=folder_offline") == []
    assert len(told(daemon, "action=file_waiting", "file=cat.png")) == 1


def test_a_share_that_goes_during_a_look_is_told_of_once_as_not_mounted(nas: Nas) -> None:
    daemon = nas.start()
    wait_for(lambda: daemon.said("action=folder_online", str(nas.root), "watch=poll"))
    nas.share.rule("HANG", "read", "/.hotfolder/id")
    wait_for(nas.share.held)
    nas.share.detach()
    nas.share.heal()
    wait_for(lambda: daemon.said("action=folder_offline"))
    (line,) = told(daemon, "action=folder_offline")
    assert "not mounted" in line
    nas.share.attach()
    wait_for(lambda: len(told(daemon, "action=folder_online", str(nas.root))) == 2)
    assert told(daemon, "action=folder_offline") == [line]
    assert daemon.stop() == 0


def test_an_empty_mount_point_means_nothing_and_is_left_alone(nas: Nas) -> None:
    daemon = nas.start()
    wait_for(lambda: daemon.said("action=folder_online", str(nas.root), "watch=poll"))
    nas.share.detach()
    wait_for(lambda: daemon.said("action=folder_offline", "not mounted"))
    (nas.root / "inbox").mkdir()
    (nas.root / "inbox/stray.png").write_bytes(b"x")
    nas.far.drop("cat.png")  # at the server
    nas.share.attach()
    wait_for(lambda: all_done(nas, "cat.png"))
    nas.share.detach()
    wait_for(lambda: len(told(daemon, "action=folder_offline")) == 2)
    assert [path.name for path in nas.root.rglob("*")] == ["inbox", "stray.png"]
    assert daemon.stop() == 0


def test_finished_results_wait_for_the_share_and_are_published_once(nas: Nas) -> None:
    daemon = nas.start()
    go_away_with_results(nas, daemon)
    nas.share.heal()
    wait_for(lambda: all_done(nas, *THREE))
    assert edits(daemon, "cat.png") == 3
    assert_once(nas, *THREE)
    assert daemon.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_finished_results_outlive_the_daemon_that_made_them(nas: Nas, how: signal.Signals) -> None:
    first = nas.start()
    go_away_with_results(nas, first)
    assert first.stop(how) == (0 if how is signal.SIGTERM else -how)
    second = nas.start()
    wait_for(lambda: second.said("action=folder_offline", str(nas.root)))
    nas.share.heal()
    wait_for(lambda: all_done(nas, *THREE))
    assert (edits(first, "cat.png"), edits(second, "cat.png")) == (3, 0)
    assert_once(nas, *THREE)
    scratch = Path(nas.near.environment["XDG_CACHE_HOME"]) / "hotfolder"
    wait_for(lambda: not list(scratch.glob("*/*")))
    assert second.stop() == 0


def test_without_its_results_a_job_is_edited_again(nas: Nas) -> None:
    first = nas.start()
    go_away_with_results(nas, first)
    first.stop(signal.SIGKILL)
    scratch = Path(nas.near.environment["XDG_CACHE_HOME"]) / "hotfolder"
    for result in scratch.glob("*/result-0.png"):
        result.write_bytes(result.read_bytes()[:-1])
    nas.share.heal()
    second = nas.start()
    wait_for(lambda: all_done(nas, *THREE))
    assert edits(second, "cat.png") == 3
    assert [nas.far.receipt(name)["attempts"] for name in THREE] == [2, 2, 2]
    assert second.stop() == 0


def go_away_with_results(nas: Nas, daemon: Daemon) -> None:
    """Let three results be made, and the share be gone before any is published."""
    nas.share.rule("ESTALE", "create", "/outbox/*")
    nas.far.drop("cat.png", seed=7, variants=3)
    wait_for(lambda: daemon.said("action=folder_offline", str(nas.root)))
    nas.share.rule("ESTALE")


def test_a_file_that_grows_behind_old_attributes_is_taken_whole(tmp_path: Path) -> None:
    with closing(Nas(tmp_path, stale_seconds=1.0)) as nas:
        nas.write_settings("settle_seconds: 3")
        nas.start()
        nas.far.drop("cat.png").with_suffix(".yaml").unlink()
        with (nas.far.inbox / "cat.txt").open("w") as sidecar:
            for word in ("the", "whole", "of", "what", "somebody", "wrote"):
                sidecar.write(f"{word} ")
                sidecar.flush()
                threading.Event().wait(0.4)
        wait_for((nas.far.outbox / "cat.png.json").exists)
        prompt = nas.far.receipt("cat.png")["recipe"]["prompt"]
        assert prompt == "the whole of what somebody wrote"
