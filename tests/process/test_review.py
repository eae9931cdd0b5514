"""A result that is not true enough is edited once more, and then laid apart with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from harness import HotFolder, wait_for
from rig.cast import CastDaemon

ALWAYS, ONCE, TWICE = "paint @written", "paint @written *1", "paint @written *2"
THRICE = "paint @written *3"
REASON = "100% of the picture changed, max_changed is 0.5 (50.0%)"


@pytest.fixture
def hot(tmp_path: Path) -> HotFolder:
    one = HotFolder(tmp_path)
    choose(one)
    return one


def choose(hot: HotFolder, *choices: str) -> None:
    usual = ("settle_seconds: 0.1", "sidecar_grace_seconds: 0", "min_free_gib: 0")
    keys = dict(choice.split(": ") for choice in (*usual, "max_changed: 0.5", *choices))
    hot.write_settings(f"defaults: {{{', '.join(f'{key}: {keys[key]}' for key in keys)}}}")


def work(hot: HotFolder) -> str:
    """Work what is in the inbox; returns all that was said about it."""
    daemon = CastDaemon(hot, "--once", "--editor", "echo")
    _, said = daemon.process.communicate(timeout=60)
    assert daemon.process.returncode == 0, said
    return said


def receipt_of(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.with_name(f"{path.name}.json").read_text())
    return document


def test_a_second_chance_with_another_seed_may_do(hot: HotFolder) -> None:
    hot.drop("cat.png", ONCE, seed=7)
    said = work(hot)
    assert hot.files("outbox") == {"cat.png", "cat.png.json"}
    assert hot.files("review") == set()
    receipt = hot.receipt("cat.png")
    assert (receipt["status"], receipt["recipe"]["seed"]) == ("done", 8)
    assert receipt["fidelity"]["first_seed"] == 7
    assert receipt["fidelity"]["missed"] == []
    assert "action=result_missed" in said
    (log,) = hot.root.glob("logs/LOG-*.txt")
    told = f"cat.png did not pass: {REASON}. It is edited once more, with seed 8."
    assert told in log.read_text()


def test_what_falls_short_twice_lies_in_review_with_its_reason(hot: HotFolder) -> None:
    choose(hot, "preview: true")
    hot.drop("sub/cat.png", ALWAYS, seed=7)
    work(hot)
    assert hot.files("outbox") == hot.files("failed") == set()
    names = {"sub/cat.png", "sub/cat.png.json", "sub/cat.png.preview.jpg"}
    assert hot.files("review") == names
    receipt = receipt_of(hot.root / "review/sub/cat.png")
    assert receipt["status"] == "review"
    assert receipt["fidelity"] == {**receipt["fidelity"], "missed": [REASON], "first_seed": 7}
    assert {Path(name).name for name in hot.files("done")} == {"cat.png", "cat.yaml"}
    (log,) = hot.root.glob("logs/LOG-*.txt")
    assert f"Look at what is in review: {REASON}." in log.read_text()
    assert f"It did not pass, and needs a look: {REASON}." in hot.call("why", "sub/cat.png").stdout
    status = hot.call("status").stdout
    assert "1 review" in status
    assert REASON in status


def test_a_picture_of_which_nothing_was_kept_needs_a_look_unless_its_instruction_says_so(
    hot: HotFolder,
) -> None:
    choose(hot, "max_changed: off", "min_keep_psnr: 40")
    hot.drop("lost.png", ALWAYS, seed=7)
    hot.drop("meant.png", ALWAYS, seed=7, min_keep_psnr="off")
    hot.drop("taken.png", ALWAYS, seed=7, keep="none")
    (hot.inbox / "styles").mkdir()
    (hot.inbox / "styles/_preset.yaml").write_text("min_keep_psnr: off\n")
    hot.drop("styles/preset.png", ALWAYS, seed=7)
    work(hot)
    results = {"meant.png", "taken.png", "styles/preset.png"}
    assert hot.files("outbox") == results | {f"{name}.json" for name in results}
    assert hot.files("review") == {"lost.png", "lost.png.json"}
    receipt = receipt_of(hot.root / "review/lost.png")
    (reason,) = receipt["fidelity"]["missed"]
    assert reason.startswith("nothing of the original was kept (")
    assert "min_keep_psnr is 40" in reason
    assert reason in hot.call("why", "lost.png").stdout
    assert receipt["recipe"]["min_keep_psnr"] == 40.0
    assert hot.receipt("meant.png")["recipe"]["min_keep_psnr"] == "off"


def test_a_plan_says_which_limits_hold(hot: HotFolder) -> None:
    hot.drop("cat.png", ALWAYS, seed=7, min_keep_psnr=38.5, megapixels=1.75)
    assert (
        "megapixels 1.75, size original, min_keep_psnr 38.5, max_changed 0.5)"
        in hot.call("plan").stdout
    )


def test_variants_are_judged_one_by_one(hot: HotFolder) -> None:
    hot.drop("cat.png", ONCE, seed=7, variants=2)
    work(hot)
    results = {"cat_s8.png", "cat_s9.png"}
    assert hot.files("outbox") == results | {f"{name}.json" for name in results}


def test_a_job_of_which_one_variant_falls_short_ends_in_review(hot: HotFolder) -> None:
    hot.drop("cat.png", THRICE, seed=7, variants=2)
    said = work(hot)
    assert hot.files("outbox") == {"cat_s10.png", "cat_s10.png.json"}
    (missed,) = hot.root.glob("review/*.png")
    assert receipt_of(missed)["fidelity"]["missed"] == [REASON]
    assert f"action=job_reviewed root={hot.root}" in said
    assert "action=job_done" not in said
    (folder,) = json.loads(hot.call("status", "--json").stdout)["folders"]
    assert (folder["today"]["review"], folder["today"]["done"]) == (1, 0)


def test_a_result_that_passed_is_not_replaced_by_one_that_does_not(hot: HotFolder) -> None:
    choose(hot, "on_duplicate: redo")
    painted = Path(hot.environment["HOME"]) / "done paint written"
    painted.write_bytes(b"..")
    content = hot.drop("cat.png", TWICE, seed=7).read_bytes()
    work(hot)
    first = hot.receipt("cat.png")
    for _ in range(2):
        painted.unlink()
        hot.drop("cat.png", TWICE, seed=7).write_bytes(content)
        work(hot)
    assert hot.receipt("cat.png") == first
    assert hot.files("review") >= {"cat.png", "cat_2.png"}


def end(daemon: CastDaemon) -> None:
    assert daemon.stop() == 0
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()


def test_a_running_daemon_says_what_needs_a_look(hot: HotFolder) -> None:
    daemon = CastDaemon(hot, "--editor", "echo")
    hot.drop("cat.png", ALWAYS, seed=7)
    assert wait_for(lambda: daemon.said("action=job_reviewed", REASON))
    assert REASON in hot.call("status").stdout
    (folder,) = json.loads(hot.call("status", "--json").stdout)["folders"]
    assert folder["today"]["review"] == 1
    reviewed = {"file": "cat.png", "result": "review/cat.png", "reason": REASON}
    assert folder["reviews"] == [reviewed]
    end(daemon)
    daemon = CastDaemon(hot, "--editor", "echo")  # it did not make the result
    assert wait_for(lambda: daemon.said("action=editor_ready"))
    (folder,) = json.loads(hot.call("status", "--json").stdout)["folders"]
    assert folder["reviews"] == [{**reviewed, "reason": "its receipt says which limit it missed"}]
    assert hot.call("accept", "review/cat.png").returncode == 0
    (folder,) = json.loads(hot.call("status", "--json").stdout)["folders"]
    assert folder["reviews"] == []
    end(daemon)
