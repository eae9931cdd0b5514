"""A model that main memory cannot hold is refused before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.problems import UserError
from pipeline import checkpoint
from pipeline.checkpoint import EDIT_PLUS
from pipeline.qwen import host_memory

NO_GROUP = Path("/nowhere")


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:  2048 kB\n")
    return file


def _group(folder: Path, limit: str) -> Path:
    folder.mkdir()
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text("700000\n")
    (folder / "memory.stat").write_text("anon 300000\ninactive_file 250000\nactive_file 150000\n")
    return folder


def test_available_is_what_the_kernel_says(meminfo: Path) -> None:
    assert host_memory.available_bytes(meminfo, NO_GROUP) == 2 * 2**20
    assert host_memory.available_bytes() > 0


def test_a_container_has_what_its_limit_leaves_and_its_file_cache(
    meminfo: Path, tmp_path: Path
) -> None:
    assert host_memory.available_bytes(meminfo, _group(tmp_path / "a", "1000000")) == 700_000
    assert host_memory.available_bytes(meminfo, _group(tmp_path / "b", "200000")) == 0
    assert host_memory.available_bytes(meminfo, _group(tmp_path / "c", "9000000")) == 2 * 2**20
    assert host_memory.available_bytes(meminfo, _group(tmp_path / "d", "max")) == 2 * 2**20


def test_a_kernel_that_does_not_say_is_an_error(meminfo: Path) -> None:
    meminfo.write_text("MemTotal:  9000 kB\n")
    with pytest.raises(RuntimeError, match="MemAvailable"):
        host_memory.available_bytes(meminfo, NO_GROUP)


def test_too_little_memory_is_told_with_what_is_needed_and_what_is_there(
    tiny_models: dict[str, Path],
) -> None:
    source = checkpoint.read(tiny_models[EDIT_PLUS])
    needed = host_memory.needed_bytes(source, 2)
    host_memory.refuse_unless_it_fits(source, 2, needed)
    words = r"needs 2\.0 GiB.* 1\.0 GiB are available; close other programs or add memory"
    with pytest.raises(UserError, match=words):
        host_memory.refuse_unless_it_fits(source, 2, 2**30)


def test_bf16_is_advised_only_where_it_would_help(tiny_models: dict[str, Path]) -> None:
    source = checkpoint.read(tiny_models[EDIT_PLUS])
    with pytest.raises(UserError, match=r"leave DTYPE out: in bf16 it needs 2\.0 GiB"):
        host_memory.refuse_unless_it_fits(source, 4, host_memory.needed_bytes(source, 2))
    with pytest.raises(UserError, match="close other programs or add memory"):
        host_memory.refuse_unless_it_fits(source, 4, 2**30)


def test_the_weights_count_as_they_are_computed_with(tiny_models: dict[str, Path]) -> None:
    source = checkpoint.read(tiny_models[EDIT_PLUS])
    spare = host_memory.needed_bytes(source, 0)
    assert host_memory.needed_bytes(source, 4) - spare == 2 * (
        host_memory.needed_bytes(source, 2) - spare
    )
    assert host_memory.needed_bytes(source, 2) > spare
