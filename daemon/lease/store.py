"""The terms of a hot folder on its share: `.hotfolder/lease/<number>/owner.json`.

Only what every share does alike: making folders, listing them, replacing and reading whole files.
Nothing is judged by its times, or by what a client remembers of it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from config.problems import UserError
from daemon.fs.hot_folder import id_in
from daemon.fs.safe_tree import SafeTree
from daemon.lease import owner
from daemon.lease.owner import LeaseRecord

_RECORD = "owner.json"
# A longer number was not counted up to, and the one after it may have no name.
_TERM = re.compile("(?!9{18})[0-9]{1,18}")


def newest_record(root: Path) -> LeaseRecord | None:
    """Who led a hot folder last, by the record of its newest term; None where that is not said.

    For who only asks: its marker is not looked at. Raises OSError where it cannot be read.
    """
    store = LeaseStore(root, str)
    text = store.read(max(store._terms(), default=0))
    return None if text is None else owner.read(text)


class LeaseStore:
    """The Store of an Election, for one hot folder."""

    def __init__(self, root: Path, identity: Callable[[], str]) -> None:
        """`identity` gives the id of the hot folder that is meant, "" until it is known."""
        self._root, self._identity = root, identity
        self._tree = SafeTree(root)
        self._folder = root / ".hotfolder" / "lease"

    def newest(self) -> int:
        """The newest term, 0 where there was none."""
        self._check()
        return max(self._terms(), default=0)

    def read(self, term: int) -> str | None:
        """The record of a term, None where it has none."""
        try:
            # Opened anew: a share shows then what is there, and not what it remembers.
            return self._tree.read(self._of(term) / _RECORD).decode(errors="replace")
        except FileNotFoundError:
            return None

    def begin(self, term: int) -> bool:
        """Begin a term; False where somebody did already."""
        self._check()
        self._tree.make_folder(self._folder)
        try:
            self._tree.make_own_folder(self._of(term))
        except FileExistsError:
            return False
        return True

    def write(self, term: int, text: str) -> bool:
        """Write the record of a term in place of the last one; False where the term is gone."""
        self._check()
        try:
            self._tree.write_whole(self._of(term) / _RECORD, text.encode())
        except FileNotFoundError:
            return False
        return True

    def give_back(self, term: int) -> None:
        """Remove a term that was begun and has no record, as far as that can be removed."""
        self._clear(self._of(term))

    def clear_before(self, term: int) -> None:
        """Remove what earlier terms left, as far as that can be removed."""
        for earlier in self._terms():
            if earlier < term:
                self._clear(self._of(earlier))

    def _clear(self, folder: Path) -> None:
        try:
            self._tree.remove(folder / _RECORD)
            self._tree.clear_temporaries(folder)
            self._tree.remove_empty(folder)
        except OSError:
            return  # of another user, say; it is in nobody's way, nor of what else is cleared

    def _terms(self) -> list[int]:
        try:
            entries = self._tree.entries(self._folder)
        except FileNotFoundError:
            return []
        return [
            int(name)
            for name, status in entries
            if _TERM.fullmatch(name) and stat.S_ISDIR(status.st_mode)
        ]

    def _of(self, term: int) -> Path:
        return self._folder / f"{term:08}"

    def _check(self) -> None:
        """Raise OSError where the share is away, or another hot folder is in its place."""
        try:
            is_here = id_in(self._tree) == self._identity()
        except UserError:
            is_here = False
        if not is_here:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), str(self._root))
