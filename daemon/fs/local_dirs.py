"""Where a daemon keeps what belongs to this machine alone: state, scratch and control sockets."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from config.problems import Problem, UserError

STATE_OF_THE_SERVICE = Path("/var/lib/hotfolder")  # StateDirectory= of the shipped unit
_NOWHERE = Path("/nonexistent/hotfolder")  # /nonexistent is nobody's home: Debian Policy 9.2.3


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDirs:
    """Absolute local folders; never on a share."""

    state: Path  # the history
    scratch: Path  # private copies of pictures while they are worked on
    control: Path  # sockets; the state folder where nothing better is given


def locate_local_dirs(environment: Mapping[str, str]) -> LocalDirs:
    """Say where the folders are, and touch nothing; raises UserError where there is no home."""
    state = _given(environment, "STATE_DIRECTORY") or _home(
        environment, "XDG_STATE_HOME", ".local/state"
    )
    scratch = _given(environment, "CACHE_DIRECTORY") or _home(
        environment, "XDG_CACHE_HOME", ".cache"
    )
    control = _given(environment, "RUNTIME_DIRECTORY") or state
    return LocalDirs(state=state, scratch=scratch, control=control)


def local_dirs_to_look_in(environment: Mapping[str, str]) -> LocalDirs:
    """Locate the folders for who only looks; they need not be there.

    Who never ran a daemon has the history of the service of this machine, where that is readable.
    """
    try:
        own = locate_local_dirs(environment)
    except UserError:
        own = LocalDirs(state=_NOWHERE, scratch=_NOWHERE, control=_NOWHERE)
    is_the_services = not _is_dir(own.state) and os.access(STATE_OF_THE_SERVICE, os.R_OK | os.X_OK)
    return replace(own, state=STATE_OF_THE_SERVICE) if is_the_services else own


def _is_dir(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except PermissionError:
        return False


def folders_of_services() -> list[Path]:
    """Where the services of this machine listen; root alone makes folders there."""
    return sorted(Path("/run").glob("hotfolder*"))  # RuntimeDirectory= of the shipped units


def make_local_dirs(environment: Mapping[str, str]) -> LocalDirs:
    """Locate the folders and make those that are missing; raises UserError with all problems."""
    local_dirs = locate_local_dirs(environment)
    problems = [
        *_make(local_dirs.state, 0o700),
        *_make(local_dirs.scratch, 0o700),
        *_make(local_dirs.control, 0o750),  # the service's group may ask for status
    ]
    if problems:
        raise UserError(dict.fromkeys(problems))
    return local_dirs


def _given(environment: Mapping[str, str], key: str) -> Path | None:
    # systemd separates several folders by a colon.
    first = environment.get(key, "").partition(":")[0]
    return Path(first) if first.startswith("/") else None


def _home(environment: Mapping[str, str], key: str, below_home: str) -> Path:
    base = environment.get(key, "")
    # The XDG specification has relative paths ignored.
    return (Path(base) if base.startswith("/") else _user(environment) / below_home) / "hotfolder"


def _user(environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME", "")
    if home.startswith("/"):
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        problem = Problem(
            f"user {os.getuid()}",
            "has no home folder to keep local state in",
            "set STATE_DIRECTORY and CACHE_DIRECTORY to absolute folders",
        )
        raise UserError([problem]) from error


def _make(folder: Path, mode: int) -> Iterator[Problem]:
    advice = "make it a folder that this user can write to, or choose another one"
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        yield Problem(str(folder), f"cannot be made: {error.strerror}", advice)
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Problem(str(folder), f"is not writable for user {os.getuid()}", advice)
