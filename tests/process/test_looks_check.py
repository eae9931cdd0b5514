"""check names all problems at once, and leaves no trace."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import HotFolder, unshared

from config.settings import FolderSettings, Lora, ModelSettings
from daemon.commands.check_folder import look_at_folder
from daemon.commands.check_model import look_at_loras
from daemon.commands.output import Verdict


def check(hot: HotFolder, *words: object) -> str:
    """All lines of a check that finds no problem."""
    done = hot.call("check", *words)
    assert done.returncode == 0, done.stdout
    return done.stdout


def problems(hot: HotFolder, *words: object) -> list[str]:
    """The lines of the problems that a check finds."""
    done = hot.call(*words)
    assert done.returncode == 78, done.stdout
    return [line for line in done.stdout.splitlines() if line.startswith("problem")]


def test_a_sound_folder_is_ready_to_run(hot: HotFolder) -> None:
    said = check(hot, "--editor", "echo")
    assert f"ok       folder   {hot.root} is a hot folder" in said
    assert "all its folders are on one file system" in said
    assert said.endswith("Ready to run, no warnings.\n")


def test_a_check_leaves_no_trace(hot: HotFolder) -> None:
    before = sorted(hot.root.parent.rglob("*"))
    check(hot, "--editor", "echo")
    assert sorted(hot.root.parent.rglob("*")) == before


def test_problems_of_settings_folders_and_model_come_together(hot: HotFolder) -> None:
    hot.settings.write_text("model: {batsh: 3}\n")
    hot.environment["NUM_STEPS"] = "none"
    found = problems(hot, "check", "--root", hot.cwd, "--model", hot.cwd / "nothing")
    words = ("'model.batsh' is no key", "NUM_STEPS", ".hotfolder/id is missing", "/nothing")
    for word, line in zip(words, found, strict=True):
        assert word in line


def test_faulty_settings_are_not_blamed_for_a_missing_folder(hot: HotFolder) -> None:
    hot.settings.write_text("folder: []\n")
    (line,) = problems(hot, "check", "--editor", "echo")
    assert "did you mean 'folders'?" in line


def test_a_missing_folder_is_made_by_init(hot: HotFolder) -> None:
    hot.outbox.rmdir()
    (line,) = problems(hot, "check", "--editor", "echo")
    assert f"run `hotfolder init {hot.root}` again" in line


def test_a_share_that_is_full_is_a_warning(hot: HotFolder) -> None:
    hot.write_settings("defaults: {min_free_gib: 1000000}")
    said = check(hot, "--editor", "echo")
    assert f"warning  folder   {hot.root} has" in said


def test_polling_is_told_with_its_times(hot: HotFolder) -> None:
    hot.write_settings("defaults: {watch: poll, settle_seconds: 3, poll_seconds: 7}")
    said = check(hot, "--editor", "echo")
    assert "noticed by poll (the settings say so), claimed after 3 s" in said
    assert "looked for every 7 s" in said


def test_a_folder_that_is_mounted_read_only_is_one_problem(hot: HotFolder) -> None:
    within = unshared("--mount", "--map-root-user")
    if not within:
        pytest.skip("no namespace may be made here")
    mount = f"mount --bind {hot.root} {hot.root} && mount -o remount,bind,ro {hot.root}"
    check = f"{sys.executable} -m daemon check --editor echo --root {hot.root}"
    done = subprocess.run(
        [*within, "sh", "-c", f"{mount} && exec {check}"],
        cwd=hot.cwd,
        env=hot.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert problems == [f"problem  folder   {hot.root} is mounted read-only; mount it writable"], (
        done.stderr
    )


def test_a_state_folder_that_cannot_be_made_is_a_problem(hot: HotFolder) -> None:
    blocked = hot.cwd / "file"
    blocked.touch()
    hot.environment["XDG_STATE_HOME"] = str(blocked)
    (line,) = problems(hot, "check", "--editor", "echo")
    assert f"state folder {blocked}/hotfolder is not writable" in line


def test_a_folder_that_cannot_be_written_is_a_problem(hot: HotFolder) -> None:
    words = ["prlimit", "--fsize=0", sys.executable, "-m", "daemon", "check", "--editor", "echo"]
    done = subprocess.run(
        words, cwd=hot.cwd, env=hot.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    what = "a file cannot be made, renamed and removed (File too large)"
    assert f"{what}; make room there" in done.stdout
    assert [path.name for path in (hot.root / ".hotfolder").glob("probe*")] == []


@pytest.mark.parametrize(("ahead", "words"), [(-60, "1 min 0 s ahead of"), (60, "behind")])
def test_a_share_whose_clock_is_wrong_is_a_warning(
    hot: HotFolder, ahead: float, words: str
) -> None:
    folder = FolderSettings(root=hot.root)
    findings = list(look_at_folder(folder, lambda: time.time() + ahead))
    (skewed,) = (it for it in findings if it.verdict is Verdict.WARNING)
    assert words in skewed.text


def test_a_model_is_described_with_its_memory(hot: HotFolder, tiny_model: Path) -> None:
    said = check(hot, "--model", tiny_model)
    assert f"{tiny_model}: QwenImageEditPlusPipeline, works at 0.0625 megapixels" in said
    assert "sides in multiples of 32, no licence named" in said
    assert "its weights are random" in said
    usual = "where instruction, presets and LoRA say nothing: steps"
    assert f"{usual} 2 (NUM_STEPS), cfg 4 (the usual)" in said
    assert "it needs 2.0 GiB of main memory (RAM)" in said
    assert "torch 2." in said
    assert "offline: HF_HUB_OFFLINE" in said


def test_fp16_is_warned_of_once(hot: HotFolder, tiny_model: Path) -> None:
    hot.environment["DTYPE"] = "fp16"
    done = hot.call("check", "--model", tiny_model)
    assert (done.stdout + done.stderr).count("fp16 gives black pictures") == 1


@pytest.mark.parametrize("name", ["flash_hub", "warp"])
def test_a_kernel_that_would_be_fetched_or_is_none_is_a_problem(hot: HotFolder, name: str) -> None:
    hot.write_settings(f"model: {{attention: {name}}}")
    (line,) = problems(hot, "check", "--editor", "echo")
    assert f"model.attention is {name}; write one of native, " in line


def test_a_lora_that_is_missing_is_a_problem() -> None:
    lora = Lora(path=Path("/nowhere/fast.safetensors"), steps=4, cfg=1)
    (finding,) = look_at_loras(ModelSettings(loras={"fast": lora}))
    assert "LoRA fast, /nowhere/fast.safetensors, cannot be used: there is no" in finding.text
