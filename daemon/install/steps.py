"""The acts of an installation: each is known to be done or not, so a second time is nothing."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from config.problems import Problem, UserError
from daemon.fs.hot_folder import make_hot_folder

_MARKER = ".hotfolder/id"


@dataclass(frozen=True, slots=True)
class Write:
    """A file has this content."""

    path: Path
    content: str
    keep: bool = False  # one that is there already stays, whatever it says

    def __str__(self) -> str:
        return f"write {self.path}"


@dataclass(frozen=True, slots=True)
class Remove:
    """A file that we have written is there no more."""

    path: Path

    def __str__(self) -> str:
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class MakeHotFolder:
    """A folder is a hot folder."""

    root: Path

    def __str__(self) -> str:
        return f"make {self.root} a hot folder"


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """A folder is there, with this owner and these rights."""

    path: Path
    user: str
    group: str
    mode: int

    def __str__(self) -> str:
        return f"have {self.path} belong to {self.user}:{self.group}, mode {self.mode:04o}"


@dataclass(frozen=True, slots=True)
class Call:
    """A command is run where anything has changed, or, `unless` it says so, is not so already."""

    words: tuple[str, ...]
    unless: tuple[str, ...] = ()  # a command that does well where it is so already

    def __str__(self) -> str:
        return f"run {' '.join(self.words)}"


Step = Write | Remove | MakeHotFolder | MakeFolder | Call


def is_done(step: Step, *, has_changed: bool) -> bool:
    """Whether nothing is left to do of an act; `has_changed`: one before it was done now."""
    match step:
        case Write(path, content, keep):
            return path.is_file() and (keep or path.read_text(encoding="utf-8") == content)
        case Remove(path):
            return not path.exists()
        case MakeHotFolder(root):
            return (root / _MARKER).exists()
        case MakeFolder(path, user, group, mode):
            return _stands(path, user, group, mode)
        case Call(unless=unless):
            return _does_well(unless) if unless else not has_changed
        case _:
            assert_never(step)


def carry_out(step: Step) -> None:
    """Do it; raises UserError where this machine does not let us."""
    try:
        _do(step)
    except (OSError, KeyError) as error:
        what = f"it cannot be done: {error}"
        advice = "mend that, then call again: what is done already stays"
        raise UserError([Problem(str(step), what, advice)]) from error


def _do(step: Step) -> None:
    match step:
        case Write(path, content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            path.chmod(0o644)  # whatever the umask: nothing in it is secret
        case Remove(path):
            path.unlink()
        case MakeHotFolder(root):
            make_hot_folder(root, str(uuid.uuid4()))
        case MakeFolder(path, user, group, mode):
            _make_folder(path, _ids(user, group), mode)
        case Call(words):
            _run(words)
        case _:
            assert_never(step)


def _make_folder(path: Path, ids: tuple[int, int], mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    # Others may write there: what they have put in its place as a link is not followed.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, *ids)
        os.fchmod(descriptor, mode)  # last: a change of owner clears the bits of groups
    finally:
        os.close(descriptor)


def _stands(path: Path, user: str, group: str, mode: int) -> bool:
    try:
        found = path.lstat()
        wanted = (*_ids(user, group), mode)
    except (FileNotFoundError, KeyError):
        return False
    return (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == wanted


def _ids(user: str, group: str) -> tuple[int, int]:
    return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid


def _does_well(words: tuple[str, ...]) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _run(words: tuple[str, ...]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(said[-1] if said else f"exit code {done.returncode}")
