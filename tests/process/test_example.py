"""Every file of the example is planned as its README says."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness import HotFolder

EXAMPLE = Path(__file__).parents[2] / "hotfolder_example"
RESULTS = {
    "mountains.png": ["mountains.png"],
    "harbour.png": ["harbour.png"],
    "lamp.jpg": ["lamp.jpg"],
    "mug.jpg": ["mug.jpg"],
    "poster.jpg": ["poster.webp"],
    "street.jpg": ["street.jpg"],
    "花园.webp": ["花园_s7.webp", "花园_s8.webp"],
    "茶壶.jpg": ["茶壶.jpg"],
    "portraits/anna.jpg": ["portraits/anna.jpg"],
}


@pytest.fixture
def files(hot: HotFolder) -> dict[str, dict[str, Any]]:
    """Every file of the example's plan."""
    shutil.copytree(EXAMPLE, hot.cwd / "example")
    done = hot.call("plan", "--json", "--root", hot.cwd / "example")
    assert done.returncode == 0, done.stderr
    (folder,) = json.loads(done.stdout)["folders"]
    assert folder["ignored"] == []
    return {file["file"]: file for file in folder["files"]}


def test_every_picture_makes_the_results_that_are_promised(
    files: dict[str, dict[str, Any]],
) -> None:
    jobs = {name: file["job"]["results"] for name, file in files.items() if "job" in file}
    assert jobs == {
        name: [f"outbox/{result}" for result in results] for name, results in RESULTS.items()
    }
    assert next(iter(jobs)) == "mountains.png"  # its priority


def test_every_job_is_quick(files: dict[str, dict[str, Any]]) -> None:
    assert {file["job"]["steps"] for file in files.values() if "job" in file} == {4}


def test_only_the_broken_instruction_has_problems(files: dict[str, dict[str, Any]]) -> None:
    broken = {name: file["problems"] for name, file in files.items() if file["problems"]}
    assert set(broken) == {"balloon.jpg", "balloon.yaml"}
    assert "did you mean 'steps'?" in broken["balloon.jpg"][0]
    assert "'strenght' is no key" in broken["balloon.jpg"][1]


def test_the_readme_names_every_file(files: dict[str, dict[str, Any]]) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`]+\.(?:jpg|png|webp|yaml|txt))`", readme))
    assert set(files) <= named


def test_the_chinese_prompt_is_read_from_gb18030(files: dict[str, dict[str, Any]]) -> None:
    assert files["茶壶.jpg"]["job"]["prompt"].startswith("把桌布换成")
    with pytest.raises(UnicodeDecodeError):
        (EXAMPLE / "inbox" / "茶壶.txt").read_text(encoding="utf-8")


def test_the_example_runs_and_tells_what_was_wrong(hot: HotFolder) -> None:
    shutil.rmtree(hot.root)
    shutil.copytree(EXAMPLE, hot.root)
    assert hot.once().returncode == 1
    made = {name for name in hot.files("outbox") if not name.endswith((".json", ".gitkeep"))}
    assert made == {result for results in RESULTS.values() for result in results}
    assert "'step' is no key" in hot.why("balloon")
