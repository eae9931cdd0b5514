"""Settings that are read again: those of the model hold from the next opening of the editor."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import Daemon, HotFolder, wait_for
from rig.cast import CastDaemon
from safetensors.numpy import save_file

Start = Callable[..., Daemon]

LAYER = "transformer.transformer_blocks.1.attn.to_q"
SIZE, RANK = 96, 4  # of that layer of the tiny model, and of the LoRA


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    """A LoRA of the tiny model."""
    chance = np.random.default_rng(5)
    path = tmp_path / "night.safetensors"
    down = chance.standard_normal((RANK, SIZE), dtype=np.float32)
    up = chance.standard_normal((SIZE, RANK), dtype=np.float32)
    save_file({f"{LAYER}.lora_A.weight": down, f"{LAYER}.lora_B.weight": up}, path)
    return path


@pytest.fixture
def cast(hot: HotFolder) -> Iterator[Callable[..., CastDaemon]]:
    """Starts daemons whose editor does what the prompts say."""
    started: list[CastDaemon] = []

    def begin() -> CastDaemon:
        started.append(CastDaemon(hot, "--editor", "echo"))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.process.kill()
        daemon.process.wait()
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()


def set_model(hot: HotFolder, **model: object) -> None:
    """Write settings with these of the model."""
    hot.write_settings(
        "defaults: {settle_seconds: 0.2, sidecar_grace_seconds: 0, min_free_gib: 0}",
        f"model: {json.dumps(model)}",
    )


def reload(daemon: Daemon) -> None:
    """Have the settings read again, and wait until they were."""
    before = heard(daemon, "settings_re")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: heard(daemon, "settings_re") > before)


def heard(daemon: Daemon, action: str) -> int:
    """How often something was told."""
    daemon.said("")
    return sum(f"action={action}" in line for line in daemon.lines)


def test_a_new_lora_serves_the_jobs_that_name_it(
    hot: HotFolder, start: Start, tiny_model: Path, lora: Path
) -> None:
    set_model(hot, path=str(tiny_model))
    daemon = start()
    wait_for(lambda: daemon.said("action=editor_ready"))
    set_model(
        hot, path=str(tiny_model), loras={"night": {"path": str(lora), "steps": 2, "cfg": 2}}
    )
    reload(daemon)
    hot.drop("cat.png", lora="night")
    wait_for((hot.outbox / "cat.png.json").exists)
    assert hot.receipt("cat.png")["recipe"]["lora"] == "night"
    assert hot.receipt("cat.png")["attempts"] == 1
    assert daemon.stop() == 0


def test_what_is_being_edited_is_finished_before_the_editor_is_opened_anew(
    hot: HotFolder, start: Start, tiny_model: Path, lora: Path
) -> None:
    old, new = ({"path": str(lora), "steps": 2, "cfg": 2} for _ in range(2))
    set_model(hot, path=str(tiny_model), batch=1, loras={"old": old})
    daemon = start()
    hot.drop("long.png", lora="old", steps=30)
    hot.drop("next.png", lora="old", priority=1)
    wait_for(lambda: daemon.said("action=step_done", "long.png"))
    set_model(hot, path=str(tiny_model), batch=1, loras={"old": old, "new": new})
    reload(daemon)
    hot.drop("cat.png", lora="new")
    wait_for(lambda: {"long.png.json", "next.png.json", "cat.png.json"} <= hot.files("outbox"))
    assert hot.files("failed") == set()
    assert heard(daemon, "editor_lost") == 0
    receipts = {name: hot.receipt(f"{name}.png") for name in ("long", "next", "cat")}
    assert receipts["long"]["model"]["loaded_at"] < receipts["cat"]["model"]["loaded_at"]
    assert {receipt["attempts"] for receipt in receipts.values()} == {1}
    assert daemon.stop() == 0


def test_more_jobs_are_edited_together_after_a_reload(
    hot: HotFolder, start: Start, tiny_model: Path
) -> None:
    set_model(hot, path=str(tiny_model), batch=1)
    daemon = start()
    wait_for(lambda: daemon.said("action=editor_ready"))
    set_model(hot, path=str(tiny_model), batch=3)
    reload(daemon)
    wait_for(lambda: heard(daemon, "editor_ready") == 2)
    hot.drop("long.png", steps=30)
    wait_for(lambda: daemon.said("action=step_done", "long.png"))
    editor = daemon.children()["pipeline.editor_worker"]
    os.kill(editor, signal.SIGSTOP)
    for name in "abc":
        hot.drop(f"{name}.png")
    wait_for(lambda: heard(daemon, "job_claimed") == 4)
    os.kill(editor, signal.SIGCONT)
    wait_for(lambda: heard(daemon, "job_done") == 4)
    told = [line for line in daemon.lines if "job_running" in line or "step_done" in line]
    begun = [number for number, line in enumerate(told) if "job_running" in line]
    assert begun[-3:] == list(range(begun[-3], begun[-3] + 3))  # no step between them
    assert daemon.stop() == 0


def test_for_how_long_the_editor_may_be_silent_holds_at_once(
    hot: HotFolder, cast: Callable[..., CastDaemon]
) -> None:
    set_model(hot, hang_seconds=86400)
    daemon = cast()
    hot.drop("cat.png", "hang @step *1")
    wait_for(lambda: daemon.said("action=job_running"))
    set_model(hot, hang_seconds=1)
    reload(daemon)
    wait_for(lambda: daemon.said("action=editor_lost", "said nothing for 1 s"))
    assert daemon.stop() == 0


def test_a_model_that_is_not_there_is_refused_and_the_old_one_stays(
    hot: HotFolder, start: Start, tiny_model: Path
) -> None:
    set_model(hot, path=str(tiny_model))
    daemon = start()
    wait_for(lambda: daemon.said("action=editor_ready"))
    set_model(hot, path="/nowhere/model")
    reload(daemon)
    assert daemon.said("action=settings_refused", "/nowhere/model")
    hot.drop("cat.png")
    wait_for((hot.outbox / "cat.png.json").exists)
    assert heard(daemon, "editor_ready") == 1
    assert daemon.stop() == 0


def test_another_model_is_asked_as_it_wants_to_be(
    hot: HotFolder, start: Start, tmp_path: Path
) -> None:
    del hot.environment["NUM_STEPS"]
    for steps in (3, 5):
        (tmp_path / f"{steps}").mkdir()
        said = {"steps": steps, "cfg": steps / 2}
        (tmp_path / f"{steps}" / "hotfolder.json").write_text(json.dumps(said))
    set_model(hot, path=str(tmp_path / "3"))
    daemon = start("--editor", "echo")
    hot.drop("first.png")
    wait_for((hot.outbox / "first.png.json").exists)
    set_model(hot, path=str(tmp_path / "5"))
    reload(daemon)
    hot.drop("second.png")
    wait_for((hot.outbox / "second.png.json").exists)
    recipes = [hot.receipt(f"{name}.png")["recipe"] for name in ("first", "second")]
    assert [(it["steps"], it["cfg"]) for it in recipes] == [(3, 1.5), (5, 2.5)]
    assert daemon.stop() == 0
