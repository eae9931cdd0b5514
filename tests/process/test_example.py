"""Every file of the example is planned as its README says."""

import json
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from harness import HotFolder
from PIL import Image

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "hotfolder_example"
RESULTS = {
    "pair.png": ["pair.png"],
    "circle.png": ["circle.png"],
    "heart.jpg": ["heart.jpg"],
    "poster.jpg": ["poster.webp"],
    "ring.webp": ["ring_s7.webp", "ring_s8.webp"],
    "star.jpg": ["star.jpg"],
    "wall.jpg": ["wall.jpg"],
    "心形.jpg": ["心形.jpg"],
    "album/still.jpg": ["album/still.jpg"],
}


@pytest.fixture
def files(hot: HotFolder) -> dict[str, dict[str, Any]]:
    """Every file of the example's plan."""
    shutil.copytree(EXAMPLE, hot.cwd / "example")
    hot.write_settings(f"model: {{path: {TOP}/models/small}}")
    del hot.environment["NUM_STEPS"]
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
    assert next(iter(jobs)) == "pair.png"  # its priority


def test_every_job_is_quick_and_begins_from_a_written_seed(
    files: dict[str, dict[str, Any]],
) -> None:
    jobs = [file["job"] for file in files.values() if "job" in file]
    assert {job["steps"] for job in jobs} == {8}  # the model says so itself
    assert {job["seed"] for job in jobs} == {7, 42}


def test_the_example_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()}
    assert [name for name in sizes if name.endswith(".jpg") and sizes[name] > 250_000] == []
    assert sum(sizes.values()) <= 3_000_000


def test_only_the_broken_instruction_has_problems(files: dict[str, dict[str, Any]]) -> None:
    broken = {name: file["problems"] for name, file in files.items() if file["problems"]}
    assert set(broken) == {"cross.jpg", "cross.yaml"}
    assert "did you mean 'steps'?" in broken["cross.jpg"][0]
    assert "'strenght' is no key" in broken["cross.jpg"][1]


def test_the_readme_names_every_file(files: dict[str, dict[str, Any]]) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`]+\.(?:jpg|png|webp|yaml|txt))`", readme))
    assert set(files) <= named


def test_the_chinese_prompt_is_read_from_gb18030(files: dict[str, dict[str, Any]]) -> None:
    assert files["心形.jpg"]["job"]["prompt"] == "把心形涂成紫色。"
    with pytest.raises(UnicodeDecodeError):
        (EXAMPLE / "inbox" / "心形.txt").read_text(encoding="utf-8")


def test_the_example_runs_and_tells_what_was_wrong(hot: HotFolder) -> None:
    shutil.rmtree(hot.root)
    shutil.copytree(EXAMPLE, hot.root)
    assert hot.once().returncode == 1
    made = {name for name in hot.files("outbox") if not name.endswith((".json", ".gitkeep"))}
    assert made == {result for results in RESULTS.values() for result in results}
    assert "cross.yaml, line 3: 'step' is no key." in hot.why("cross")
    assert "What to do: (1) Did you mean 'steps'?" in hot.why("cross")
    assert_the_sheet_shows_all(hot)


def assert_the_sheet_shows_all(hot: HotFolder) -> None:
    """The contact sheet has a row for every result, beside its original, and for the failure."""
    script, file = TOP / "scripts" / "contact_sheet.py", hot.cwd / "sheet.jpg"
    subprocess.run([sys.executable, script, hot.root, file], check=True)
    with Image.open(file) as sheet:
        # At the left frames of the two columns, below the line that names them.
        before, after = (sheet.convert("L").crop((x, 50, x + 1, sheet.height)) for x in (20, 400))
    assert runs(before) == 11  # ten results, of which two are of one picture, and one failure
    assert runs(after) == 10


def runs(line: Image.Image) -> int:
    """How many frames a line of pixels follows, on white paper."""
    dark = [False, *(level < 180 for level in line.tobytes())]
    return sum(now and not last for last, now in pairwise(dark))
