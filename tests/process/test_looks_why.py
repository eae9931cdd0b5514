"""why gives one answer for a file, wherever it is or was."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from sample import job


def why(hot: HotFolder, *words: object) -> str:
    """What it answers, where it has an answer."""
    done = hot.call("why", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_file_is_found_by_any_path(hot: HotFolder) -> None:
    path = hot.drop("portraits/cat.png")
    hot.cwd = path.parent
    for word in (path, "cat.png", "../portraits/cat.png"):
        assert "portraits/cat.png is ready, 1st of 1." in why(hot, word)


def test_a_file_is_found_relative_to_the_inbox(hot: HotFolder) -> None:
    hot.drop("portraits/cat.png", prompt="Make it night")
    assert "Make it night" in why(hot, "portraits/cat.png")


def test_the_settings_find_no_file_of_another_hot_folder(hot: HotFolder, tmp_path: Path) -> None:
    other = HotFolder(tmp_path / "other")
    other.drop("cat.png")
    assert hot.call("why", "cat.png").returncode == 2
    assert "cat.png is ready, 1st of 1." in why(hot, "--root", other.root, "cat.png")


def test_problems_come_with_what_to_do(hot: HotFolder) -> None:
    hot.drop("cat.png", step=4)
    assert "cat.yaml, line 1: 'step' is no key; did you mean 'steps'?" in why(hot, "cat.png")


@pytest.mark.parametrize("name", [".cat.png", "cat.png.part", "@eaDir/cat.png"])
def test_a_hidden_name_says_so(hot: HotFolder, name: str) -> None:
    path = hot.inbox / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert "never looked at" in why(hot, path)


def test_a_link_is_left_alone(hot: HotFolder) -> None:
    (hot.inbox / "cat.png").symlink_to("/nowhere.png")
    assert "cat.png is ignored: a symbolic link" in why(hot, "cat.png")


def test_a_result_tells_its_job(hot: HotFolder) -> None:
    hot.drop("cat.png", prompt="Make it night", seed=7)
    hot.once()
    for place in (hot.outbox / "cat.png", hot.outbox / "cat.png.json", "cat.png"):
        said = why(hot, place)
        assert "cat.png was edited: outbox/cat.png." in said
        assert "Make it night" in said
        assert "Seed 7" in said


def test_a_result_without_receipt_is_not_complete(hot: HotFolder) -> None:
    (hot.outbox / "cat.png").touch()
    assert "has no receipt" in why(hot, hot.outbox / "cat.png")


def test_a_failed_file_tells_its_why(hot: HotFolder) -> None:
    hot.drop("a/cat.png", steps=4000)
    hot.once()
    (filed,) = hot.root.glob("failed/*/cat/cat.png")
    for place in (filed, filed.parent, "a/cat.png", "a/cat.yaml"):
        said = why(hot, place)
        assert "cat.png was not edited." in said
        assert "What to do:" in said
        assert f"{filed.parent.relative_to(hot.root)}/WHY.txt" in said


def test_an_original_tells_what_became_of_it(hot: HotFolder) -> None:
    hot.drop("cat.png")
    hot.once()
    (original,) = hot.root.glob("done/*/cat.png")
    assert "outbox/cat.png" in why(hot, original)
    where = str(original.with_suffix(".yaml").relative_to(hot.root))
    assert why(hot, "cat.yaml").count(where) == 1


def test_a_name_alone_finds_all_that_has_it_the_newest_first(hot: HotFolder) -> None:
    hot.drop("a/cat.png")
    hot.once()
    hot.drop("b/cat.png", step=4)
    hot.once()
    hot.drop("c/cat.png").with_suffix(".yaml").unlink()
    said = why(hot, "cat.png")
    third, second, first = (text.splitlines()[0] for text in said.split("\n\n"))
    assert third.startswith("c/cat.png is waiting-sidecar")
    assert second == "b/cat.png was not edited."
    assert first == "a/cat.png was edited: outbox/a/cat.png."
    assert "a/cat.png was edited" not in why(hot, "c/cat.png")  # a path means one
    assert why(hot, "cat") == said  # pictures, by their name without its ending


def test_the_results_of_one_job_are_told_together(hot: HotFolder) -> None:
    hot.drop("a/cat.png", seed=7, variants=2)
    hot.once()
    both = "a/cat.png was edited: outbox/a/cat_s7.png, outbox/a/cat_s8.png."
    for asked in ("cat.png", "a/cat.png", "cat_s8.png", hot.outbox / "a" / "cat_s7.png"):
        said = why(hot, asked)
        assert said.count("was edited") == 1
        assert both in said
        assert "Seeds 7, 8, " in said
        assert "Before that" not in said


def test_earlier_jobs_of_a_picture_follow_with_their_results(hot: HotFolder) -> None:
    for _ in range(2):
        hot.drop("a/cat.png", seed=7)
        hot.once()
    said = why(hot, "a/cat.png")
    assert said.startswith("a/cat.png was edited: outbox/a/cat_2.png.")
    assert said.splitlines()[-1].startswith("Before that, at ")
    assert said.endswith(": edited, outbox/a/cat.png.\n")


def test_the_history_remembers_what_left_no_papers(hot: HotFolder) -> None:
    hot.drop("cat.png")
    hot.once()
    for path in [*hot.root.glob("done/*/*"), *hot.outbox.iterdir()]:
        path.unlink()
    assert "cat.png ended as done" in why(hot, "cat.png")


def test_a_claimed_file_tells_who_takes_it_up(hot: HotFolder) -> None:
    claimed = job("cat.png")
    work = hot.root / ".hotfolder" / "work" / claimed.job_id
    work.mkdir(parents=True)
    (work / "job.json").write_text(json.dumps(asdict(claimed)))
    (work / "cat.png").touch()
    for place in ("cat.png", work / "cat.png"):
        assert "cat.png is claimed" in why(hot, place)


def test_an_unknown_name_gets_the_nearest(hot: HotFolder) -> None:
    hot.drop("sunset.png")
    done = hot.call("why", "sunsett.png")
    assert done.returncode == 2
    assert "sunsett.png is not here" in done.stdout
    assert "Did you mean sunset.png" in done.stdout


def emptied(path: Path) -> AbstractContextManager[object]:
    path.write_bytes(b"")
    return nullcontext()


def halved(path: Path) -> AbstractContextManager[object]:
    os.truncate(path, path.stat().st_size // 2)
    return nullcontext()


def opened(path: Path) -> AbstractContextManager[object]:
    return path.open("ab")


@pytest.mark.parametrize(
    ("settle_seconds", "prepare", "reason"),
    [
        (600, nullcontext, "settling: unchanged for "),
        (0.2, emptied, "empty so far: unchanged for "),
        (0.2, halved, "incomplete: "),
        (0.2, opened, "another program is at work on it"),
    ],
)
def test_a_daemon_says_why_it_does_not_take_a_file_yet(
    hot: HotFolder,
    start: Callable[..., Daemon],
    settle_seconds: float,
    prepare: Callable[[Path], AbstractContextManager[object]],
    reason: str,
) -> None:
    hot.write_settings(f"defaults: {{settle_seconds: {settle_seconds}}}")
    with prepare(hot.drop("cat.png")):
        start("--editor", "echo")
        wait_for(lambda: reason in hot.call("why", "cat.png").stdout)


@pytest.mark.parametrize(
    "forged", ["[" * 200_000, "[" * 500 + "]" * 500, '{"input": {"name": [[7]]}, "files": 7}', "7"]
)
def test_records_that_are_not_sound_end_no_command(hot: HotFolder, forged: str) -> None:
    result = hot.root / "review" / "cat.png"
    records = [
        hot.outbox / "cat.png.json",
        result.with_name("cat.png.json"),
        hot.root / "failed" / "2026-11-22" / "dog" / "report.json",
        hot.root / ".hotfolder" / "work" / "20261122-120000-aaaaaaaa" / "job.json",
    ]
    for record in records:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(forged)
    result.touch()
    assert "has no receipt" in why(hot, result)
    asked = {
        ("why", "cat.png"): 2,
        ("why", records[3]): 0,
        ("status",): 0,
        ("retry", "20261122-120000-aaaaaaaa"): 2,
        ("cancel", "20261122-120000-aaaaaaaa"): 2,
    }
    for words, code in asked.items():
        done = hot.call(*words)
        assert "Traceback" not in done.stderr, words
        assert done.returncode == code, (words, done.stdout, done.stderr)
