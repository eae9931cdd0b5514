import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.fs.dirfd import NotRegularFile
from daemon.fs.local import sha256_of
from daemon.fs.safe_tree import SafeTree


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def use_up_links(source: Path) -> None:
    """Link a file as often as its file system allows; skips where that is too often."""
    most = os.pathconf(source, "PC_LINK_MAX")
    if most > 70_000:
        pytest.skip(f"a file may have {most} links here")
    for number in range(most - 1):
        os.link(source, source.with_name(f"link-{number}"))


class TestWritingWhole:
    """A file is seen whole or not at all."""

    def test_it_replaces_what_was_there(self, tmp_path: Path) -> None:
        for content in (b"old", b"new"):
            SafeTree(tmp_path).write_whole(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == b"new"
        assert names(tmp_path) == {"a"}

    def test_a_write_that_fails_leaves_the_old_file_and_no_debris(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()  # cannot be replaced by a file
        with pytest.raises(IsADirectoryError):
            SafeTree(tmp_path).write_whole(tmp_path / "a", b"new")
        assert names(tmp_path) == {"a"}

    def test_a_link_is_replaced_and_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "theirs").write_bytes(b"theirs")
        (tmp_path / "a").symlink_to("theirs")
        SafeTree(tmp_path).write_whole(tmp_path / "a", b"ours")
        assert (tmp_path / "theirs").read_bytes() == b"theirs"
        assert not (tmp_path / "a").is_symlink()

    def test_readers_never_see_half_of_it(self, tmp_path: Path) -> None:
        path, contents = tmp_path / "a", [bytes([number]) * 200_000 for number in range(20)]

        def write() -> None:
            for content in contents:
                SafeTree(tmp_path).write_whole(path, content)

        SafeTree(tmp_path).write_whole(path, contents[0])
        writer = threading.Thread(target=write)
        writer.start()
        read = {path.read_bytes()}
        while writer.is_alive():
            read.add(path.read_bytes())
        assert read <= set(contents)


class TestCopying:
    """Copies are hashed, whole, and of regular files alone."""

    def test_a_copy_has_the_hash_of_its_content(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"x" * 3_000_000)
        copied = SafeTree(tmp_path).copy_out(tmp_path / "a", tmp_path / "b")
        assert copied.size == 3_000_000
        assert copied.sha256 == sha256_of(tmp_path / "b") == sha256_of(tmp_path / "a")

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        (tmp_path / "a").symlink_to("secret")
        with pytest.raises(NotRegularFile):
            SafeTree(tmp_path).copy_out(tmp_path / "a", tmp_path / "b")
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            sha256_of(tmp_path / "a")
        assert not (tmp_path / "b").exists()

    def test_a_copy_takes_the_first_free_name(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"new")
        (tmp_path / "b").write_bytes(b"old")
        assert SafeTree(tmp_path).bring(tmp_path / "a", tmp_path, iter(["b", "b_2"])) == "b_2"
        assert (tmp_path / "b").read_bytes() == b"old"
        assert names(tmp_path) == {"a", "b", "b_2"}

    def test_a_name_taken_between_look_and_move_is_passed_over(self, tmp_path: Path) -> None:
        def racing() -> Iterator[str]:
            for name in ("b", "b_2"):
                if name == "b":
                    (tmp_path / "b").write_bytes(b"somebody was faster")
                yield name

        (tmp_path / "a").write_bytes(b"ours")
        assert SafeTree(tmp_path).bring(tmp_path / "a", tmp_path, racing()) == "b_2"
        assert (tmp_path / "b").read_bytes() == b"somebody was faster"

    def test_a_link_that_leads_nowhere_is_a_name_taken(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"ours")
        (tmp_path / "b").symlink_to("nowhere")
        assert SafeTree(tmp_path).bring(tmp_path / "a", tmp_path, iter(["b", "b_2"])) == "b_2"
        assert not (tmp_path / "nowhere").exists()

    def test_a_copy_that_fails_leaves_no_debris(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            SafeTree(tmp_path).bring(tmp_path / "missing", tmp_path, iter(["b"]))
        (tmp_path / "a").write_bytes(b"new")
        with pytest.raises(FileExistsError):
            SafeTree(tmp_path).bring(tmp_path / "a", tmp_path, iter(["a"]))
        assert names(tmp_path) == {"a"}

    def test_a_copy_in_place_of_another_keeps_it_until_it_is_whole(self, tmp_path: Path) -> None:
        (tmp_path / "b").write_bytes(b"old")
        with pytest.raises(FileNotFoundError):
            SafeTree(tmp_path).bring_over(tmp_path / "missing", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"old"
        (tmp_path / "a").write_bytes(b"new")
        SafeTree(tmp_path).bring_over(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"new"
        assert names(tmp_path) == {"a", "b"}

    def test_on_a_full_disk_a_copy_raises_and_is_never_short(self, small_disk: Path) -> None:
        (small_disk / "a").write_bytes(b"x" * 600_000)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            SafeTree(small_disk).bring(small_disk / "a", small_disk, iter(["b"]))
        assert names(small_disk) == {"a"}
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            SafeTree(small_disk).copy_out(small_disk / "a", small_disk / "b")


class TestMoving:
    """A move never overwrites, whatever the file system can do."""

    def test_it_takes_the_first_free_name(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        for content in (b"1", b"2"):
            (tmp_path / "a").write_bytes(content)
            SafeTree(tmp_path).move(tmp_path / "a", tmp_path / "there", iter(["a", "a_2"]))
        assert (tmp_path / "there" / "a").read_bytes() == b"1"
        assert (tmp_path / "there" / "a_2").read_bytes() == b"2"
        assert names(tmp_path) == {"there"}

    def test_many_at_once_lose_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        for number in range(40):
            (tmp_path / f"{number}").write_bytes(b"%d" % number)
        threads = [
            threading.Thread(
                target=SafeTree(tmp_path).move,
                args=(tmp_path / f"{number}", tmp_path / "there", map(str, range(40))),
            )
            for number in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = {path.read_bytes() for path in (tmp_path / "there").iterdir()}
        assert found == {b"%d" % number for number in range(40)}

    def test_a_move_cut_off_between_its_two_steps_is_completed(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "a").write_bytes(b"1")
        os.link(tmp_path / "a", tmp_path / "there" / "a")
        assert (
            SafeTree(tmp_path).move(tmp_path / "a", tmp_path / "there", iter(["a", "a_2"])) == "a"
        )
        assert names(tmp_path) == {"there"}
        assert names(tmp_path / "there") == {"a"}

    def test_no_free_name_is_an_error_and_moves_nothing(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(FileExistsError):
            SafeTree(tmp_path).move(tmp_path / "a", tmp_path, iter(["b"]))
        assert names(tmp_path) == {"a", "b"}

    def test_without_another_link_to_be_had_a_name_is_reserved(self, tmp_path: Path) -> None:
        source = tmp_path / "links" / "a"
        source.parent.mkdir()
        source.write_bytes(b"1")
        use_up_links(source)
        (tmp_path / "b").write_bytes(b"theirs")
        assert SafeTree(tmp_path).move(source, tmp_path, iter(["b", "b_2"])) == "b_2"
        assert (tmp_path / "b").read_bytes() == b"theirs"
        assert (tmp_path / "b_2").read_bytes() == b"1"
        assert not source.exists()

    def test_a_folder_is_refused_and_leaves_no_reserved_name(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        with pytest.raises(OSError, match=r"directory|folder"):
            SafeTree(tmp_path).move(tmp_path / "a", tmp_path, iter(["b"]))
        assert names(tmp_path) == {"a"}


def test_a_folder_is_made_with_its_parents_and_again(tmp_path: Path) -> None:
    SafeTree(tmp_path).make_home()
    for _ in range(2):
        SafeTree(tmp_path).make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_no_folder_is_made_where_a_share_went_away(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no hot folder is there any more") as raised:
        SafeTree(tmp_path).make_folder(tmp_path / "logs")
    assert raised.value.errno == errno.ESTALE
    assert names(tmp_path) == set()


def test_only_our_own_temporaries_are_cleared(tmp_path: Path) -> None:
    for name in (".hotfolder-00ff.tmp", "theirs.tmp", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    SafeTree(tmp_path).clear_temporaries(tmp_path)
    SafeTree(tmp_path).clear_temporaries(tmp_path / "missing")
    assert names(tmp_path) == {"theirs.tmp", ".hidden"}


def test_a_folder_that_is_not_empty_stays(tmp_path: Path) -> None:
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "@eaDir").mkdir()
    for name in ("empty", "full", "missing"):
        SafeTree(tmp_path).remove_empty(tmp_path / name)
    assert names(tmp_path) == {"full"}
