"""A model that main memory cannot hold is refused before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.problems import UserError
from pipeline import checkpoint
from pipeline.checkpoint import EDIT_PLUS
from pipeline.qwen import memory


def test_available_is_what_the_kernel_says(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:  2048 kB\n")
    assert memory.available_bytes(meminfo) == 2 * 2**20
    assert memory.available_bytes() > 0


def test_a_kernel_that_does_not_say_is_an_error(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000 kB\n")
    with pytest.raises(RuntimeError, match="MemAvailable"):
        memory.available_bytes(meminfo)


def test_too_little_memory_is_told_with_what_is_needed_and_what_is_there(
    folders: dict[str, Path],
) -> None:
    source = checkpoint.read(folders[EDIT_PLUS])
    needed = memory.needed_bytes(source, 2)
    memory.refuse_unless_it_fits(source, 2, needed)
    with pytest.raises(UserError, match=r"needs 2\.0 GiB.* 1\.0 GiB are available"):
        memory.refuse_unless_it_fits(source, 2, 2**30)


def test_the_weights_count_as_they_are_computed_with(folders: dict[str, Path]) -> None:
    source = checkpoint.read(folders[EDIT_PLUS])
    spare = memory.needed_bytes(source, 0)
    assert memory.needed_bytes(source, 4) - spare == 2 * (memory.needed_bytes(source, 2) - spare)
    assert memory.needed_bytes(source, 2) > spare
