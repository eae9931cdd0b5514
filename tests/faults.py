"""Every step that this process takes in the files of a folder has a name, and may go wrong."""

from __future__ import annotations

import errno as errors
import io
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

from power import NAMING, Power

# fmt: off
_ONE_PATH = (
    "access", "chmod", "listdir", "lstat", "mkdir", "open", "readlink", "remove", "rmdir",
    "scandir", "stat", "statvfs", "truncate", "unlink", "utime",
)
_TWO_PATHS = ("link", "rename", "replace", "symlink")
_DESCRIPTORS = ("close", "fdatasync", "fstat", "fsync", "ftruncate", "read", "write")
_CHANGES = frozenset((
    "chmod", "fdatasync", "fsync", "ftruncate", "link", "mkdir", "remove", "rename", "replace",
    "rmdir", "symlink", "truncate", "unlink", "utime", "write",
))
# fmt: on
MET = "*"  # begins the name of a step that went wrong
_WRITING = os.O_WRONLY | os.O_RDWR
# What differs from run to run, and what stands for it in a name.
_IDS = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6,}")
_VARIES = ((re.compile(r"\d{4}-\d\d-\d\d"), "DAY"), (re.compile(r"[0-9a-f]{10,}"), "HEX"))


class Way(StrEnum):
    """How a step goes wrong."""

    KILL = "kill"  # the process dies before it
    TEAR = "tear"  # the process dies in the middle of a write
    CUT = "cut"  # the power fails before it: what was not synchronised is lost, names too
    FAIL = "fail"  # it is not done, and says an error
    LIE = "lie"  # it is done, and says an error all the same, as NFS does when a reply is lost


@dataclass(frozen=True, slots=True)
class Fault:
    """One step goes wrong, and with FAIL as many of the following steps as `lasts` says."""

    step: str
    way: Way
    errno: int = 0
    lasts: int = 0

    @property
    def is_deadly(self) -> bool:
        """Whether the process dies of it."""
        return self.way in (Way.KILL, Way.TEAR, Way.CUT)

    def __str__(self) -> str:
        said = f" with {errors.errorcode[self.errno]}" if self.errno else ""
        return f"{self.way}{said}{f' and {self.lasts} more' if self.lasts else ''}: {self.step}"


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    paths: tuple[str, ...]
    changes: bool


class Ledger:
    """Counts the steps below a root, tells each to `say`, and lets one go wrong."""

    def __init__(self, root: str, fault: Fault | None, say: Callable[[str], object]) -> None:
        self._root, self._fault, self._say = root, fault, say
        self._lock = threading.RLock()
        self._met: Counter[str] = Counter()
        self._ids: dict[str, str] = {}
        self._power = Power(root)
        self._left = 0  # steps that go wrong still

    def install(self) -> None:
        """From now on every step of this process counts."""
        # Python's own files in Python: all that they do goes through the functions of os.
        io.open = import_module("_pyio").open
        for name in _ONE_PATH:
            setattr(os, name, self._with_paths(name, getattr(os, name), 1))
        for name in _TWO_PATHS:
            setattr(os, name, self._with_paths(name, getattr(os, name), 2))
        for name in _DESCRIPTORS:
            setattr(os, name, self._with_descriptor(name, getattr(os, name)))

    def _with_paths(self, name: str, real: Callable[..., Any], count: int) -> Callable[..., Any]:
        keys = ("dir_fd",) if count == 1 else ("src_dir_fd", "dst_dir_fd")

        def call(*arguments: Any, **options: Any) -> Any:
            given = zip(arguments, keys, strict=False)
            paths = tuple(_absolute(path, options.get(key)) for path, key in given)
            changes = name in _CHANGES or (name == "open" and bool(arguments[1] & _WRITING))
            return self._take(name, paths, changes, lambda: real(*arguments, **options))

        return call

    def _with_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *arguments: Any) -> Any:
            path = _path_of(descriptor)
            half: Callable[[], object] | None = None
            if name == "write":
                content = bytes(arguments[0])
                half = lambda: real(descriptor, content[: len(content) // 2])  # noqa: E731

            def done() -> Any:
                if name == "write":
                    self._power.written(descriptor)
                result = real(descriptor, *arguments)
                if name in ("fsync", "fdatasync"):
                    self._power.synced(descriptor, path)
                return result

            return self._take(name, (path,), name in _CHANGES, done, half)

        return call

    def _take(
        self,
        name: str,
        paths: tuple[str, ...],
        changes: bool,
        real: Callable[[], Any],
        half: Callable[[], object] | None = None,
    ) -> Any:
        if not any(path.startswith(self._root) for path in paths):
            return real()
        with self._lock:
            step = self._named(name, paths, changes)
            self._say(f"{'!' if changes else ' '}{step.name}\n")
            fault = self._goes_wrong(step)
            if fault is not None:
                return self._go_wrong(fault, name, step, real, half)
            if changes:  # under the lock: what the power may take back is in their order
                return self._power.named(name, paths, real) if name in NAMING else real()
        return real()

    def _named(self, name: str, paths: tuple[str, ...], changes: bool) -> _Step:
        said = " ".join((name, *map(self._said, paths)))
        self._met[said] += 1
        return _Step(f"{said} #{self._met[said]}", paths, changes)

    def _said(self, path: str) -> str:
        path = path.removeprefix(self._root).removeprefix("/") or "."
        path = _IDS.sub(lambda it: self._ids.setdefault(it[0], f"JOB{len(self._ids) + 1}"), path)
        for varies, word in _VARIES:
            path = varies.sub(word, path)
        return path

    def _goes_wrong(self, step: _Step) -> Fault | None:
        if self._fault is None:
            return None
        if step.name == self._fault.step:
            self._left = 1 + self._fault.lasts
        if not self._left:
            return None
        self._left -= 1
        self._say(f"{MET}{step.name}\n")
        return self._fault

    def _go_wrong(
        self,
        fault: Fault,
        name: str,
        step: _Step,
        real: Callable[[], Any],
        half: Callable[[], object] | None,
    ) -> Any:
        match fault.way:
            case Way.TEAR if half is not None:
                half()
            case Way.CUT:
                self._power.cut()
            case Way.LIE:
                real()
            case Way.FAIL if name == "close":
                real()  # a descriptor is closed whatever the file system says of it
            case Way.FAIL if half is not None:
                half()
        if fault.way in (Way.FAIL, Way.LIE):
            raise OSError(fault.errno, os.strerror(fault.errno), *step.paths[:1])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def _absolute(path: Any, folder: int | None) -> str:
    if isinstance(path, int):
        return _path_of(path)
    name = os.fsdecode(path)
    if name.startswith("/"):
        return name
    return f"{Path.cwd() if folder is None else _path_of(folder)}/{name}"


_readlink = os.readlink


def _path_of(descriptor: int) -> str:
    try:
        return _readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
