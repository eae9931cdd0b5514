"""What one job alone is hindered by is told in status, why and the log; the others are edited."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, sealed, wait_for
from sample import TICKET, candidate, seen

from daemon.spool.spool import Spool

Start = Callable[..., Daemon]


@pytest.fixture
def hot(tmp_path: Path) -> HotFolder:
    one = HotFolder(tmp_path)
    one.write_settings("defaults: {settle_seconds: 0.2, poll_seconds: 0.2}")
    return one


def test_a_result_that_its_subfolder_does_not_take_fails_alone(
    hot: HotFolder, start: Start
) -> None:
    (hot.outbox / "s").mkdir()
    with sealed(hot.outbox / "s"):
        daemon = start("--editor", "echo")
        hot.drop("s/cat.png")
        wait_for(lambda: daemon.said("action=job_running", "file=s/cat.png"))
        hot.drop("dog.png")
        wait_for((hot.outbox / "dog.png.json").exists)
        wait_for(lambda: daemon.said("action=job_failed", "file=s/cat.png"))
    what = "the result cannot be written to outbox/s: Operation not permitted."
    assert f"Cause: {what}\nWhat to do: Give the daemon's user the right" in hot.why("cat")
    assert what in hot.call("why", "s/cat.png").stdout
    assert daemon.said("action=folder_offline") is None
    assert {"cat.png", "cat.yaml"} <= {Path(name).name for name in hot.files("failed")}


def test_a_job_whose_folder_in_work_is_closed_is_held_until_it_is_mended(
    hot: HotFolder, start: Start
) -> None:
    hot.drop("cat.png")
    image, sidecar = (seen(name, hot.inbox) for name in ("cat.png", "cat.yaml"))
    spool = Spool(hot.root)
    job = spool.claim(candidate(image, sidecar=sidecar), frozenset(), TICKET)
    with sealed(spool.work(job.job_id)):
        daemon = start("--editor", "echo")
        hot.drop("dog.png")
        wait_for((hot.outbox / "dog.png.json").exists)
        wait_for(lambda: daemon.said("action=file_waiting", "file=cat.png", "not permitted"))
        assert re.search(
            r"^cat\.png +held +its files lie", hot.call("status").stdout, re.MULTILINE
        )
        assert f"cat.png is held: its files lie in .hotfolder/work/{job.job_id}" in (
            hot.call("why", "cat.png").stdout
        )
        assert daemon.said("action=folder_offline") is None
        daemon.stop()
    daemon = start("--editor", "echo")
    wait_for((hot.outbox / "cat.png.json").exists)


def test_a_log_of_somebody_else_stops_no_editing(hot: HotFolder, start: Start) -> None:
    hot.drop("cat.png")
    assert hot.once().returncode == 0
    (log,) = hot.root.glob("logs/LOG-*")
    with sealed(log):
        daemon = start("--editor", "echo")
        for name in ("dog.png", "emu.png"):
            hot.drop(name)
            wait_for((hot.outbox / f"{name}.json").exists)
        wait_for(lambda: f"online (logs/{log.name}: " in hot.call("status").stdout)
    hot.drop("fox.png")
    wait_for(lambda: "fox.png was edited" in log.read_text())
    daemon.said("")
    said = [line for line in daemon.lines if "action=folder_not_logged" in line]
    assert len(said) == 1
    assert daemon.said("action=folder_offline") is None
