"""Where the machine fails and no job, jobs wait unharmed until one of them has tried it out."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import DEADLINE_SECONDS, HotFolder, wait_for
from rig.cast import LOCK, PROBLEM, CastDaemon
from scripted import UNREADABLE

PROMPT = "die @step"


@pytest.fixture
def hot(tmp_path: Path) -> HotFolder:
    one = HotFolder(tmp_path)
    one.write_settings(
        "defaults: {settle_seconds: 0.1, sidecar_grace_seconds: 0, min_free_gib: 0}",
        "model: {batch: 1}",
    )
    return one


@pytest.fixture
def daemon(hot: HotFolder) -> Iterator[CastDaemon]:
    one = CastDaemon(hot, "--editor", "echo")
    yield one
    one.process.kill()
    one.process.wait()
    assert one.process.stderr is not None
    one.process.stderr.close()


def state(hot: HotFolder) -> tuple[str, str]:
    """How the hot folder stands, and why."""
    (folder,) = json.loads(hot.call("status", "--json").stdout)["folders"]
    return folder["state"], folder["reason"]


def note(hot: HotFolder, deed: str, pattern: str = "") -> Path:
    """Have pixel workers die over the pictures of that pattern, until the file is deleted."""
    path = Path(hot.environment["HOME"]) / deed
    path.write_text(pattern)
    return path


def run_once(hot: HotFolder) -> CastDaemon:
    """Work what is there until nothing moves, with jobs left or failed."""
    daemon = CastDaemon(hot, "--once", "--editor", "echo")
    daemon.process.wait(timeout=DEADLINE_SECONDS)
    assert daemon.process.returncode == 1
    daemon.said("")
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()
    return daemon


def heard(daemon: CastDaemon, *words: str) -> int:
    """How many lines have all these words."""
    return sum(all(word in line for word in words) for line in daemon.lines)


def in_work(hot: HotFolder) -> set[str]:
    return {Path(name).name for name in hot.files(".hotfolder/work") if name.endswith(".png")}


def test_three_deaths_over_three_jobs_halt_all_until_one_job_is_done(
    hot: HotFolder, daemon: CastDaemon
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        hot.drop(name, f"{PROMPT} *3", priority=9)
    hot.drop("good.png")
    assert wait_for(lambda: daemon.said("action=work_halted", "three different jobs"))
    status, reason = state(hot)
    assert status == "paused"
    assert "it is the machine and no job" in reason
    assert "one job tries it again at" in reason
    assert {"a.png", "b.png", "c.png"} <= in_work(hot)
    assert hot.files("outbox") == hot.files("failed") == set()
    (log,) = hot.root.glob("logs/LOG-*.txt")
    assert log.read_text().count("no more jobs are begun") == 1

    hot.drop("later.png")  # is not claimed now, and may be what tries it out
    daemon.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: daemon.said("action=work_goes_on"))
    wait_for(lambda: {"good.png.json", "later.png.json"} <= hot.files("outbox"))
    assert state(hot)[0] == "online"
    assert in_work(hot) == {"a.png", "b.png", "c.png"}  # they rest still
    assert hot.files("failed") == set()


def test_with_once_it_ends_with_1_and_says_why(hot: HotFolder) -> None:
    names = {"a.png", "b.png", "c.png"}
    for name in names:
        hot.drop(name, PROMPT)
    daemon = CastDaemon(hot, "--once", "--editor", "echo")
    daemon.process.wait(timeout=DEADLINE_SECONDS)
    assert daemon.process.returncode == 1
    assert daemon.said("action=stopping", "three different jobs")
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()
    assert in_work(hot) == names
    assert hot.files("failed") == set()


def test_a_job_that_ends_the_editor_twice_alone_is_quarantined_and_others_go_on(
    hot: HotFolder,
) -> None:
    hot.drop("poison.png", PROMPT, priority=9)
    hot.drop("good.png")
    daemon = CastDaemon(hot, "--once", "--editor", "echo")
    daemon.process.wait(timeout=DEADLINE_SECONDS)
    assert daemon.process.returncode == 1
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()
    assert "State: quarantined" in hot.why("poison")
    assert hot.files("outbox") == {"good.png", "good.png.json"}


def test_an_editor_that_cannot_be_opened_again_ends_nothing(
    hot: HotFolder, daemon: CastDaemon
) -> None:
    hot.drop("first.png")
    wait_for((hot.outbox / "first.png.json").exists)
    lock = hot.root.parent / LOCK
    lock.touch()
    os.kill(daemon.children()["rig.cast"], signal.SIGKILL)
    assert wait_for(lambda: daemon.said("action=work_halted", PROBLEM.what))
    hot.drop("second.png")
    status, reason = state(hot)
    assert status == "paused"
    assert str(PROBLEM) in reason
    assert daemon.process.poll() is None

    lock.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    wait_for((hot.outbox / "second.png.json").exists)
    assert state(hot)[0] == "online"


def test_a_model_that_cannot_be_read_further_halts_the_work_and_is_no_fault_of_a_job(
    hot: HotFolder, daemon: CastDaemon
) -> None:
    hot.drop("first.png", "give_up @stage *1")
    assert wait_for(lambda: daemon.said("action=work_halted", UNREADABLE.what))
    status, reason = state(hot)
    assert status == "paused"
    assert str(UNREADABLE) in reason
    assert in_work(hot) == {"first.png"}
    daemon.process.send_signal(signal.SIGHUP)
    wait_for((hot.outbox / "first.png.json").exists)
    assert hot.receipt("first.png")["attempts"] == 1
    assert daemon.process.poll() is None


@pytest.mark.parametrize("words", [(), ("--once",)], ids=["watching", "once"])
def test_processes_that_cannot_be_started_end_nothing(
    hot: HotFolder, words: tuple[str, ...]
) -> None:
    python = hot.root.parent / "python"
    hot.drop("first.png")
    daemon = CastDaemon(hot, *words, "--editor", "echo", PYTHON_OF_CHILDREN=str(python))
    assert wait_for(lambda: daemon.said("action=work_halted", "could not be started"))
    assert daemon.said("action=editor_lost", "No such file or directory")
    if not words:
        wait_for(lambda: state(hot)[0] == "paused")
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        daemon.process.send_signal(signal.SIGHUP)
        wait_for((hot.outbox / "first.png.json").exists)
        daemon.process.send_signal(signal.SIGTERM)
    daemon.process.wait(timeout=DEADLINE_SECONDS)
    assert daemon.process.returncode == (1 if words else 0)
    assert daemon.said("action=stopped")
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()
    assert hot.files("failed") == set()
    assert ("first.png" in hot.files("inbox")) == bool(words)


_NO_MEMORY = """
import sys

def fail(*arguments, **keys):
    raise MemoryError

if "pipeline.pixel_worker" in sys.orig_argv:
    from PIL import Image
    Image.open = fail
"""


class TestPixelWorkers:
    """They are known to the same rules as the editor."""

    def test_with_once_those_that_do_not_start_blame_no_picture(self, hot: HotFolder) -> None:
        broken = hot.root.parent / "broken" / "PIL" / "__init__.py"
        broken.parent.mkdir(parents=True)
        broken.write_text("raise RuntimeError('libjpeg is gone')")
        hot.environment["PYTHONPATH"] = str(broken.parents[1])
        names = {f"{number}.png" for number in range(6)}
        for name in names:
            hot.drop(name)
        done = hot.call("run", "--once", "--editor", "echo")
        assert done.returncode == 1
        assert done.stderr.count("action=stopping") == 1
        assert "cannot be started" in done.stderr
        assert "libjpeg is gone" in done.stderr
        assert done.stderr.count("action=pixel_worker_lost") < 8
        assert {name for name in hot.files("inbox") if name.endswith(".png")} == names
        assert hot.files("failed") == hot.files(".hotfolder/work") == set()

    def test_with_once_memory_that_runs_out_over_small_pictures_blames_none(
        self, hot: HotFolder
    ) -> None:
        custom = hot.root.parent / "custom" / "sitecustomize.py"
        custom.parent.mkdir()
        custom.write_text(_NO_MEMORY)
        hot.environment["PYTHONPATH"] = str(custom.parent)
        names = {f"{number}.png" for number in range(6)}
        for name in names:
            hot.drop(name)
        done = hot.call("run", "--once", "--editor", "echo")
        assert done.returncode == 1
        assert "Memory ran out over" in done.stderr
        assert hot.files("failed") == hot.files("outbox") == set()
        kept = hot.files("inbox") | {Path(it).name for it in hot.files(".hotfolder/work")}
        assert names <= kept  # those that were begun wait for the next daemon

    @pytest.mark.parametrize("deed", ["opening", "saving"])
    def test_with_once_those_that_die_over_every_picture_blame_none(
        self, hot: HotFolder, deed: str
    ) -> None:
        note(hot, deed, ".*")
        names = {f"{number}.png" for number in range(6)}
        for name in names:
            hot.drop(name)
        daemon = run_once(hot)
        program = {"opening": "the program that opens", "saving": "the program that saves"}[deed]
        assert heard(daemon, "action=stopping", program, "it is the machine and no job") == 1
        assert hot.files("failed") == hot.files("outbox") == set()
        kept = in_work(hot) | hot.files("inbox")
        assert {name for name in kept if name.endswith(".png")} == names

    @pytest.mark.parametrize(
        ("deed", "told"),
        [("opening", "it is the machine and no job"), ("starting", "libraries is gone")],
    )
    def test_that_they_are_broken_is_said_and_work_goes_on_when_they_are_mended(
        self, hot: HotFolder, deed: str, told: str
    ) -> None:
        fault = note(hot, deed, ".*")
        daemon = CastDaemon(hot, "--editor", "echo")
        for number in range(4):
            hot.drop(f"{number}.png")
        assert wait_for(lambda: daemon.said("action=work_halted", "the program that opens"))
        assert wait_for(lambda: daemon.said("action=editor_ready"))
        status, reason = state(hot)
        assert status == "paused"
        assert told in reason
        fault.unlink()
        daemon.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: daemon.said("action=work_goes_on", "the program that opens"))
        wait_for(lambda: len(hot.files("outbox")) >= 2)
        assert state(hot)[0] == "online"
        assert hot.files("failed") == set()
        daemon.stop()
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()

    @pytest.mark.parametrize("deed", ["opening", "saving"])
    def test_a_picture_that_kills_them_twice_is_quarantined_and_others_go_on(
        self, hot: HotFolder, deed: str
    ) -> None:
        note(hot, deed, "poison.*")
        hot.drop("poison.png", priority=9)
        for number in range(3):
            hot.drop(f"{number}.png")
        daemon = run_once(hot)
        assert heard(daemon, "action=pixel_worker_lost", "killed by SIGKILL") == 2
        assert heard(daemon, "action=work_halted") == 0
        assert "State: quarantined" in hot.why("poison")
        assert len(hot.files("outbox")) == 6
