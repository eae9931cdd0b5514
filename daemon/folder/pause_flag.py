"""Whether a hot folder is paused by hand: a file in it says so, to every daemon on every machine.

Whoever may write in the hot folder may pause it; it outlives restarts, and a change of leader.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from daemon.control.protocol import name_of
from daemon.fs.safe_tree import SafeTree

LOOK_SECONDS = 10.0  # a daemon looks so often, and before each claim
FLAG = ".hotfolder/paused"


def is_paused(tree: SafeTree) -> bool:
    """Whether a hot folder is paused; raises OSError."""
    return tree.exists(tree.root / FLAG)


def set_paused(tree: SafeTree, *, paused: bool) -> bool:
    """Pause a hot folder, or let it go on; False where it is so already. Raises OSError."""
    if is_paused(tree) is paused:
        return False
    if paused:
        tree.write_whole(tree.root / FLAG, b"hotfolder resume removes this file\n")
    else:
        tree.remove(tree.root / FLAG)
    return True


def words_of(root: Path, *, paused: bool, is_news: bool) -> str:
    """What has come of a pause, or of its end, as a sentence begins."""
    if not paused:
        return f"{root} is paused no more" if is_news else f"{root} was not paused by hand"
    return f"{root} is paused" if is_news else f"{root} is paused already"


def earlier_flag(state: Path, root: Path) -> Path:
    """Where earlier versions said so: beside the history, which no other daemon sees."""
    return state / f"{name_of(root)}.paused"


class PauseWatch:
    """Looks now and then whether a hot folder is paused, for its worker."""

    def __init__(self, tree: SafeTree, state: Path) -> None:
        """`state` is the daemon's own folder, where an earlier version may have left a flag."""
        self._tree = tree
        self._earlier: Path | None = earlier_flag(state, tree.root)
        self.is_paused = False
        self.look_at = 0.0  # monotonic seconds, the next time

    def look(self, now: float) -> bool:
        """Look whether it is paused; True where that has changed. Raises OSError."""
        self._carry_over()
        before, self.is_paused = self.is_paused, is_paused(self._tree)
        self.look_at = now + LOOK_SECONDS
        return self.is_paused is not before

    def _carry_over(self) -> None:
        if self._earlier is not None and self._earlier.exists():
            set_paused(self._tree, paused=True)
            with contextlib.suppress(OSError):  # then it is paused once more at the next start
                self._earlier.unlink()
        self._earlier = None
