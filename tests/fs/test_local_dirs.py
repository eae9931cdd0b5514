import stat
from pathlib import Path

import pytest

from config.problems import UserError
from daemon.fs.local_dirs import (
    LocalDirs,
    local_dirs_to_look_in,
    locate_local_dirs,
    make_local_dirs,
)


def _mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_systemd_says_where_and_the_first_of_several_counts(tmp_path: Path) -> None:
    environment = {
        "STATE_DIRECTORY": f"{tmp_path}/state:{tmp_path}/other",
        "CACHE_DIRECTORY": f"{tmp_path}/cache",
        "RUNTIME_DIRECTORY": f"{tmp_path}/run",
        "HOME": "/nowhere",
    }
    assert make_local_dirs(environment) == LocalDirs(
        state=tmp_path / "state", scratch=tmp_path / "cache", control=tmp_path / "run"
    )


def test_a_user_has_them_in_the_home(tmp_path: Path) -> None:
    state = tmp_path / ".local/state/hotfolder"
    assert make_local_dirs({"HOME": str(tmp_path)}) == LocalDirs(
        state=state, scratch=tmp_path / ".cache/hotfolder", control=state
    )


def test_the_xdg_folders_count_unless_relative(tmp_path: Path) -> None:
    environment = {
        "XDG_STATE_HOME": str(tmp_path / "s"),
        "XDG_CACHE_HOME": "relative",
        "HOME": str(tmp_path),
    }
    places = locate_local_dirs(environment)
    assert places.state == tmp_path / "s/hotfolder"
    assert places.scratch == tmp_path / ".cache/hotfolder"


def test_nobody_else_may_read_the_state(tmp_path: Path) -> None:
    places = make_local_dirs({"HOME": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path / "run")})
    assert _mode(places.state) == 0o700
    assert _mode(places.scratch) == 0o700
    assert _mode(places.control) == 0o750


def test_locating_touches_nothing(tmp_path: Path) -> None:
    locate_local_dirs({"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_who_has_no_home_looks_where_nothing_is() -> None:
    places = local_dirs_to_look_in({"HOME": "relative", "XDG_STATE_HOME": "/s"})
    assert places.state.parts[:2] == ("/", "s")
    assert not local_dirs_to_look_in({"HOME": "/nonexistent"}).control.exists()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    environment = {"STATE_DIRECTORY": f"{file}/state", "CACHE_DIRECTORY": f"{file}/cache"}
    with pytest.raises(UserError) as caught:
        make_local_dirs(environment)
    assert [problem.where for problem in caught.value.problems] == [
        f"{file}/state",
        f"{file}/cache",
    ]
