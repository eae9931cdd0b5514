"""What one job alone is hindered by is told in status, why and the log; the others are edited."""

import re
from collections.abc import Callable
from datetime import datetime
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


def test_where_a_day_of_failed_takes_nothing_why_and_retry_find_the_job_beside_it(
    hot: HotFolder,
) -> None:
    today = hot.root / "failed" / f"{datetime.now():%Y-%m-%d}"  # noqa: DTZ005 - of this machine
    today.mkdir()
    (hot.inbox / "cat.png").write_bytes(b"no picture")
    (hot.inbox / "cat.yaml").write_text("prompt: make it blue\n")
    with sealed(today):
        assert hot.once().returncode == 1
        folder = f"failed/{today.name}_2/cat"
        assert (hot.root / folder / "WHY.txt").exists()
        for asked in ("cat.png", hot.root / folder / "cat.png"):
            assert f"The whole report is {folder}/WHY.txt." in hot.call("why", asked).stdout
        assert hot.call("retry", hot.root / folder).returncode == 0
    assert {"cat.png", "cat.yaml"} <= hot.files("inbox")
    assert not (hot.root / folder).exists()


def test_where_a_day_of_done_takes_nothing_why_finds_the_originals_beside_it(
    hot: HotFolder,
) -> None:
    today = hot.root / "done" / f"{datetime.now():%Y-%m-%d}"  # noqa: DTZ005 - of this machine
    today.mkdir()
    hot.drop("cat.png")
    with sealed(today):
        assert hot.once().returncode == 0
    for result in hot.outbox.iterdir():
        result.unlink()
    where = f"done/{today.name}_2/cat.png"
    for asked in ("cat.png", hot.root / where):
        said = hot.call("why", asked).stdout
        assert f"{where} is an original; its job ended on {today.name}." in said


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
