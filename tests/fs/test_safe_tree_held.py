"""Folders that are held open for one command: what is meanwhile done to them changes nothing."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.descriptors import descriptors_below

from daemon.fs.safe_tree import SafeTree


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    """A hot folder with a file in a folder."""
    hot = tmp_path / "hot"
    for folder in (hot / "folder", hot / ".hotfolder"):
        folder.mkdir(parents=True)
    (hot / "folder" / "a").write_bytes(b"ours")
    return hot


@pytest.fixture
def held(hot: Path) -> Iterator[SafeTree]:
    """Its tree, with the folder entered and held."""
    tree = SafeTree(hot)
    with tree.held_open():
        assert tree.read(hot / "folder" / "a") == b"ours"
        yield tree


def test_a_folder_that_is_renamed_stays_the_one_that_was_entered(
    hot: Path, held: SafeTree
) -> None:
    (hot / "folder").rename(hot / "renamed")
    held.write_whole(hot / "folder" / "b", b"beside it")
    assert (hot / "renamed" / "b").read_bytes() == b"beside it"
    assert not (hot / "folder").exists()


def test_what_takes_its_place_is_not_touched(hot: Path, tmp_path: Path, held: SafeTree) -> None:
    (tmp_path / "outside").mkdir()
    (hot / "folder").rename(hot / "renamed")
    (hot / "folder").symlink_to(tmp_path / "outside")
    held.write_whole(hot / "folder" / "b", b"ours")
    assert list((tmp_path / "outside").iterdir()) == []
    assert {path.name for path in (hot / "renamed").iterdir()} == {"a", "b"}


def test_in_a_folder_that_is_deleted_nothing_is_there_and_nothing_is_made(
    hot: Path, held: SafeTree
) -> None:
    (hot / "folder" / "a").unlink()
    (hot / "folder").rmdir()
    (hot / "folder").mkdir()
    (hot / "folder" / "a").write_bytes(b"theirs")
    assert not held.exists(hot / "folder" / "a")
    with pytest.raises(FileNotFoundError) as raised:
        held.write_whole(hot / "folder" / "b", b"")
    assert Path(raised.value.filename).parent == hot / "folder"
    assert [path.name for path in (hot / "folder").iterdir()] == ["a"]


def test_making_a_folder_looks_again_at_the_way_to_it(
    hot: Path, tmp_path: Path, held: SafeTree
) -> None:
    (hot / "folder").rename(hot / "renamed")
    held.make_folder(hot / "folder" / "below")
    held.write_whole(hot / "folder" / "b", b"")
    assert {path.name for path in (hot / "folder").iterdir()} == {"b", "below"}
    (hot / "folder").rename(hot / "renamed again")
    (hot / "folder").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        held.make_folder(hot / "folder" / "below")


def test_another_hot_folder_in_its_place_is_left_alone(hot: Path, held: SafeTree) -> None:
    hot.rename(hot.with_name("unmounted"))
    (hot / ".hotfolder").mkdir(parents=True)
    held.make_folder(hot / "outbox")
    held.write_whole(hot / "outbox" / "b", b"")
    assert [path.name for path in hot.iterdir()] == [".hotfolder"]
    assert (hot.with_name("unmounted") / "outbox" / "b").exists()


def test_no_folder_is_held_longer_than_its_block(hot: Path) -> None:
    tree = SafeTree(hot)
    with tree.held_open():
        tree.make_folder(hot / "folder" / "below")
        assert len(descriptors_below(hot)) == len((".", "folder", "folder/below"))
    assert descriptors_below(hot) == []
    (hot / "folder").rename(hot / "renamed")
    assert not tree.exists(hot / "folder" / "a")


def test_however_many_are_entered_few_are_held(hot: Path) -> None:
    tree, folders = SafeTree(hot), [hot / "many" / str(number) for number in range(100)]
    with tree.held_open():
        for folder in folders:
            tree.make_folder(folder)
            tree.write_whole(folder / "a", b"")
        assert all(tree.exists(folder / "a") for folder in folders)
        assert len(descriptors_below(hot)) <= 16


def test_a_block_that_fails_holds_none_either(hot: Path) -> None:
    tree = SafeTree(hot)
    with pytest.raises(FileNotFoundError), tree.held_open():
        tree.read(hot / "folder" / "missing")
    assert descriptors_below(hot) == []


def test_a_folder_is_closed_once_whatever_the_share_says_when_it_is(
    hot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, before, close = SafeTree(hot), descriptors_below(hot), os.close

    def close_and_say(descriptor: int) -> None:
        close(descriptor)  # a second time it would be nobody's, or another thread's
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with tree.held_open():
        tree.read(hot / "folder" / "a")
        monkeypatch.setattr(os, "close", close_and_say)
        assert tree.exists(hot / "folder" / "a")
    monkeypatch.undo()
    assert descriptors_below(hot) == before
    with tree.held_open():
        assert tree.read(hot / "folder" / "a") == b"ours"


def test_a_folder_that_cannot_be_held_is_closed(
    hot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, before = SafeTree(hot), descriptors_below(hot)

    def refuse(_descriptor: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "dup", refuse)
    with tree.held_open(), pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        tree.read(hot / "folder" / "a")
    assert descriptors_below(hot) == before
