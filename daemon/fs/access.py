"""For whom a file or folder is, in words for those who are refused."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.problems import Problem
from daemon.fs.local_dirs import folders_of_services

_GROUP_ENTERS = stat.S_IRGRP | stat.S_IXGRP
_GROUP_WRITES = stat.S_IWGRP


def audience(path: Path, *, writing: bool = False) -> tuple[str, str]:
    """Who may read or write what lies at a path, and what others can do; both in plain words.

    Where the path itself is out of sight, they are of the nearest folder above it that is not.
    """
    there = _in_sight(path)
    if there is None:
        return "others", "ask as its user, or with sudo"
    owner, group = _user(there.st_uid), _group(there.st_gid)
    users = "root" if there.st_uid == 0 else f"root and {owner}"
    wanted = _GROUP_ENTERS | (_GROUP_WRITES if writing else 0)
    if there.st_gid == 0 or there.st_mode & wanted != wanted:
        return users, "ask with sudo" if there.st_uid == 0 else f"ask as {owner}, or with sudo"
    advice = f"ask as a member of that group (an administrator adds you: usermod -aG {group}"
    advice = f"{advice} {_user(os.geteuid())}; then log in again), or with sudo"
    return f"{users.replace(' and ', ', ')} and the group {group}", advice


def not_permitted(root: Path, path: Path, *, writing: bool = False) -> Problem:
    """What is said where the system keeps somebody from a file of a hot folder."""
    users, advice = audience(path, writing=writing)
    what = f"it is for {users}{_beside(users)}; you are {_user(os.geteuid())}"
    return Problem(str(root), what, advice)


def _beside(users: str) -> str:
    """Whom the service of this machine answers, as a clause, where there is one."""
    served = next((audience(folder)[0] for folder in folders_of_services()), None)
    if served is None:
        return ""
    who = "the service that runs here"
    return f", and so is {who}" if served == users else f", and {who} for {served}"


@contextmanager
def as_a_daemon_would(root: Path) -> Iterator[None]:
    """Make files in a hot folder that its daemon can use, whoever we are.

    Root does it as the owner of the hot folder, whom a server lets write where it lets no root;
    others leave to its group what its group may write. Raises OSError where it is not there.
    """
    folder = root / ".hotfolder"
    home = folder.stat()
    umask = os.umask(0o077)
    os.umask(umask & ~0o070 if home.st_mode & _GROUP_WRITES else umask)
    try:
        with _as_its_owner(folder, home):
            yield
    finally:
        os.umask(umask)


@contextmanager
def _as_its_owner(folder: Path, there: os.stat_result) -> Iterator[None]:
    if os.geteuid() != 0 or there.st_uid == 0:
        yield
        return
    groups, own_group = os.getgroups(), os.getegid()
    try:
        with contextlib.suppress(PermissionError):  # root of a container may not; then as itself
            os.setgroups([])
            os.setegid(there.st_gid)
            os.seteuid(there.st_uid)
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            _be_root(own_group, groups)  # the way to it is closed to its owner
        yield
    finally:
        _be_root(own_group, groups)


def _be_root(group: int, groups: list[int]) -> None:
    os.seteuid(0)
    os.setegid(group)
    with contextlib.suppress(PermissionError):
        os.setgroups(groups)


def _in_sight(path: Path) -> os.stat_result | None:
    for one in (path, *path.parents):
        with contextlib.suppress(OSError):
            return one.stat()
    return None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
