"""How much main memory there is, of the machine and of the control groups around a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.qwen import host_memory

MIB = 2**20


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:  2048 kB\n")
    return file


@pytest.fixture
def no_group(tmp_path: Path) -> Path:
    return process(tmp_path, "", "")


def process(base: Path, groups: str, mounts: str) -> Path:
    """The folder of a process in these groups, and what it sees mounted."""
    folder = base / "self"
    folder.mkdir(exist_ok=True)
    (folder / "cgroup").write_text(groups)
    (folder / "mountinfo").write_text(mounts)
    return folder


def second(folder: Path, limit: str) -> None:
    """A group of version 2 that uses 700,000 bytes, 400,000 of them for files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text("700000\n")
    (folder / "memory.stat").write_text("anon 300000\ninactive_file 250000\nactive_file 150000\n")


def first(folder: Path, limit: int) -> None:
    """The same in version 1."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text("700000\n")
    stat = "cache 1\ntotal_inactive_file 250000\ntotal_active_file 150000\n"
    (folder / "memory.stat").write_text(stat)


def test_available_is_what_the_kernel_says(meminfo: Path, no_group: Path) -> None:
    assert host_memory.available_bytes(meminfo, no_group) == 2 * 2**20
    assert host_memory.available_bytes() > 0


@pytest.mark.parametrize(
    ("limit", "left"),
    [("1000000", 700_000), ("200000", 0), ("9000000", 2 * 2**20), ("max", 2 * 2**20)],
)
def test_a_group_leaves_what_its_limit_does_and_its_file_cache(
    meminfo: Path, tmp_path: Path, limit: str, left: int
) -> None:
    second(tmp_path / "fs" / "system.slice" / "hotfolder.service", limit)
    mounts = f"30 24 0:26 / {tmp_path}/fs rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    own = process(tmp_path, "0::/system.slice/hotfolder.service\n", mounts)
    assert host_memory.available_bytes(meminfo, own) == left


def test_the_narrowest_of_all_groups_around_it_counts(meminfo: Path, tmp_path: Path) -> None:
    second(tmp_path / "fs" / "a.slice" / "b.service", "max")
    second(tmp_path / "fs" / "a.slice", "800000")
    second(tmp_path / "fs" / "other.slice", "1")
    mounts = f"30 24 0:26 / {tmp_path}/fs rw - cgroup2 cgroup2 rw\n"
    own = process(tmp_path, "0::/a.slice/b.service\n", mounts)
    assert host_memory.available_bytes(meminfo, own) == 500_000


def test_version_1_beside_version_2_counts_where_it_limits_memory(
    meminfo: Path, tmp_path: Path
) -> None:
    no_limit = 9_223_372_036_854_771_712
    first(tmp_path / "memory" / "service", no_limit)
    first(tmp_path / "memory", 900_000)
    mounts = (
        f"31 30 0:27 / {tmp_path}/memory rw shared:9 - cgroup cgroup rw,memory\n"
        f"32 30 0:28 / {tmp_path}/cpu rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
        f"33 30 0:29 / {tmp_path}/unified rw - cgroup2 cgroup2 rw\n"
    )
    own = process(tmp_path, "4:memory:/service\n2:cpu,cpuacct:/service\n0::/\n", mounts)
    assert host_memory.available_bytes(meminfo, own) == 600_000


@pytest.mark.parametrize("path", ["/docker/1f/inner", "/", "/elsewhere"])
def test_in_a_container_the_group_that_it_sees_counts(
    meminfo: Path, tmp_path: Path, path: str
) -> None:
    """Its own group is mounted there; its path is told from the outside, or from within."""
    second(tmp_path / "fs", "1000000")
    mounts = f"30 24 0:26 /docker/1f {tmp_path}/fs ro - cgroup2 cgroup2 rw\n"
    own = process(tmp_path, f"0::{path}\n", mounts)
    assert host_memory.available_bytes(meminfo, own) == 700_000


def test_a_kernel_that_does_not_say_is_an_error(meminfo: Path, no_group: Path) -> None:
    meminfo.write_text("MemTotal:  9000 kB\n")
    with pytest.raises(RuntimeError, match="MemAvailable"):
        host_memory.available_bytes(meminfo, no_group)


def test_what_this_process_has_is_told_and_grows_with_what_it_takes() -> None:
    before = host_memory.resident_bytes()
    taken = bytearray(b"x" * (64 * MIB))
    assert 60 * MIB <= host_memory.resident_bytes() - before <= 80 * MIB
    del taken
