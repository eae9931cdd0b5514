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


def audience(path: Path) -> tuple[str, str]:
    """Who may use what lies at a path, and what somebody else can do; both in plain words.

    Where the path itself is out of sight, they are of the nearest folder above it that is not.
    """
    there = _in_sight(path)
    if there is None:
        return "others", "ask as its user, or with sudo"
    owner, group = _user(there.st_uid), _group(there.st_gid)
    users = "root" if there.st_uid == 0 else f"root and {owner}"
    if there.st_gid == 0 or not there.st_mode & _GROUP_ENTERS:
        return users, "ask with sudo" if there.st_uid == 0 else f"ask as {owner}, or with sudo"
    advice = f"ask as a member of that group (an administrator adds you: usermod -aG {group}"
    advice = f"{advice} {_user(os.geteuid())}; then log in again), or with sudo"
    return f"{users.replace(' and ', ', ')} and the group {group}", advice


def not_permitted(root: Path, path: Path) -> Problem:
    """What is said where the system does not let somebody look at a file of a hot folder."""
    users, advice = audience(path)
    services = [audience(folder)[0] for folder in folders_of_services()]
    is_served = (
        f", and so is the service that runs here{'' if users in services else ' for others'}"
    )
    you = f"you are {_user(os.geteuid())}"
    return Problem(str(root), f"it is for {users}{is_served if services else ''}; {you}", advice)


@contextmanager
def as_a_daemon_would(root: Path) -> Iterator[None]:
    """Make files in a hot folder that its daemon can use, whoever we are.

    Root does it as the owner of the hot folder, whom a server lets write where it lets no root;
    others leave to its group what its group may write. Raises OSError where it is not there.
    """
    home = (root / ".hotfolder").stat()
    umask = os.umask(0o077)
    os.umask(umask & ~0o070 if home.st_mode & _GROUP_WRITES else umask)
    try:
        with _being(home.st_uid, home.st_gid):
            yield
    finally:
        os.umask(umask)


@contextmanager
def _being(user: int, group: int) -> Iterator[None]:
    if os.geteuid() != 0 or user == 0:
        yield
        return
    groups, own_group = os.getgroups(), os.getegid()
    with contextlib.suppress(PermissionError):  # root of a container may not; then as itself
        os.setgroups([])
        os.setegid(group)
        os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_group)
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
