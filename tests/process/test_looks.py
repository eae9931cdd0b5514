"""plan and status look, tell, and touch nothing."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness import Daemon, HotFolder, wait_for, within
from sample import job


def plan(hot: HotFolder) -> dict[str, Any]:
    """The one folder of `plan --json`."""
    done = hot.call("plan", "--json")
    assert done.returncode == 0, done.stderr
    (folder,) = json.loads(done.stdout)["folders"]
    assert isinstance(folder, dict)
    return folder


def jobs(hot: HotFolder) -> dict[str, dict[str, Any]]:
    """The jobs that `plan --json` foresees."""
    return {file["file"]: file["job"] for file in plan(hot)["files"] if "job" in file}


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Everything below a folder, with what changes when it is touched."""
    found = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


def test_a_plan_tells_the_job_and_where_its_result_goes(hot: HotFolder) -> None:
    hot.drop("portraits/hero.png", prompt="Make it night", seed=7, steps=3)
    job = jobs(hot)["portraits/hero.png"]
    assert (job["prompt"], job["steps"], job["seed"]) == ("Make it night", 3, 7)
    assert job["results"] == ["outbox/portraits/hero.png"]


def test_a_seed_to_be_drawn_is_null_and_marks_its_results(hot: HotFolder) -> None:
    hot.drop("cat.png", variants=2, format="webp")
    job = jobs(hot)["cat.png"]
    assert job["seed"] is None
    assert job["results"] == ["outbox/cat_s….webp", "outbox/cat_s….webp"]


def test_a_result_never_takes_the_name_of_an_earlier_one(hot: HotFolder) -> None:
    hot.drop("cat.png")
    (hot.outbox / "cat.png").touch()
    (hot.outbox / "cat_2.png.json").touch()
    assert jobs(hot)["cat.png"]["results"] == ["outbox/cat_3.png"]


def test_the_extension_stays_where_the_content_does(hot: HotFolder) -> None:
    hot.drop("cat.jpeg", format="jpg")
    assert jobs(hot)["cat.jpeg"]["results"] == ["outbox/cat.jpeg"]


def test_every_problem_has_its_file_line_and_advice_and_is_no_failure(hot: HotFolder) -> None:
    image = hot.drop("cat.png")
    image.with_suffix(".yaml").write_text("prompt: blue\nstep: 4\nseed: many\n")
    done = hot.call("plan")
    assert done.returncode == 0
    assert "cat.yaml, line 2: 'step' is no key; did you mean 'steps'?" in done.stdout
    assert "cat.yaml, line 3: seed is many; write a whole number" in done.stdout
    assert "1 picture: 1 ready; 1 will fail; nothing ignored." in done.stdout


def test_an_ignored_file_says_what_to_convert_it_to(hot: HotFolder) -> None:
    (hot.inbox / "IMG_1.HEIC").touch()
    assert "save it as JPEG" in hot.call("plan").stdout
    assert [ignored["file"] for ignored in plan(hot)["ignored"]] == ["IMG_1.HEIC"]


def test_an_image_waits_for_a_reference_that_is_not_there(hot: HotFolder) -> None:
    hot.drop("cat.png", images=["hat.png"])
    (image,) = (file for file in plan(hot)["files"] if file["file"] == "cat.png")
    assert (image["state"], image["reason"]) == ("held", "waits for hat.png")


def test_a_preset_alone_foresees_a_job(hot: HotFolder) -> None:
    hot.drop("cat.png").with_suffix(".yaml").rename(hot.inbox / "_preset.yaml")
    assert jobs(hot)["cat.png"]["prompt"] == "Make it blue"


def test_jobs_are_told_in_the_order_in_which_they_would_run(hot: HotFolder) -> None:
    for name, priority in (("a.png", 1), ("b.png", 9), ("c.png", 5)):
        hot.drop(name, priority=priority)
    assert list(jobs(hot)) == ["b.png", "c.png", "a.png"]


def test_a_name_that_is_no_text_is_told_and_planned(hot: HotFolder) -> None:
    hot.drop("x.png").rename(os.fsdecode(os.fsencode(hot.inbox) + b"/\xff\n.png"))
    (hot.inbox / "x.yaml").rename(os.fsdecode(os.fsencode(hot.inbox) + b"/\xff\n.yaml"))
    assert "%FF\\n.png" in hot.call("plan").stdout


def test_looks_touch_nothing(hot: HotFolder) -> None:
    hot.drop("cat.png")
    (hot.inbox / "lone.txt").write_text("Make it red")
    before = snapshot(hot.root.parent)
    for words in (("plan",), ("plan", "--json"), ("status",), ("why", hot.inbox / "cat.png")):
        assert hot.call(*words).returncode == 0
    assert snapshot(hot.root.parent) == before


def test_status_says_that_no_daemon_runs_and_reads_the_folder(hot: HotFolder) -> None:
    hot.drop("cat.png")
    (hot.inbox / "IMG_1.heic").touch()
    said = hot.call("status").stdout
    assert "online; no daemon is running" in said
    assert "now: 1 ready; today: 0 done, 0 failed" in said
    assert "1 file is ignored" in said


def test_status_names_twenty_files_and_counts_the_others(hot: HotFolder) -> None:
    for number in range(23):
        (hot.inbox / f"{number}.txt").write_text("Make it red")
    said = hot.call("status").stdout
    assert said.count("waits for its picture") == 20
    assert "and 3 more" in said


def test_status_counts_the_day(hot: HotFolder) -> None:
    hot.drop("cat.png")
    hot.drop("bad.png", steps=4000)
    hot.once()
    assert "today: 1 done, 1 failed" in hot.call("status").stdout


def test_status_tells_a_job_that_a_dead_daemon_left(hot: HotFolder) -> None:
    claimed = replace(job("cat.png", folder="a"), attempts=2)
    work = hot.root / ".hotfolder" / "work" / claimed.job_id
    work.mkdir(parents=True)
    (work / "job.json").write_text(json.dumps(asdict(claimed)))
    said = hot.call("status").stdout
    assert "a/cat.png  claimed  its files have left the inbox" in said
    assert "attempt 2" in said


def test_a_daemon_answers_for_its_folder(hot: HotFolder, start: Callable[..., Daemon]) -> None:
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("editor_ready"))
    (hot.inbox / "lone.txt").write_text("Make it red")
    said = wait_for(lambda: _running(hot, "lone.txt")) or {}
    assert said["pid"] == daemon.process.pid
    assert said["editor"]["class"] == "EchoEditor"
    text = hot.call("status").stdout
    assert f"process {daemon.process.pid} works on it" in text
    assert f"process {daemon.process.pid} works on it" in hot.call("plan").stdout


def _running(hot: HotFolder, name: str) -> dict[str, Any] | None:
    document: dict[str, Any] = json.loads(hot.call("status", "--json").stdout)
    files = [file["file"] for folder in document["folders"] for file in folder["files"]]
    return document if document["running"] and name in files else None


def test_the_plan_of_a_served_folder_tells_how_long_files_settle(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.write_settings("defaults: {settle_seconds: 600}")
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("editor_ready"))
    hot.drop("cat.png")
    state = wait_for(lambda: {file["file"]: file["state"] for file in plan(hot)["files"]})
    wait_for(lambda: "  unchanged for" in hot.call("plan").stdout)
    assert state["cat.png"] in ("ready", "settling")


def test_a_folder_without_its_marker_is_a_configuration_error(hot: HotFolder) -> None:
    (hot.root / ".hotfolder" / "id").unlink()
    for words in (("plan",), ("status",), ("why", "cat.png")):
        done = hot.call(*words, "--root", hot.root)
        assert done.returncode == 78
        assert "hotfolder init" in done.stderr


def test_a_folder_without_its_marker_hides_no_other(hot: HotFolder, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    hot.settings.write_text(f"folders: [{{root: {hot.root}}}, {{root: {gone}}}]")
    for words in (("plan",), ("status",)):
        done = hot.call(*words)
        assert done.returncode == 78
        assert f"{gone}: offline (it is no hot folder, or its share is not mounted" in done.stdout
        assert str(hot.root) in done.stdout
        assert done.stdout.count("now: ") == (words == ("status",))  # of the one that is there


def standing(hot: HotFolder) -> Iterator[tuple[str, str]]:
    """State and reason, as status says and as plan does."""
    for command in ("status", "plan"):
        (folder,) = json.loads(hot.call(command, "--json").stdout)["folders"]
        yield folder["state"], folder["reason"]


HELD_UP = {
    "paused": ("", "by hand, until hotfolder resume"),
    "low-space": ("min_free_gib: 1000000", "GiB free, less than 1e+06 GiB"),
}


@pytest.mark.parametrize("state", HELD_UP)
def test_where_no_job_is_begun_every_look_says_so_without_a_daemon(
    hot: HotFolder, state: str
) -> None:
    settings, reason = HELD_UP[state]
    hot.write_settings(f"defaults: {{settle_seconds: 0.2, {settings}}}")
    hot.drop("cat.png")
    if state == "paused":
        assert hot.call("pause").returncode == 0
    for its_state, its_reason in standing(hot):
        assert its_state == state
        assert reason in its_reason
    said = hot.call("status").stdout
    assert f"{hot.root}: {state} (" in said
    assert said.count(state) == 1
    assert said.count("ready") == 2  # in the count, and once for the picture
    for words in (("plan",), ("why", "cat.png")):
        assert f"No job is begun while the hot folder is {state} (" in hot.call(*words).stdout


def test_a_run_that_can_begin_nothing_says_why(hot: HotFolder) -> None:
    done = hot.once()
    assert (done.returncode, done.stdout) == (
        0,
        "Nothing was edited: no picture is ready to be edited.\n",
    )
    hot.write_settings("defaults: {settle_seconds: 0.2, min_free_gib: 1000000}")
    hot.drop("cat.png")
    done = hot.once()
    assert done.returncode == 1
    assert done.stdout.startswith(f"Nothing was edited: {hot.root} is low-space, and no job is")


def test_looks_answer_in_a_moment(hot: HotFolder) -> None:
    for number in range(5):
        hot.drop(f"{number}.png")
    for words in (("plan",), ("status",), ("why", hot.inbox / "1.png")):
        within(2.0, partial(hot.call, *words))  # 0.2 s where nothing else runs


def test_a_daemon_tells_from_memory_what_a_look_without_it_finds(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.write_settings("defaults: {settle_seconds: 0.2, min_keep_psnr: 31}")
    hot.drop("a/cat.jpeg", format="jpg", seed=7, variants=2, priority=9)
    hot.drop("dog.png", images=["ball.png"], prompt="Make it night " * 9)
    hot.drop("ball.png").with_suffix(".yaml").unlink()
    hot.drop("bad.png", step=4)
    (hot.inbox / "IMG_1.heic").touch()
    hot.outbox.joinpath("dog.png").touch()
    hot.call("pause")
    daemon = start("--editor", "echo")
    words = (("plan", "--json"), ("plan",), ("why", "dog.png"), ("why", "IMG_1.heic"))
    wait_for(lambda: daemon.said("folder_online"))
    wait_for(lambda: "3 ready, 1 reference" in hot.call("plan").stdout)
    served = [hot.call(*it).stdout for it in words]
    daemon.process.terminate()
    daemon.process.wait()
    alone = [hot.call(*it).stdout for it in words]
    assert json.loads(served[0]) == {**json.loads(alone[0]), "running": True}
    assert served[1].splitlines()[1:] == alone[1].splitlines()[1:]
    assert [served[2] + _no_daemon(hot), served[3]] == alone[2:]


def _no_daemon(hot: HotFolder) -> str:
    return f"No daemon is running; hotfolder run --root {hot.root} starts one.\n"


def test_a_file_that_came_after_the_daemons_last_look_is_looked_at(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.write_settings("defaults: {watch: poll, poll_seconds: 600}")
    hot.call("pause")
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("folder_online"))
    hot.drop("cat.png", prompt="Make it night")
    assert "Make it night" in hot.call("why", "cat.png").stdout
    assert "a folder of the inbox" in hot.call("why", hot.inbox).stdout
