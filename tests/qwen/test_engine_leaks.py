"""Jobs and their failures leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pipeline.checkpoint import EDIT_PLUS

TESTS = Path(__file__).parents[1]
# What the allocator and the interpreter keep back: 60 jobs have never left more than a quarter of
# it, and a leak of a fifth of a megabyte a job would be more.
ALLOWED_KIB = 8 * 1024
ALLOWED_OBJECTS = 100


def test_a_hundred_jobs_of_which_a_fifth_fail_leave_nothing_behind(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    # One arena, which gives back what is free at its end when it is told to.
    path = f"{TESTS}{os.pathsep}{TESTS.parent}"
    environment = {**os.environ, "PYTHONPATH": path, "MALLOC_ARENA_MAX": "1"}
    child = subprocess.run(
        [sys.executable, "-m", "rig.hundred_jobs", tiny_models[EDIT_PLUS], tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    early, late = map(json.loads, child.stdout.splitlines())
    assert late["resident_kib"] - early["resident_kib"] <= ALLOWED_KIB
    assert late["objects"] - early["objects"] <= ALLOWED_OBJECTS
    for countable in ("tensors", "hooks", "files", "descriptors", "threads"):
        assert late[countable] == early[countable], countable
