"""Hot folders rest outside their hours and when they are paused, and the editor with them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from leads import lead_from_afar

from daemon.folder.pause_flag import earlier_flag

EDITOR = "pipeline.editor_worker"


def state(hot: HotFolder) -> tuple[str, str]:
    """How the hot folder stands, and why."""
    (folder,) = json.loads(hot.call("status", "--json").stdout)["folders"]
    return folder["state"], folder["reason"]


def test_a_pause_outlives_a_restart_and_ends_with_resume(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.settle_fast()
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("editor_ready"))
    assert "is paused" in hot.call("pause").stdout
    wait_for(lambda: daemon.said("editor_dismissed"))
    wait_for(lambda: EDITOR not in daemon.children())
    hot.drop("a.png")
    assert state(hot) == ("paused", "by hand, until hotfolder resume")
    assert "editor not loaded while all hot folders are paused" in hot.call("status").stdout
    for words in (("plan",), ("why", "a.png")):
        assert "No job is begun while the hot folder is paused" in hot.call(*words).stdout
    assert daemon.stop() == 0
    again = start("--editor", "echo")
    wait_for(lambda: again.said("folder_rests"))
    assert (hot.inbox / "a.png").exists()
    assert EDITOR not in again.children()
    assert hot.call("resume").returncode == 0
    wait_for((hot.outbox / "a.png.json").exists)
    assert state(hot)[0] == "online"


def test_a_pause_needs_no_daemon(hot: HotFolder, start: Callable[..., Daemon]) -> None:
    assert "no daemon runs now" in hot.call("pause").stdout
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("folder_rests"))
    assert daemon.said("editor_loading") is None


def other(hot: HotFolder, name: str) -> dict[str, str]:
    """The environment of somebody with local folders of their own."""
    folder = str(hot.root.parent / name)
    return {"XDG_STATE_HOME": folder, "XDG_CACHE_HOME": folder, "HOME": folder}


def test_somebody_else_pauses_and_drains_the_daemon_that_leads(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.settle_fast()
    daemon = start("--editor", "echo", **other(hot, "service"))
    wait_for(lambda: daemon.said("editor_ready"))
    assert f"process {daemon.process.pid}" in hot.call("status").stdout
    assert "is paused: what was begun is finished" in hot.call("pause").stdout
    hot.drop("a.png")
    wait_for(lambda: hot.call("status").stdout.count("1 ready"))
    assert hot.files("inbox") == {"a.png", "a.yaml"}
    assert "is paused no more." in hot.call("resume").stdout
    assert "was not paused by hand." in hot.call("resume").stdout
    wait_for((hot.outbox / "a.png.json").exists)
    assert f"process {daemon.process.pid}, ends" in hot.call("drain").stdout
    assert daemon.process.wait(timeout=20) == 0
    assert not (hot.root.parent / "state").exists()


def test_a_flag_in_the_hot_folder_keeps_every_daemon_from_the_next_job(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.settle_fast()
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("editor_ready"))
    (hot.root / ".hotfolder/paused").touch()  # as on a machine that cannot ask it
    hot.drop("a.png")
    wait_for(lambda: daemon.said("folder_rests"))
    assert hot.files("inbox") == {"a.png", "a.yaml"}
    assert not daemon.said("job_claimed")
    (hot.root / ".hotfolder/paused").unlink()
    wait_for((hot.outbox / "a.png.json").exists)


def test_a_pause_where_a_daemon_of_another_machine_leads_says_who_heeds_it(
    hot: HotFolder,
) -> None:
    lead_from_afar(hot.root, socket="/run/hotfolder/control-0123456789abcdef.sock")
    done = hot.call("pause")
    assert done.returncode == 0
    assert "process 4711 on nas1 works on it, or did so last" in done.stdout
    assert "begins no more jobs within a minute" in done.stdout
    assert (hot.root / ".hotfolder/paused").exists()
    hot.drop("a.png")
    for words in (("why", "a.png"), ("plan",), ("status",)):
        told = hot.call(*words).stdout.lower()
        assert "process 4711 on nas1 works on it" in told
        assert "no daemon is running" not in told
    drained = hot.call("drain")
    assert drained.returncode == 2
    assert "nothing was done: process 4711 on nas1" in drained.stdout


def test_a_daemon_of_an_earlier_version_would_not_heed_it_and_that_is_said(
    hot: HotFolder,
) -> None:
    lead_from_afar(hot.root, socket=None)
    done = hot.call("pause")
    assert done.returncode == 2
    assert (
        "of an earlier version, works on it, or did so last, and would not heed it" in done.stdout
    )
    assert not (hot.root / ".hotfolder/paused").exists()


def test_the_flag_of_an_earlier_version_is_carried_over(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    earlier = earlier_flag(hot.root.parent / "state/hotfolder", hot.root)
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("folder_rests"))
    assert (hot.root / ".hotfolder/paused").exists()
    assert not earlier.exists()
    assert hot.call("resume").returncode == 0
    wait_for(lambda: daemon.said("folder_goes_on"))


def test_where_the_share_is_away_nothing_is_paused_and_that_is_said(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("editor_ready"))
    hot.root.rename(hot.root.parent / "gone")
    hot.root.mkdir()
    wait_for(lambda: daemon.said("folder_offline"))
    done = hot.call("pause")
    assert done.returncode == 2
    assert "Nothing was changed: it is no hot folder, or its share is not mounted" in done.stdout
    assert daemon.stop() == 0
    assert "not mounted" in hot.call("pause").stderr
    assert hot.files(".") == set()


def test_outside_its_hours_a_folder_rests_and_the_model_is_not_loaded(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    now = datetime.now(UTC).astimezone()
    begin, end = (f"{now + timedelta(hours=more):%H:00}" for more in (3, 4))
    hot.write_settings(f'defaults: {{settle_seconds: 0.2, active: "{begin}-{end}"}}')
    hot.drop("a.png")
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("folder_rests", f"{begin}"))
    assert state(hot)[0] == "paused"
    assert daemon.said("editor_loading") is None
    assert daemon.stop() == 0
    assert hot.once().returncode == 0  # somebody waits for it: at any hour
    assert (hot.outbox / "a.png.json").exists()


def test_a_drain_finishes_what_was_begun_and_ends(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.settle_fast()
    daemon = start("--editor", "echo")
    hot.drop("a.png")
    wait_for((hot.outbox / "a.png.json").exists)
    assert hot.call("drain").returncode == 0
    assert daemon.process.wait(timeout=20) == 0
    assert daemon.said("action=stopping", "what was begun is finished")


def test_a_drain_without_a_daemon_says_so(hot: HotFolder) -> None:
    done = hot.call("drain")
    assert (done.returncode, "no daemon is running here" in done.stdout) == (2, True)


@pytest.mark.parametrize(
    ("now", "hours", "reason"),
    [
        ("2026-03-29T01:55+01:00", "03:00-05:00", "outside its hours, until Sun 03:00"),
        ("2026-10-25T02:55+02:00", "02:00-02:30", "outside its hours, until Sun 02:00"),
    ],
)
def test_the_model_is_loaded_in_time_when_the_clocks_are_changed(
    tmp_path: Path, now: str, hours: str, reason: str
) -> None:
    code = f"""
from datetime import datetime
from pathlib import Path
from config.hours import parse
from config.settings import FolderSettings
from daemon.service.pause import PauseControl
pauses = PauseControl({{}}, never=False)
folder = FolderSettings(root=Path("/hot"), active=parse({hours!r}))
pauses.look({{"/hot": folder}}, datetime.fromisoformat({now!r}).timestamp())
print(pauses.reason("/hot"), pauses.needs_editor, sep="|")
"""
    environment = {**os.environ, "TZ": "Europe/Berlin"}
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.strip() == f"{reason}|True"
