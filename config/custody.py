"""Who may change a settings file: it says which files the daemon reads and moves."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path

from config.problems import Problem

_MOST_LINKS = 40  # as the kernel follows: path_resolution(7)


def problems(path: Path, status: os.stat_result, *, user: int, named: bool) -> Iterator[Problem]:
    """Why a file of this status must not be trusted by `user`; `named`: somebody chose it.

    Every folder on the way to it counts, and every link. Raises OSError where one cannot be
    looked at.
    """
    if status.st_mode & stat.S_IWOTH:
        yield Problem(str(path), "can be changed by everybody", f"run: chmod o-w {path}")
    trusted = {0, user, status.st_uid}  # whose file it is, is judged below
    for entry in _way_to(path):
        yield from _replaceable(path, entry, trusted)
    if not named and status.st_uid not in (0, user):
        what = f"belongs to user {status.st_uid}, neither to you nor to root, and was found here"
        yield Problem(str(path), what, f"if you trust it, name it: --config {path}")


def is_of_a_group(path: Path) -> bool:
    """Whether more users than its owner can change it; raises OSError."""
    return bool(path.stat().st_mode & stat.S_IWGRP)


def _replaceable(path: Path, entry: Path, trusted: Collection[int]) -> Iterator[Problem]:
    """Whether others can put something else in the place of an entry on the way to the file."""
    folder = entry.parent
    mode = folder.stat().st_mode
    if not mode & stat.S_IWOTH:
        return
    if not mode & stat.S_ISVTX:
        its_own = "lies in a folder where everybody can put another in its place"
        other = f"is reached through {entry}, which everybody can replace"
        what = its_own if folder == path.absolute().parent else other
        yield Problem(str(path), what, f"run: chmod o-w {folder}")
    # In a folder like /tmp nobody but its owner can put another file in the place of one.
    elif (owner := entry.lstat().st_uid) not in trusted:
        what = f"is reached through {entry}, which user {owner} can replace, neither you nor root"
        yield Problem(str(path), what, "move it where others may not write, like /etc/hotfolder")


def _way_to(path: Path) -> Iterator[Path]:
    """Each entry that leads to a file, the file too; only the entry itself may be a link."""
    here, links = Path("/"), 0
    names = deque(path.absolute().parts[1:])
    while names:
        name = names.popleft()
        if name == "..":
            here = here.parent
            continue
        yield here / name
        if not (here / name).is_symlink():
            here /= name
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = (here / name).readlink()
        if target.is_absolute():
            here = Path("/")
        names.extendleft(reversed(target.parts[target.is_absolute() :]))
