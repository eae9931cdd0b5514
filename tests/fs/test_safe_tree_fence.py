"""The fence before each change: whoever leads no more changes nothing, not even half-way.

Each changing method asks when it is called, and what is written aside asks again before it gets
its name: between the two a share may have hung for as long as it takes another daemon to lead.
"""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.fs.safe_tree import SafeTree

CHANGES: dict[str, Callable[[SafeTree, Path], object]] = {
    "make_home": lambda tree, _: tree.make_home(),
    "make_folder": lambda tree, hot: tree.make_folder(hot / "new" / "below"),
    "make_own_folder": lambda tree, hot: tree.make_own_folder(hot / "new"),
    "write_whole": lambda tree, hot: tree.write_whole(hot / "a", b"new"),
    "write_passing": lambda tree, hot: tree.write_passing(hot / "a", b"new"),
    "bring": lambda tree, hot: tree.bring(hot.parent / "local", hot, iter(["new"])),
    "bring_over": lambda tree, hot: tree.bring_over(hot.parent / "local", hot / "a"),
    "copy": lambda tree, hot: tree.copy(hot / "a", hot / "new"),
    "move": lambda tree, hot: tree.move(hot / "a", hot / "folder", iter(["new"])),
    "rename": lambda tree, hot: tree.rename(hot / "a", hot / "b"),
    "append": lambda tree, hot: tree.append(hot / "a", b"more"),
    "remove": lambda tree, hot: tree.remove(hot / "a"),
    "remove_empty": lambda tree, hot: tree.remove_empty(hot / "empty"),
    "clear_temporaries": lambda tree, hot: tree.clear_temporaries(hot),
    "try_out": lambda tree, hot: tree.try_out(hot / "folder", 100),
}
ASKS_TWICE = ("write_whole", "write_passing", "bring", "bring_over")
CHANGES_NOTHING = {
    "are_one", "copy_out", "entries", "exists", "held_open", "names", "open", "read", "sha256_of",
    "status", "sync",
}  # fmt: skip


class AnotherLeads(Exception):  # noqa: N818 - no error: it is the other's turn
    """What the fence says."""


class Fence:
    """Lets so many changes pass, then none."""

    def __init__(self, passes: int) -> None:
        self._passes = passes

    def __call__(self) -> None:
        self._passes -= 1
        if self._passes < 0:
            raise AnotherLeads


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    """A folder in which each change has something to change; a local file beside it."""
    hot = tmp_path / "hot"
    for folder in (hot / "folder", hot / "empty"):
        folder.mkdir(parents=True)
    for name in ("a", "b", ".hotfolder-00ff.tmp", "folder/c"):
        (hot / name).write_bytes(name.encode())
    (tmp_path / "local").write_bytes(b"new")
    return hot


@pytest.fixture
def home(hot: Path, change: str) -> Path:
    """The same, with the mark of a hot folder unless that is what is to be made."""
    if change != "make_home":
        (hot / ".hotfolder").mkdir()
    return hot


def everything(hot: Path) -> dict[str, tuple[int, int, bytes]]:
    """Each file and folder: which one it is, when it was last written, and what it holds."""
    return {
        str(path.relative_to(hot)): (
            path.lstat().st_ino,
            path.lstat().st_mtime_ns if path.is_file() else 0,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in hot.rglob("*")
    }


@pytest.mark.parametrize("change", CHANGES)
def test_who_does_not_lead_changes_nothing(home: Path, change: str) -> None:
    before = everything(home)
    modified_ns = {path: path.stat().st_mtime_ns for path in (home, home / "folder")}
    with pytest.raises(AnotherLeads):
        CHANGES[change](SafeTree(home, Fence(0)), home)
    assert everything(home) == before
    # Nothing was made and taken back either.
    assert modified_ns == {path: path.stat().st_mtime_ns for path in modified_ns}


@pytest.mark.parametrize("change", ASKS_TWICE)
def test_what_was_written_while_another_began_to_lead_gets_no_name(
    home: Path, change: str
) -> None:
    before = everything(home)
    with pytest.raises(AnotherLeads):
        CHANGES[change](SafeTree(home, Fence(1)), home)
    assert everything(home) == before


@pytest.mark.parametrize("change", CHANGES)
def test_who_leads_changes_it(home: Path, change: str) -> None:
    before = everything(home)
    CHANGES[change](SafeTree(home, Fence(2)), home)
    assert (everything(home) != before) is (change != "try_out")


def test_each_method_changes_nothing_or_is_tried_here() -> None:
    methods = {name for name, _ in inspect.getmembers(SafeTree, inspect.isfunction)}
    assert {it for it in methods if not it.startswith("_")} == CHANGES_NOTHING | CHANGES.keys()
