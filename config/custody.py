"""Who may change a settings file: it says which files the daemon reads and moves."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from config.problems import Problem


def problems(path: Path, status: os.stat_result, *, user: int, named: bool) -> Iterator[Problem]:
    """Why a file of this status must not be trusted by `user`; `named`: somebody chose it.

    Raises OSError where its folder cannot be looked at.
    """
    if status.st_mode & stat.S_IWOTH:
        yield Problem(str(path), "can be changed by everybody", f"run: chmod o-w {path}")
    folder = path.parent.stat()
    # In a folder like /tmp nobody can put another file in the place of ours.
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        what = "lies in a folder where everybody can put another in its place"
        yield Problem(str(path), what, f"run: chmod o-w {path.parent}")
    if not named and status.st_uid not in (0, user):
        what = f"belongs to user {status.st_uid}, neither to you nor to root, and was found here"
        yield Problem(str(path), what, f"if you trust it, name it: --config {path}")


def is_of_a_group(path: Path) -> bool:
    """Whether more users than its owner can change it; raises OSError."""
    return bool(path.stat().st_mode & stat.S_IWGRP)
