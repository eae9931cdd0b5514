"""What the control groups around this process leave it of main memory, version 1, 2 or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class _Files:
    """How a version of control groups names what it says of memory."""

    limit: str
    used: str
    cache: tuple[str, ...]  # in memory.stat: the group's share of the file cache


_FIRST = _Files(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)
_SECOND = _Files("memory.max", "memory.current", ("inactive_file", "active_file"))


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    """Control groups that are mounted somewhere."""

    files: _Files
    mounted_at: Path
    root: PurePosixPath  # the group that is seen at the mount point

    def groups(self, path: PurePosixPath) -> Iterator[Path]:
        """The group of this path and all around it, as far as they are seen."""
        inner = path.relative_to(self.root) if path.is_relative_to(self.root) else PurePosixPath()
        group = self.mounted_at / inner
        yield group
        for _ in inner.parts:
            group = group.parent
            yield group


def available_bytes(process: Path = Path("/proc/self")) -> Iterator[int]:
    """What each group with a limit, from the process's own to the outermost, still leaves it.

    `process` is its folder below /proc (cgroups(7), proc_pid_mountinfo(5)).
    """
    paths = dict(_paths((process / "cgroup").read_text()))
    for hierarchy in _hierarchies((process / "mountinfo").read_text()):
        if hierarchy.files in paths:
            for group in hierarchy.groups(paths[hierarchy.files]):
                yield from _left(group, hierarchy.files)


def _paths(text: str) -> Iterator[tuple[_Files, PurePosixPath]]:
    """The group of the process in each hierarchy that may limit its memory."""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if (number, controllers) == ("0", ""):
            yield _SECOND, PurePosixPath(path)
        elif "memory" in controllers.split(","):
            yield _FIRST, PurePosixPath(path)


def _hierarchies(text: str) -> Iterator[_Hierarchy]:
    for line in text.splitlines():
        where, _, what = line.partition(" - ")
        kind, _, options = what.split(" ", 2)
        root, mounted_at = where.split(" ")[3:5]
        if kind == "cgroup2":
            yield _Hierarchy(_SECOND, Path(mounted_at), PurePosixPath(root))
        elif kind == "cgroup" and "memory" in options.split(","):
            yield _Hierarchy(_FIRST, Path(mounted_at), PurePosixPath(root))


def _left(group: Path, files: _Files) -> Iterator[int]:
    try:
        limit, used, stat = (
            (group / name).read_text(encoding="ascii").strip()
            for name in (files.limit, files.used, "memory.stat")
        )
    except OSError:  # the outermost has no limit and, in version 2, no such files
        return
    if limit != "max":
        counts = dict(line.split() for line in stat.splitlines())
        cached_bytes = sum(int(counts.get(name, 0)) for name in files.cache)
        yield max(0, int(limit) - int(used) + cached_bytes)
