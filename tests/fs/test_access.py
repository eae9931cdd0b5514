"""For whom a folder is, and as whom a command works in it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.fs.access import as_a_daemon_would, audience, not_permitted

STRANGER = 4321  # a user, and a group, that nobody has
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="it takes two users")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a home, for its group too."""
    home = tmp_path / "hot/.hotfolder"
    home.mkdir(parents=True)
    home.chmod(0o2770)
    return home.parent


@pytest.fixture(autouse=True)
def narrow() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_what_is_made_beside_a_daemon_is_for_its_group_too(root: Path) -> None:
    with as_a_daemon_would(root):
        (root / ".hotfolder/term").mkdir()
    assert stat.S_IMODE((root / ".hotfolder/term").stat().st_mode) & 0o777 == 0o770
    (root / "later").mkdir()
    assert stat.S_IMODE((root / "later").stat().st_mode) == 0o700


def test_what_is_for_its_owner_alone_stays_so(root: Path) -> None:
    (root / ".hotfolder").chmod(0o700)
    with as_a_daemon_would(root):
        (root / ".hotfolder/term").mkdir()
    assert stat.S_IMODE((root / ".hotfolder/term").stat().st_mode) == 0o700


@needs_root
def test_root_works_as_the_owner_and_is_root_again(root: Path) -> None:
    os.chown(root / ".hotfolder", STRANGER, STRANGER)
    for folder in (root, *root.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o011)
    with as_a_daemon_would(root):
        (root / ".hotfolder/term").mkdir()
    made = (root / ".hotfolder/term").stat()
    assert (made.st_uid, made.st_gid) == (STRANGER, STRANGER)
    assert (os.geteuid(), os.getegid()) == (0, 0)


@needs_root
def test_where_the_owner_could_not_come_root_works_as_root(root: Path) -> None:
    os.chown(root / ".hotfolder", STRANGER, STRANGER)
    root.chmod(0o700)
    with as_a_daemon_would(root):
        (root / ".hotfolder/term").mkdir()
    assert (root / ".hotfolder/term").stat().st_uid == 0


@needs_root
def test_who_is_refused_reads_for_whom_it_is_and_what_to_do(root: Path) -> None:
    os.chown(root / ".hotfolder", STRANGER, STRANGER)
    problem = not_permitted(root, root / ".hotfolder/lease")
    assert problem.where == str(root)
    assert f"it is for root, user {STRANGER} and the group {STRANGER}" in problem.what
    assert f"usermod -aG {STRANGER}" in problem.advice


@needs_root
def test_a_group_that_may_only_read_is_not_named_to_who_wants_to_write(root: Path) -> None:
    os.chown(root / ".hotfolder", STRANGER, STRANGER)
    (root / ".hotfolder").chmod(0o750)
    assert "group" in audience(root / ".hotfolder")[0]
    assert audience(root / ".hotfolder", writing=True) == (
        f"root and user {STRANGER}",
        f"ask as user {STRANGER}, or with sudo",
    )
