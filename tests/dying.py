"""A process that is killed at a chosen step of its work on files."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


def ends_within(steps: int, root: Path, act: Callable[[], object]) -> bool:
    """Whether `act` comes to its end with so many steps below `root`; else it dies in the next.

    Each opening, making, linking, renaming or removing is a step; holding a folder open is none.
    """
    child = os.fork()
    if child == 0:
        try:
            _die_after(steps, os.fspath(root))
            act()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), "it failed instead of dying"
    return code == 0


def _die_after(steps: int, root: str) -> None:
    left = steps

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _STEPS and _is_of(root, event, arguments):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _is_of(root: str, event: str, arguments: tuple[object, ...]) -> bool:
    path, flags = arguments[0], arguments[-1]
    if event == "open" and isinstance(flags, int) and flags & os.O_PATH:
        return False
    # A relative path is a name in a folder of the root that is held open.
    return root in str(path) or not str(path).startswith("/")
