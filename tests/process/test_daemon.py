"""`hotfolder run` at work: files go in, files come out."""

import signal
from collections.abc import Callable
from pathlib import Path

from harness import DEADLINE_SECONDS, Daemon, HotFolder, wait_for

from daemon.fs.hot_folder import make_hot_folder

Start = Callable[..., Daemon]


def test_a_pair_dropped_while_it_runs_comes_out(hot: HotFolder, start: Start) -> None:
    hot.settle_fast()
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    hot.drop("cat.png")
    wait_for((hot.outbox / "cat.png.json").exists)
    wait_for(lambda: hot.files("inbox") == set())
    assert daemon.stop() == 0
    assert {Path(name).name for name in hot.files("done")} == {"cat.png", "cat.yaml"}


def test_who_has_only_the_share_reads_how_it_stands(hot: HotFolder, start: Start) -> None:
    hot.settle_fast()
    status = hot.root / "STATUS.txt"
    daemon = start("--editor", "echo")
    wait_for(status.exists)
    first = status.read_text()
    assert first.startswith("How the hot folder hot stands\nWritten on 2")
    assert "What is dropped into inbox/ is edited." in first
    assert daemon.stop() == 0
    assert "Hotfolder has stopped (asked to by SIGTERM)" in status.read_text()
    hot.drop("bad.png", promt="x")
    assert hot.once().returncode == 1
    assert "Hotfolder has stopped (all work is done)" in status.read_text()


def test_files_there_at_the_start_are_worked(hot: HotFolder, start: Start) -> None:
    hot.settle_fast()
    hot.drop("early/cat.png")
    daemon = start("--editor", "echo")
    wait_for((hot.outbox / "early/cat.png.json").exists)
    assert daemon.stop() == 0


def test_either_file_may_come_first(hot: HotFolder, start: Start) -> None:
    hot.settle_fast()
    sidecar = hot.drop("cat.png").with_suffix(".yaml")
    late = sidecar.rename(hot.cwd / "late.yaml")
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=file_waiting", "cat.png"))
    late.rename(sidecar)
    wait_for((hot.outbox / "cat.png.json").exists)
    assert daemon.stop() == 0


def test_one_load_serves_many_jobs(hot: HotFolder, start: Start, tiny_model: Path) -> None:
    hot.settle_fast()
    daemon = start("--model", tiny_model)
    hot.drop("one.png", seed=1)
    wait_for((hot.outbox / "one.png.json").exists)
    hot.drop("two.png", seed=2, steps=1, megapixels=0.25, size="model")
    wait_for((hot.outbox / "two.png.json").exists)
    one, two = hot.receipt("one.png")["model"], hot.receipt("two.png")["model"]
    assert (one["canvas"], two["canvas"]) == (
        {"width": 320, "height": 224},
        {"width": 640, "height": 416},
    )
    assert hot.receipt("two.png")["output"]["width"] == 624
    assert one["loaded_at"] == two["loaded_at"]
    assert one["class"] == "QwenImageEditPlusPipeline"
    assert daemon.stop() == 0


def test_sigterm_gives_the_running_job_back(
    hot: HotFolder, start: Start, tiny_model: Path
) -> None:
    hot.settle_fast()
    hot.drop("cat.png", steps=50, variants=8)
    daemon = start("--model", tiny_model)
    wait_for(lambda: daemon.said("action=step_done"))
    assert daemon.stop() == 0
    assert hot.files("inbox") == {"cat.png", "cat.yaml"}
    assert hot.files(".hotfolder/work") == hot.files("outbox") == set()


def test_a_killed_editor_costs_an_attempt_and_not_the_daemon(
    hot: HotFolder, start: Start, tiny_model: Path
) -> None:
    hot.settle_fast()
    hot.drop("cat.png", steps=30)
    daemon = start("--once", "--model", tiny_model)
    wait_for(lambda: daemon.said("action=step_done"))
    signal_child(daemon, "pipeline.editor_worker", signal.SIGKILL)
    assert daemon.process.wait(DEADLINE_SECONDS) == 0
    assert hot.receipt("cat.png")["attempts"] == 2


def test_an_editor_that_dies_twice_over_a_job_quarantines_it(
    hot: HotFolder, start: Start, tiny_model: Path
) -> None:
    hot.settle_fast()
    hot.drop("cat.png", steps=50, variants=8)
    daemon = start("--once", "--model", tiny_model)
    wait_for(lambda: daemon.said("action=step_done"))
    signal_child(daemon, "pipeline.editor_worker", signal.SIGKILL)
    wait_for(lambda: has_stepped_since_a_retry(daemon))
    signal_child(daemon, "pipeline.editor_worker", signal.SIGKILL)
    assert daemon.process.wait(DEADLINE_SECONDS) == 1
    assert "State: quarantined" in hot.why("cat")


def test_after_a_death_in_company_each_job_runs_alone_and_none_is_blamed(
    hot: HotFolder, start: Start, tiny_model: Path
) -> None:
    hot.settle_fast()
    for name in ("one", "two", "three"):
        hot.drop(f"{name}.png", steps=30)
    daemon = start("--once", "--model", tiny_model)
    wait_for(lambda: sum("action=job_running" in line for line in heard(daemon)) >= 2)
    wait_for(lambda: daemon.said("action=step_done"))
    signal_child(daemon, "pipeline.editor_worker", signal.SIGKILL)
    wait_for(lambda: has_stepped_since_a_retry(daemon))
    signal_child(daemon, "pipeline.editor_worker", signal.SIGKILL)
    assert daemon.process.wait(DEADLINE_SECONDS) == 0
    attempts = sorted(hot.receipt(f"{name}.png")["attempts"] for name in ("one", "two", "three"))
    assert attempts[-1] == 3  # once in company, once alone and killed, once alone


def test_a_hung_editor_is_replaced(hot: HotFolder, start: Start, tiny_model: Path) -> None:
    hot.write_settings(
        "defaults: {settle_seconds: 0.2}", f"model: {{path: {tiny_model}, hang_seconds: 10}}"
    )
    hot.drop("cat.png", steps=30)
    daemon = start("--once")
    wait_for(lambda: daemon.said("action=step_done"))
    signal_child(daemon, "pipeline.editor_worker", signal.SIGSTOP)
    assert daemon.process.wait(DEADLINE_SECONDS) == 0
    assert hot.receipt("cat.png")["attempts"] == 2


def test_a_killed_pixel_worker_costs_the_daemon_nothing(hot: HotFolder, start: Start) -> None:
    hot.settle_fast()
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    signal_child(daemon, "pipeline.pixel_worker", signal.SIGKILL)
    hot.drop("cat.png")
    wait_for((hot.outbox / "cat.png.json").exists)
    assert daemon.stop() == 0


def test_settings_are_read_again_on_sighup(hot: HotFolder, start: Start) -> None:
    hot.settle_fast()
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    hot.settings.write_text("folders: [")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.said("action=settings_refused"))
    hot.write_settings("presets: {night: {steps: 7}}", "defaults: {settle_seconds: 0.2}")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.said("action=settings_reloaded"))
    hot.drop("cat.png", preset="night")
    wait_for((hot.outbox / "cat.png.json").exists)
    assert hot.receipt("cat.png")["recipe"]["steps"] == 7
    assert daemon.stop(signal.SIGINT) == 0


def test_a_job_of_a_killed_daemon_is_finished_by_the_next(
    hot: HotFolder, start: Start, tiny_model: Path
) -> None:
    hot.settle_fast()
    hot.drop("cat.png", steps=30)
    first = start("--model", tiny_model)
    wait_for(lambda: first.said("action=step_done"))
    first.process.kill()
    first.process.wait()
    assert hot.call("run", "--once", "--model", tiny_model).returncode == 0
    assert hot.receipt("cat.png")["attempts"] == 2
    assert hot.files("inbox") == hot.files(".hotfolder/work") == set()


def test_a_second_daemon_on_the_same_folder_is_refused(hot: HotFolder, start: Start) -> None:
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    second = hot.once()
    assert second.returncode == 78
    assert "another" in second.stderr
    assert daemon.stop() == 0


def signal_child(daemon: Daemon, module: str, number: signal.Signals) -> None:
    """Send a signal to a child of the daemon."""
    import os

    os.kill(daemon.children()[module], number)


def has_stepped_since_a_retry(daemon: Daemon) -> bool:
    """Whether a step was done of a job that is tried again, after the last went wrong."""
    said = [
        dict(word.split("=", 1) for word in line.split() if "=" in word) for line in heard(daemon)
    ]
    retries = [n for n, line in enumerate(said) if line.get("action") == "job_retry"]
    retried = {said[n]["file"] for n in retries}
    after = said[retries[-1] :] if retries else []
    return any(line.get("action") == "step_done" and line["file"] in retried for line in after)


def heard(daemon: Daemon) -> list[str]:
    """All lines so far."""
    daemon.said("")
    return daemon.lines


def test_the_log_of_a_hot_folder_names_no_other_and_ends_with_the_daemon(
    hot: HotFolder, start: Start
) -> None:
    roots = (hot.root, hot.root.parent / "other")
    make_hot_folder(roots[1], "the-other-id")
    defaults = "defaults: {settle_seconds: 0.2}"
    folders = ", ".join(f"{{root: {root}}}" for root in roots)
    hot.settings.write_text(f"{defaults}\nfolders: [{folders}]")
    for number in range(30):  # more than are told one by one
        (roots[1] / f"inbox/{number}.psd").write_text("no picture")
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    wait_for(lambda: daemon.said("more files wait or are ignored"))
    hot.settings.write_text(f"{defaults}\nfolders: [{folders}, {{root: {roots[1]}}}]")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.said("action=settings_refused", str(roots[1])))
    assert daemon.stop() == 0
    assert daemon.said("action=started", str(roots[0]), str(roots[1]))
    logs = [next(root.glob("logs/LOG-*.txt")).read_text() for root in roots]
    assert str(roots[1]) not in logs[0]
    assert str(roots[0]) not in logs[1]
    assert "10 more files wait or are ignored" in logs[1]
    for root, log in zip(roots, logs, strict=True):
        assert f"watches {root}." in log
        assert "The new settings were refused" in log
        assert log.endswith(" Hotfolder has stopped.\n")


def test_who_finds_another_leader_tells_only_its_own_people_so(
    hot: HotFolder, start: Start
) -> None:
    other = hot.root.parent / "other"
    make_hot_folder(other, "the-other-id")
    elsewhere = str(hot.root.parent / "elsewhere")  # as on another machine
    leader = start("--editor", "echo", "--root", other, XDG_STATE_HOME=elsewhere)
    wait_for(lambda: leader.said("action=editor_ready"))
    hot.settings.write_text(
        f"defaults: {{settle_seconds: 0.2}}\nfolders: [{{root: {hot.root}}}, {{root: {other}}}]"
    )
    ended = hot.call("run", "--once", "--editor", "echo")
    assert "is left to the other daemon that works on it" in ended.stderr
    (log,) = hot.root.glob("logs/LOG-*.txt")
    assert str(other) not in log.read_text()
    assert "Hotfolder is stopping: no picture is ready to be edited." in log.read_text()
    assert leader.stop() == 0
